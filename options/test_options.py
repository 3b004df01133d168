"""Options of 02_inference.py."""

import argparse

from util.frozen_options import Options
from util.results.folder import FORMATS

from .base_options import BaseOptions

SIZE_FLAGS = {"preprocess", "load_size", "crop_size"}
UNPAIRED = ("single", "unaligned")
"""Data sets whose pictures are translated in their own size; pairs keep the size of training."""


class TestOptions(BaseOptions):
    """The flags of inference."""

    __test__ = False  # the field's name, not a test case
    isTrain = False

    def initialize(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags of inference to those that are shared."""
        parser.add_argument(
            "--dataroot",
            "--input",
            dest="dataroot",
            default=None,
            help="a picture, a folder of pictures and what is below it, or a video (--model test), "
            "or the folder of testA and testB; when not given, what the run was trained on",
        )
        super().initialize(parser)
        add = parser.add_argument_group("inference").add_argument
        add("--results_dir", type=str, default="./results/", help="where results are stored")
        add(
            "--aspect_ratio",
            type=float,
            default=1.0,
            help="width by height of a pixel; results are stretched by it",
        )
        add("--phase", type=str, default="test", help="which folders: <phase>A and <phase>B")
        add("--eval", action="store_true", help="dropout off, batch norm by its statistics")
        add(
            "--num_test",
            type=int,
            default=50,
            help="translate so many pictures; when not given, all of them",
        )
        _add_output_flags(parser)
        _add_size_flags(parser)
        parser.set_defaults(model="test", load_size=parser.get_default("crop_size"))

    def finish(self, opt: Options) -> Options:
        """Pictures in order, unmirrored; in their own size unless the command line gives one.

        `together` is how many pictures of equal size go through the network at once.
        """
        opt = super().finish(opt)
        together = opt.batch_size if "batch_size" in opt.given else 1
        if opt.dataset_mode in UNPAIRED and not opt.given & SIZE_FLAGS:
            opt = opt.replace(preprocess="keep")
        return opt.replace(
            num_threads=0, batch_size=1, together=together, serial_batches=True, no_flip=True
        )


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output",
        default=None,
        help="folder for the translated pictures alone, in the sub-folders and under the names of "
        "the input; when not given, a gallery in --results_dir",
    )
    add("--format", default="same", choices=FORMATS, help="of the pictures in --output")
    add("--quality", type=int, default=95, help="of jpg and webp in --output, 1 to 100")
    add("--skip_existing", action="store_true", help="leave out pictures that have a result")


def _add_size_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("size").add_argument
    add("--max_size", type=int, default=None, help="shrink pictures whose longer side is longer")
    add(
        "--tile",
        type=int,
        default=None,
        help="compute in tiles of so many pixels a side, exactly; when not given, only pictures "
        "that are too large for the memory; 0: never",
    )
