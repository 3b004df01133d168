"""Options of 02_inference.py."""

import argparse

from util.errors import UsageError
from util.frozen_options import Options
from util.results.folder import FORMATS

from .base_options import BaseOptions

SIZE_FLAGS = {"preprocess", "load_size", "crop_size"}
UNPAIRED = ("single", "unaligned")
"""Data sets whose pictures are translated in their own size; pairs keep the size of training."""
READERS = 2
"""Threads that read images, unless --num_threads says otherwise; translating takes far longer."""
OF_WEIGHTS = "when not given, what the weight file tells"
UNUSED = "training alone uses it"
HELP = {
    **dict.fromkeys(("input_nc", "output_nc", "ngf", "netG", "norm"), OF_WEIGHTS),
    "no_dropout": f"{OF_WEIGHTS}, for a U-Net what the run tells",
    **dict.fromkeys(("ndf", "netD", "n_layers_D", "init_type", "init_gain"), UNUSED),
    **dict.fromkeys(("use_wandb", "wandb_project_name"), UNUSED),
    **dict.fromkeys(("serial_batches", "no_flip"), "always so in inference"),
    "direction": "when not given, that of the run; --model test: BtoA takes G_B for G_A",
    "preprocess": "when not given, images keep their size, and pairs get --crop_size",
    "load_size": "when not given, --crop_size",
    "crop_size": "when not given, that of the run, at most --load_size",
    "num_threads": f"threads in inference; when not given, {READERS}",
}
"""What is to be said of shared flags whose default is not what happens in inference."""
INACTIVE = {
    "grad_checkpoint": False,
    "separate_passes": False,
    "deterministic": False,
    "accumulate": 1,
    "cache": "none",
    "full_decode": True,
    "epoch_count": 1,
    "resume": "",
}
"""What training alone decides, as code that both share reads it."""


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
        for action in parser._actions:
            if action.dest in HELP:
                action.help = f"{action.help}; {HELP[action.dest]}"
        parser.set_defaults(model="test", load_size=parser.get_default("crop_size"))

    def gather(self, argv: list[str]) -> Options:
        """As BaseOptions.gather. Raises UsageError where the input is given twice."""
        flags = {word.split("=")[0] for word in argv}
        if {"--input", "--dataroot"} <= flags:
            raise UsageError("--input and --dataroot are two names of one flag: give one of them")
        return super().gather(argv)

    def finish(self, opt: Options) -> Options:
        """Pictures in order, unmirrored; in their own size unless the command line gives one.

        `together` is how many pictures of equal size go through the network at once, `readers` how
        many threads read them: there are no worker processes and no batches of the data loader.
        """
        opt = super().finish(opt)
        together = opt.batch_size if "batch_size" in opt.given else 1
        readers = opt.num_threads if "num_threads" in opt.given else READERS
        if "load_size" not in opt.given:
            opt = opt.replace(load_size=opt.crop_size)
        if opt.dataset_mode in UNPAIRED and not opt.given & SIZE_FLAGS:
            opt = opt.replace(preprocess="keep")
        forced = {"num_threads": 0, "batch_size": 1, "serial_batches": True, "no_flip": True}
        own = {**INACTIVE, **opt.values()}  # a plug-in may have a flag of that name
        return opt.replace(**{**own, **forced, "together": together, "readers": readers})


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
