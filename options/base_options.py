"""The options that training and inference share, and the parsing of both command lines."""

import argparse
import sys
from typing import Any, NoReturn

import data
import models
from data.transforms import PREPROCESS
from models.compute.compilation import COMPILE_MODES
from models.compute.precision import PRECISIONS
from models.networks import DISCRIMINATORS, GENERATORS, INIT_TYPES, NORMS
from util.errors import UsageError
from util.frozen_options import Options

from .flag_hints import near_flag, owner_hint
from .naming import run_name, suffixed_name
from .old_flags import add_use_dropout, with_current_flags, with_current_values
from .script_door import begin_script
from .validation import validate

_NOT_GIVEN = object()
GPU_HELP = (
    "GPU to compute on: 0, 1, ...; 0,1: train on both; -1 is the CPU; "
    "when not given, GPU 0 where there is one, else an Apple GPU, else the CPU"
)
INSTEAD_OF_DEFAULT = ("when not given", "training alone uses it")
"""A help text with one of these phrases says itself what holds by default."""
PRECISION_HELP = (
    "precision of convolutions. tf32: float32 with TensorFloat-32 products on NVIDIA Ampere or "
    "newer, elsewhere as fp32; bf16: bfloat16 by autocast, for NVIDIA Ampere or newer and for CPUs "
    "with AVX-512; fp16: float16 by autocast, for older GPUs. Weights and losses are always float32"
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports a mistake in one line and exits with 2."""

    training = False
    typed: list[str] = []

    def error(self, message: str) -> NoReturn:
        """Print the mistake, with the owner of a flag or the nearest flag, and exit with 2."""
        hint = ""
        if message.startswith(("unrecognized arguments: ", "ambiguous option: ")):
            word = message.split()[2].split("=")[0]
            hint = owner_hint(word, self.training)
            if not hint and message.startswith("unrecognized"):
                hint = near_flag(word, self)
        elif message.startswith("argument --"):  # --input is --input_nc in training
            flag = message.split()[1].rstrip(":")
            words = {word.split("=")[0] for word in self.typed} - set(self._option_string_actions)
            hint = "".join(owner_hint(w, self.training) for w in words if flag.startswith(w))
        self.exit(2, f"{self.prog}: error: {message}{hint} (--help lists all flags)\n")

    def set_required(self, name: str, required: bool) -> None:
        """Set whether an option must be given."""
        for action in self._actions:
            if action.dest == name:
                action.required = required


class BaseOptions:
    """The shared flags, and `parse` = `gather` (pure, repeatable), `finish`, `validate`.

    Parsing touches no disk and no device, and prints nothing but errors, --help and the new
    names of old flags.
    """

    isTrain = False

    def initialize(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags that training and inference share."""
        _add_run_flags(parser, self.isTrain)
        _add_network_flags(parser)
        _add_data_flags(parser)
        _add_speed_flags(parser)

    def parser(self, argv: list[str]) -> Parser:
        """Return the parser with the flags and defaults of the model and data set named in argv."""
        parser = Parser(formatter_class=_HelpFormatter, usage="%(prog)s [flags]")
        parser.training, parser.typed = self.isTrain, argv
        self.initialize(parser)
        first = known_flags(parser, argv)
        model = models.find_model_using_name(first.model, self.isTrain)
        model.modify_commandline_options(parser, self.isTrain)
        second = known_flags(parser, argv)  # the model may have changed the data set
        data.get_option_setter(second.dataset_mode)(parser, self.isTrain)
        return parser

    def gather(self, argv: list[str]) -> Options:
        """Return the options of the command line; `given` holds the names of those in it."""
        argv = with_current_values(argv)
        argv = with_current_flags(argv, self.parser(argv), self.isTrain)
        parser = self.parser(argv)
        add_use_dropout(parser)
        marks = {action.dest: _NOT_GIVEN for action in parser._actions if action.dest != "help"}
        typed = vars(parser.parse_args(argv, argparse.Namespace(**marks)))
        given = frozenset(name for name, value in typed.items() if value is not _NOT_GIVEN)
        return Options(given=given, **vars(parser.parse_args(argv)))

    def finish(self, opt: Options) -> Options:
        """Return the options with those that follow from others filled in.

        `device` is None until `util.devices.choose_device` looks at the machine.
        """
        name = suffixed_name(opt.name, opt.suffix, opt.values())
        return self.follow(opt.replace(name=name, isTrain=self.isTrain, device=None))

    def follow(self, opt: Options) -> Options:
        """Return the options with those that follow from others, which a script may assign."""
        return opt.replace(name=run_name(opt.name), gpu_ids=parse_gpu_ids(opt.gpu_ids))

    def complete(self, opt: Options) -> Options:
        """Return the options, completed from the run on disk; called as the run begins."""
        raise NotImplementedError

    def parse(self, argv: list[str] | None = None) -> Options:
        """Return the checked options; exit with 2 and one line for a wrong command line.

        Without `argv`, as scripts in the reference's manner call it, that of the program is parsed
        and the run begins too; see `begin_script`.
        """
        try:
            opt = self.finish(self.gather(sys.argv[1:] if argv is None else list(argv)))
            validate(opt)
            return begin_script(self, opt, option_defaults) if argv is None else opt
        except UsageError as error:
            Parser().error(str(error))


def option_defaults(options: BaseOptions, opt: Options) -> dict[str, Any]:
    """Return the default of every flag, for the model and data set of `opt`."""
    parser = options.parser(["--model", opt.model, "--dataset_mode", opt.dataset_mode])
    return {action.dest: action.default for action in parser._actions}


def parse_gpu_ids(text: str | int | list[int]) -> list[int]:
    """Return the GPUs of `0`, `0,1`, `-1` (CPU): [0], [0, 1], []. Raises UsageError otherwise.

    A script may assign a number or a list too.
    """
    if isinstance(text, list):
        text = ",".join(map(str, text))
    try:
        ids = [int(part) for part in str(text).split(",") if part.strip()]
    except ValueError:
        raise UsageError(
            f"--gpu_ids {text}: give GPU numbers such as 0 or 0,1, or -1 for the CPU"
        ) from None
    return [i for i in ids if i >= 0]


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of a flag where that is what happens without the flag.

    It is left out where it is empty, and where the help text says what happens instead: there the
    default is the reference's and does not hold.
    """

    def _get_help_string(self, action: argparse.Action) -> str | None:
        blank = action.default in (None, "", False, argparse.SUPPRESS) or action.nargs == 0
        if blank or any(phrase in (action.help or "") for phrase in INSTEAD_OF_DEFAULT):
            return action.help
        return super()._get_help_string(action)


def known_flags(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Return the flags of argv that the parser knows so far; ignore --help and all others."""
    without_help = [word for word in argv if word not in ("-h", "--help")]
    required = [action for action in parser._actions if action.required]
    for action in required:
        action.required = False
    known, _ = parser.parse_known_args(without_help)
    for action in required:
        action.required = True
    return known


def _add_run_flags(parser: argparse.ArgumentParser, training: bool) -> None:
    names = ", ".join(models.model_names(training))
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--name", type=str, default="experiment_name", help="name of the run and its folders")
    add("--gpu_ids", type=str, default="0", help=GPU_HELP)
    add("--checkpoints_dir", type=str, default="./checkpoints", help="where runs are stored")
    add(
        "--model",
        type=str,
        default="cycle_gan",
        help=f"which model: {names}, or a file models/<name>_model.py",
    )
    add("--epoch", type=str, default="latest", help="epoch to load: latest, best, or a number")
    add(
        "--load_iter",
        type=int,
        default="0",
        help="if above 0, load iter_<load_iter> instead of --epoch",
    )
    add("--seed", type=int, default=None, help="seed of all random choices; when not given, drawn")
    add("--verbose", action="store_true", help="print the layers of each network")
    add(
        "--suffix",
        type=str,
        default="",
        help="appended to --name, with options filled in, e.g. {model}_{netG}_size{load_size}",
    )
    add("--display_winsize", type=int, default=256, help="width of images on pages, in pixels")
    add("--use_wandb", action="store_true", help="log to Weights & Biases too (pip install wandb)")
    add(
        "--wandb_project_name",
        type=str,
        default="CycleGAN-and-pix2pix",
        help="project on Weights & Biases",
    )


def _add_network_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("networks").add_argument
    add("--input_nc", type=int, default=3, help="channels of input images: 3 RGB, 1 gray")
    add("--output_nc", type=int, default=3, help="channels of output images: 3 RGB, 1 gray")
    add("--ngf", type=int, default=64, help="filters in the first layer of the generator")
    add("--ndf", type=int, default=64, help="filters in the first layer of the discriminator")
    add("--netD", type=str, default="basic", choices=DISCRIMINATORS, help="discriminator")
    add("--netG", type=str, default="resnet_9blocks", choices=tuple(GENERATORS), help="generator")
    add("--n_layers_D", type=int, default=3, help="layers of --netD n_layers")
    add("--norm", type=str, default="instance", choices=tuple(NORMS), help="normalisation")
    add(
        "--init_type",
        type=str,
        default="normal",
        choices=tuple(INIT_TYPES),
        help="initialisation of the weights",
    )
    add(
        "--init_gain",
        type=float,
        default=0.02,
        help="scale of --init_type normal, xavier and orthogonal",
    )
    add("--no_dropout", action="store_true", help="no dropout in the generator")


def _add_data_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset_mode",
        type=str,
        default="unaligned",
        help=f"data set: {', '.join(data.dataset_names())}, or a file data/<name>_dataset.py",
    )
    add(
        "--direction",
        type=str,
        default="AtoB",
        choices=("AtoB", "BtoA"),
        help="direction of translation; BtoA swaps the two domains",
    )
    add("--serial_batches", action="store_true", help="take images in order instead of randomly")
    add(
        "--num_threads",
        type=int,
        default=4,
        help="worker processes that load images; 0: the main process",
    )
    add("--batch_size", type=int, default=1, help="images per batch")
    add("--load_size", type=int, default=286, help="size that images are resized to, in pixels")
    add("--crop_size", type=int, default=256, help="size of the crop after that, in pixels")
    add(
        "--max_dataset_size",
        type=int,
        default=float("inf"),
        help="maximum number of images used of a folder",
    )
    add(
        "--preprocess",
        type=str,
        default="resize_and_crop",
        choices=tuple(PREPROCESS),
        help="resizing and cropping of images as they are loaded (keep: for inference only)",
    )
    add("--no_flip", action="store_true", help="do not flip images randomly")


def _add_speed_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("speed (see docs/performance.md)")
    group.add_argument(
        "--precision",
        type=str,
        default="tf32",
        choices=tuple(PRECISIONS),
        help=PRECISION_HELP,
    )
    add_compile_flag(group)


def add_compile_flag(parser: argparse._ActionsContainer) -> None:
    """Add `--compile [MODE]`, off by default."""
    parser.add_argument(
        "--compile",
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE_MODES,
        help="compile the networks with torch.compile, which takes a minute: in training at the "
        "first step, in inference once five minutes of work are left without it. reduce-overhead: "
        "CUDA graphs, for small networks; max-autotune: benchmark kernels for some minutes",
    )
