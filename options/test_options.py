"""Options of 02_inference.py."""

import argparse

from util.frozen_options import Options

from .base_options import BaseOptions


class TestOptions(BaseOptions):
    """The flags of inference."""

    __test__ = False  # the field's name, not a test case
    isTrain = False

    def initialize(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags of inference to those that are shared."""
        parser.add_argument(
            "--dataroot",
            default=None,
            help="folder of pictures (--model test) or of testA and testB; "
            "when not given, the folder that the run was trained on",
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
        parser.set_defaults(model="test", load_size=parser.get_default("crop_size"))

    def finish(self, opt: Options) -> Options:
        """Pictures one by one, in order, unmirrored, read by the main process."""
        opt = super().finish(opt)
        return opt.replace(num_threads=0, batch_size=1, serial_batches=True, no_flip=True)
