"""The options that training and inference share, and the parsing of both command lines."""

import argparse
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import data
import models
from models.inference.translator import translators_around_test
from util.checkpoints.run_folder import read_training_options
from util.errors import UsageError, UserError
from util.options import Options
from util.plugins import add_flags
from util.programs import name_in_messages
from util.run.script_run import ScriptRun, print_user_errors_in_one_line

from .flag_hints import hint_at_mistake
from .naming import run_name, suffixed_name
from .old_flags import add_use_dropout, with_current_flags, with_current_values
from .shared_flags import add_data_flags, add_network_flags, add_run_flags, add_speed_flags
from .validation import validate

_NOT_GIVEN = object()
NOTEBOOKS = ("ipykernel_launcher.py", "colab_kernel_launcher.py")
"""The programs in which the code of a notebook runs."""
INSTEAD_OF_DEFAULT = ("when not given", "training alone uses it")
"""A help text with one of these phrases says itself what holds by default."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports a mistake in one line and exits with 2."""

    training = False
    typed: list[str] = []

    def error(self, message: str) -> NoReturn:
        """Print the mistake, with a hint at what was meant, and exit with 2."""
        if message.startswith("the following arguments are required: "):
            unknown = parse_known(self, self.typed)[1]
            if unknown:  # one of them may be a required flag, misspelt
                message = f"unrecognized arguments: {' '.join(unknown)}"
        hint = hint_at_mistake(message, self, self.typed, self.training)
        self.exit(2, f"{self.prog}: error: {message}{hint} (--help lists all flags)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; without `args`, as plug-ins call it, what this parser is for.

        Neither --help nor a required flag that is missing ends the program then.
        """
        if args is None:
            return known_flags(self, self.typed), []
        return super().parse_known_args(args, namespace)

    def set_required(self, name: str, required: bool) -> None:
        """Set whether an option must be given."""
        for action in self._actions:
            if action.dest == name:
                action.required = required


class BaseOptions:
    """The shared flags, and `parse` = `gather` (pure, repeatable), `finish`, `validate`.

    Parsing touches no device, of the disk only the options of a run that training continues or that
    translates, and prints nothing but errors, --help and the new names of old flags.
    """

    isTrain = False

    def initialize(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the flags that training and inference share; return the parser."""
        add_run_flags(parser, self.isTrain)
        add_network_flags(parser)
        add_data_flags(parser)
        add_speed_flags(parser)
        return parser

    def parser(self, argv: list[str]) -> Parser:
        """Return the parser with the flags and defaults of the model and data set named in argv."""
        usage = "%(prog)s [flags]"
        parser = Parser(name_in_messages(), usage=usage, formatter_class=_HelpFormatter)
        parser.training, parser.typed = self.isTrain, argv
        self.initialize(parser)
        first = known_flags(parser, argv)
        model = models.find_model_using_name(first.model, self.isTrain)
        setter: data.OptionSetter = model.modify_commandline_options
        add_flags(setter, parser, self.isTrain, f"--model {first.model}")
        second = known_flags(parser, argv)  # the model may have changed the data set
        setter = data.get_option_setter(second.dataset_mode)
        add_flags(setter, parser, self.isTrain, f"--dataset_mode {second.dataset_mode}")
        return parser

    def gather(self, argv: list[str]) -> Options:
        """Return the options of the command line; `given` holds the names of those in it.

        The model and the data set of the run, where `kinds_of_run` names them, add their flags too.
        """
        argv = with_current_values(argv)
        kinds = self.kinds_of_run(known_flags(BaseOptions.parser(self, argv), argv))
        stored = [word for name, kind in kinds.items() for word in (f"--{name}", kind)]
        argv = with_current_flags(argv, self.parser([*stored, *argv]), self.isTrain)
        parser = self.parser([*stored, *argv])  # what is typed has precedence
        add_use_dropout(parser)
        marks = {action.dest: _NOT_GIVEN for action in parser._actions if action.dest != "help"}
        typed = vars(parser.parse_args(argv, argparse.Namespace(**marks)))
        given = frozenset(name for name, value in typed.items() if value is not _NOT_GIVEN)
        return Options(given=given, **vars(parser.parse_args([*stored, *argv])))

    def kinds_of_run(self, typed: argparse.Namespace) -> dict[str, str]:
        """Return the model and the data set, by flag, that the run decides unless typed."""
        return {}

    @staticmethod
    def stored_kinds(typed: argparse.Namespace) -> dict[str, str]:
        """Return the model and the data set of the run that is named, those that exist here."""
        with suppress(UserError, OSError):  # which are told where the run is read in full
            run = run_name(suffixed_name(typed.name, typed.suffix, vars(typed)))
            saved = read_training_options(Path(typed.checkpoints_dir) / run)
            known = {"model": models.model_names(True), "dataset_mode": data.dataset_names()}
            return {name: saved[name] for name in known if saved.get(name) in known[name]}
        return {}

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
        and the run begins too; see `_begin_script`.
        """
        if argv is None and Path(sys.argv[0]).name in NOTEBOOKS:
            raise UserError(
                "a notebook has the command line of its kernel: write sys.argv = ['train.py', "
                "'--dataroot', 'DIR', '--name', 'NAME'] before parse()"
            )
        try:
            opt = self.finish(self.gather(sys.argv[1:] if argv is None else list(argv)))
            completed_later = any(vars(opt).get(name) for name in ("continue_train", "start_from"))
            validate(opt, complete=not completed_later)
            return self._begin_script(opt) if argv is None else opt
        except UsageError as error:
            Parser(name_in_messages()).error(str(error))

    def _begin_script(self, parsed: Options) -> Options:
        """Start logging, complete the options from their run, seed; return what a script may set.

        Raises UsageError for flags that do not fit the run; any other UserError ends the script
        with one line, here and later.
        """
        print_user_errors_in_one_line()
        defaults = partial(option_defaults, self)
        run = ScriptRun(self.complete, self.follow, validate, defaults, translators_around_test)
        return run.begin(parsed)


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
    return parse_known(parser, argv)[0]


def parse_known(
    parser: argparse.ArgumentParser, argv: list[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags of argv that the parser knows so far, and the words that it does not know.

    --help is ignored, and required flags may be missing.
    """
    without_help = [word for word in argv if word not in ("-h", "--help")]
    required = [action for action in parser._actions if action.required]
    for action in required:
        action.required = False
    known, unknown = parser.parse_known_args(without_help)
    for action in required:
        action.required = True
    return known, unknown
