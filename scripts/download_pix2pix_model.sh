#!/usr/bin/env bash
# Download a pretrained generator of pix2pix to checkpoints/NAME_pretrained, by its name:
#
#     bash ./scripts/download_pix2pix_model.sh facades_label2photo
#
# PIX2PIX_MODELS_URL names another place that has the same files (a mirror, a file:// folder).
# download_model.py, which does it, needs no bash.

set -eu
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for python in python3 python; do
    if "$python" -c "import torch" >/dev/null 2>&1; then
        exec "$python" "$here/download_model.py" --pix2pix "$@"
    fi
done
echo "error: no python3 or python that has torch: activate the environment, as by: . .venv/bin/activate" >&2
exit 1
