#!/usr/bin/env bash
# Download a CycleGAN data set into the folder of this script, by its name:
#
#     bash ./datasets/download_cyclegan_dataset.sh monet2photo
#
# CYCLEGAN_DATASETS_URL names another place that has the same zip files (a mirror, a file:// folder).
# download_dataset.py, which does it, needs no bash.

set -eu
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for python in python3 python; do
    if "$python" -c "import sys; sys.exit(sys.version_info < (3, 10))" >/dev/null 2>&1; then
        exec "$python" "$here/download_dataset.py" "$@"
    fi
done
echo "error: this needs Python 3.10 or newer, as python3 or python" >&2
exit 1
