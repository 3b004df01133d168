"""The options of 02_inference.py."""

import argparse
import logging

from data.image_folder import IMG_EXTENSIONS
from models.inference.self_ensemble import NUMBERS
from util.errors import UsageError
from util.options import Options
from util.results.folder import FORMATS
from util.video_files import VIDEO_EXTENSIONS

from .base_options import BaseOptions
from .inference_run import adopt_from_run

log = logging.getLogger(__name__)

SIZE_FLAGS = {"preprocess", "load_size", "crop_size"}
UNPAIRED = ("single", "unaligned")
"""Data sets whose images are translated at their own size; pairs have the size of training."""
READERS = 2
"""Threads that read images by default: few, since translating takes far longer than reading."""
FROM_WEIGHTS = "when not given, read off the weight file"
UNUSED = "training alone uses it"
HELP = {
    **dict.fromkeys(("input_nc", "output_nc", "ngf", "netG", "norm"), FROM_WEIGHTS),
    "no_dropout": f"{FROM_WEIGHTS}, for a U-Net that of the run",
    **dict.fromkeys(("ndf", "netD", "n_layers_D", "init_type", "init_gain"), UNUSED),
    **dict.fromkeys(("use_wandb", "wandb_project_name"), UNUSED),
    **dict.fromkeys(("serial_batches", "no_flip"), "always on in inference"),
    "direction": "when not given, that of the run; with --model test, BtoA uses G_B instead of G_A",
    "preprocess": "when not given, images keep their size, and pairs get --crop_size",
    "load_size": "when not given, --crop_size",
    "crop_size": "when not given, that of the run, at most --load_size",
    **dict.fromkeys(("value_range", "background"), "that of the run"),
    "num_threads": f"threads in inference; when not given, {READERS}",
}
"""Appended to the help of shared flags whose default is not what happens in inference."""
OF_GALLERY = ("results_dir", "display_winsize")
"""Flags of the gallery, which --output replaces."""
ENDINGS_OF_FILES = (*IMG_EXTENSIONS, *VIDEO_EXTENSIONS)
INACTIVE = {
    "grad_checkpoint": False,
    "separate_passes": False,
    "deterministic": False,
    "accumulate": 1,
    "cache": "none",
    "full_decode": True,
    "epoch_count": 1,
    "resume": "",
    "display_id": -1,
}
"""What training alone decides, as code that both share reads it."""


class TestOptions(BaseOptions):
    """The flags of inference."""

    __test__ = False  # the field's name, not a test case
    isTrain = False

    def initialize(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the flags of inference to the shared ones; return the parser."""
        parser.add_argument(
            "--dataroot",
            "--input",
            dest="dataroot",
            default=None,
            help="an image, a folder of images (with sub-folders) or a video for --model test, "
            "else the folder with testA and testB; when not given, the test images of the run",
        )
        super().initialize(parser)
        _add_inference_flags(parser)
        _add_output_flags(parser)
        _add_size_flags(parser)
        for action in parser._actions:
            if action.dest in HELP:
                action.help = f"{action.help}; {HELP[action.dest]}"
        parser.set_defaults(model="test", load_size=parser.get_default("crop_size"))
        return parser

    def gather(self, argv: list[str]) -> Options:
        """Return the options of argv. Raises UsageError where it names the input twice."""
        flags = {word.split("=")[0] for word in argv}
        if {"--input", "--dataroot"} <= flags:
            raise UsageError("--input and --dataroot are two names of one flag: give one of them")
        return super().gather(argv)

    def kinds_of_run(self, typed: argparse.Namespace) -> dict[str, str]:
        """Return the data set of the run, by its flag, where the run is one of the model typed."""
        if typed.model == "test":
            return {}
        kinds = self.stored_kinds(typed)
        adopts = kinds.pop("model", "") == typed.model and kinds.get("dataset_mode") != "shards"
        return kinds if adopts else {}

    def complete(self, opt: Options) -> Options:
        """Return the options, completed from the run whose weights translate.

        Flags that have no effect are named in one line.
        """
        unused = [name for name in HELP if HELP[name] == UNUSED and name in opt.given]
        if opt.output is not None:
            unused += [name for name in OF_GALLERY if name in opt.given]
        if unused:
            flags = ", ".join(f"--{name}" for name in unused)
            log.warning("no effect on this translation: %s", flags)
        if opt.output is not None and opt.output.lower().endswith(ENDINGS_OF_FILES):
            log.warning("--output %s is a folder; results there are named as the input", opt.output)
        return adopt_from_run(opt)

    def finish(self, opt: Options) -> Options:
        """Return the options with what inference forces: images in order, unflipped.

        Images keep their own size unless the command line gives one. `together` is the number of
        images of equal size in a batch, `readers` the number of threads that read them; there are
        no worker processes, and the data loader makes no batches.
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


def _add_inference_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("inference").add_argument
    add("--results_dir", type=str, default="./results/", help="where results are stored")
    add(
        "--aspect_ratio",
        type=float,
        default=1.0,
        help="width / height of a pixel; results are stretched accordingly",
    )
    add("--phase", type=str, default="test", help="folders <phase>A and <phase>B, or <phase>")
    add(
        "--eval",
        action="store_true",
        help="evaluation mode: no dropout, batch norm with its running statistics",
    )
    add(
        "--ema",
        action="store_true",
        help="translate with the averaged weights of a run that was trained with --ema",
    )
    add(
        "--self_ensemble",
        type=int,
        default=1,
        choices=NUMBERS,
        help="translate this many mirrored and shifted copies of each image and average them, "
        "against checkerboards; takes as many times as long",
    )
    add(
        "--num_test",
        type=int,
        default=50,
        help="translate the first N images (of a video: frames); when not given, all of them",
        metavar="N",
    )


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output",
        default=None,
        help="folder for the translated images only, with the sub-folders and names of the input; "
        "when not given, a gallery in --results_dir",
    )
    add("--format", default="same", choices=FORMATS, help="file format of the images in --output")
    add("--quality", type=int, default=95, help="quality of jpg and webp in --output, 1 to 100")
    add("--skip_existing", action="store_true", help="skip images that have a result")
    add(
        "--overwrite",
        action="store_true",
        help="replace files in --output that are no results of earlier translations",
    )


def _add_size_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("size").add_argument
    add("--max_size", type=int, default=None, help="shrink images whose longer side exceeds this")
    add(
        "--tile",
        type=int,
        default=None,
        help="compute in tiles of this side in pixels, with the same result; when not given, only "
        "for images that exceed the memory; 0: without tiling",
    )
