"""What to do about a flag that a program does not know, or a value that is not where it belongs."""

import argparse
import importlib
import re
from contextlib import suppress

import data
import models
from util.errors import did_you_mean
from util.old_names import RENAMED, SWITCHES

PROGRAMS = {
    True: ("01_train.py", "train_options", "TrainOptions"),
    False: ("02_inference.py", "test_options", "TestOptions"),
}
"""Whether a program trains -> its file, and the module and the class of its options."""

USUAL_NAMES = {
    "epochs": "n_epochs",
    "learning_rate": "lr",
    "workers": "num_threads",
    "num_workers": "num_threads",
    "resume": "continue_train",
    "device": "gpu_ids",
    "image_size": "crop_size",
}
"""Names that other programs have -> ours."""


def hint_at_mistake(
    message: str, parser: argparse.ArgumentParser, typed: list[str], training: bool
) -> str:
    """Return a hint at what was meant with a command line, `typed`, "" where there is none.

    `message` is what argparse says of it.
    """
    if message.startswith(("unrecognized arguments: ", "ambiguous option: ")):
        words = message.split()[2:]
        flags = [word.split("=")[0] for word in words if word.startswith(("-", "\u2014"))]
        if not flags:
            return '; a flag takes at most one value, in quotes if it has spaces: --dataroot "a b"'
        hint = owner_hint(flags[0], training)
        return hint or (near_flag(flags[0], parser) if message.startswith("unrec") else "")
    if not message.startswith("argument --"):
        return ""
    flag = message.split()[1].split("/")[0].rstrip(":")
    if message.endswith("expected one argument") and flag in typed[:-1]:
        value = typed[typed.index(flag) + 1]
        if re.match(r"-[\d.]", value):  # argparse takes it for a flag, unless it is a number
            return f"; write {flag}={value}"
    if comma := re.search(r"invalid float value: '(-?\d*),(\d+)'$", message):
        return f"; write {flag} {comma[1]}.{comma[2]}"
    unknown = {word.split("=")[0] for word in typed} - set(parser._option_string_actions)
    # --input is --input_nc in training
    return "".join(owner_hint(w, training) for w in unknown if flag.startswith(w))


def owner_hint(word: str, training: bool) -> str:
    """Return `; --lr is a flag of 01_train.py` or the like, "" where nothing has that flag."""
    name = word.removeprefix("--")
    owner = _owner(word, training)
    if owner:
        return f"; {word} is a flag of {owner}"
    new = f"--{RENAMED.get(name, SWITCHES.get(name, ('',))[0])}"
    owner = _owner(new, training)
    return f"; {word} is now {new}, a flag of {owner}" if owner else ""


def near_flag(word: str, parser: argparse.ArgumentParser) -> str:
    """Return `; did you mean --X?`, with X a flag of the parser or an old one, or ""."""
    usual = f"--{USUAL_NAMES.get(word.removeprefix('--').replace('-', '_'), '')}"
    if usual in parser._option_string_actions:
        return f"; did you mean {usual}?"
    old = [f"--{name}" for name in (*RENAMED, *SWITCHES)]
    return did_you_mean(word, [*parser._option_string_actions, *old])


def _owner(flag: str, training: bool) -> str:
    """Return the program, or the models or data sets, that have a flag, "" where none has."""
    for program in (training, not training):
        script, module, name = PROGRAMS[program]
        # imported here, where a command line was wrong: these modules import this one
        options = getattr(importlib.import_module(f".{module}", __package__), name)()
        place = "" if program == training else f"{script} "
        if place and flag in options.parser([])._option_string_actions:
            return script
        plugins = {"--model": models.model_names(program), "--dataset_mode": data.dataset_names()}
        for kind, names in plugins.items():
            owners = []
            for plugin in names:
                with suppress(Exception):  # a plug-in that fails is named when it is used
                    if flag in options.parser([kind, plugin])._option_string_actions:
                        owners.append(plugin)
            if owners:
                return f"{place}{kind} {' or '.join(owners)}"
    return ""
