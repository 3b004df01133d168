"""Download a pretrained generator of the CycleGAN or pix2pix authors, by its name.

    python scripts/download_model.py horse2zebra
    python 02_inference.py --dataroot DIR --name horse2zebra_pretrained --model test
    python scripts/download_model.py --pix2pix facades_label2photo    (CycleGAN has one too)

It is stored as checkpoints/NAME_pretrained/latest_net_G.pth, which --start_from takes too. A
download that broke off is continued by the same command. A mirror is named by --url, or by the
variables CYCLEGAN_MODELS_URL and PIX2PIX_MODELS_URL: the address of a folder with the same files,
or one with {name} in it. The SHA-256 of the file is stored beside it, and the next download of it
is compared with that.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.checkpoints.weights import read_weights, weights_path
from util.downloads.published import HOST, Publication, choose, downloaded, parser_of_names
from util.files import replace_file
from util.run.session import run_program

PUBLICATIONS = {
    "CycleGAN": Publication(
        base=f"{HOST}/cyclegan/pretrained_models",
        ending=".pth",
        variable="CYCLEGAN_MODELS_URL",
        names=(
            *("apple2orange", "orange2apple", "summer2winter_yosemite", "winter2summer_yosemite"),
            *("horse2zebra", "zebra2horse", "monet2photo", "style_monet", "style_cezanne"),
            *("style_ukiyoe", "style_vangogh", "sat2map", "map2sat", "cityscapes_photo2label"),
            *("cityscapes_label2photo", "facades_photo2label", "facades_label2photo"),
            "iphone2dslr_flower",
        ),
    ),
    "pix2pix": Publication(
        base=f"{HOST}/pix2pix/models-pytorch",
        ending=".pth",
        variable="PIX2PIX_MODELS_URL",
        names=("edges2shoes", "sat2map", "map2sat", "facades_label2photo", "day2night"),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Download the model that the command line names; return the exit code."""
    args = arguments(argv)
    name = args.names[0] if len(args.names) == 1 else ""
    publication = choose(name, PUBLICATIONS, "pix2pix" if args.pix2pix else "CycleGAN")
    run = f"{name}_pretrained"
    target = weights_path(Path(args.checkpoints_dir) / run, "latest", "G")
    url = publication.url(name, args.url)
    print(f"downloading {url}", flush=True)
    with downloaded(url, target, publication.variable) as file:
        read_weights(file)  # raises where it is something else, or not whole
        replace_file(file, target)
    print(f"done: {target}; translate with --name {run} --model test")
    return 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of_names(__doc__, PUBLICATIONS, "model")
    folder = "folder for NAME_pretrained"
    parser.add_argument("--checkpoints_dir", default="./checkpoints", help=folder)
    return parser.parse_args(argv)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which cleans up
    sys.exit(run_program(main))
