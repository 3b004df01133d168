"""Accept the flags of older generations of the reference under their names of today."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import suppress

import models
from util.errors import UsageError
from util.old_names import OLD_VALUES, RENAMED, SWITCHES

log = logging.getLogger(__name__)

Actions = dict[str, argparse.Action]

UNUSED = ("ntest",)
"""Old flags without any effect, in the reference too; each takes a value."""
UNUSED_IN_INFERENCE = ("display_id", "display_server", "display_port", "identity")
"""Flags that test.py of 2017 accepted without using them; each takes a value."""


def with_current_values(argv: list[str]) -> list[str]:
    """Return argv with old values of `--model` and `--lr_policy` replaced by their successors."""
    words = list(argv)
    for number, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        successors = OLD_VALUES.get(flag.removeprefix("--"), {})
        if flag == "--model":
            successors = {
                old: new for old, new in successors.items() if old not in models.model_names()
            }
        if equals and value in successors:
            words[number] = f"{flag}={successors[value]}"
        elif word == flag and argv[number + 1 : number + 2] and argv[number + 1] in successors:
            words[number + 1] = successors[argv[number + 1]]
    return words


def with_current_flags(
    argv: list[str], parser: argparse.ArgumentParser, training: bool
) -> list[str]:
    """Return argv with old flags replaced by their successors, which one warning names.

    A flag that the parser knows, by its name or as an abbreviation, is left alone, and so is an old
    one whose successor it does not know. Raises UsageError where an old and a new name of a flag
    have different values.
    """
    known = parser._option_string_actions
    words: list[str] = []
    notes: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        flag, equals, value = word.partition("=")
        old = _old_name(flag, known, training)
        if old in _unused(training):
            notes[flag] = "has no effect"
            if not equals:
                next(rest, None)
        elif old == "use_dropout":
            words.append("--use_dropout")
        elif old in SWITCHES and not equals:
            words += [f"--{SWITCHES[old][0]}", SWITCHES[old][1]]
            notes[flag] = f"is now {' '.join(words[-2:])}"
        elif old in RENAMED:
            words.append(f"--{RENAMED[old]}{equals}{value}")
            notes[flag] = f"is now --{RENAMED[old]}"
        else:
            words.append(word)
    _refuse_contradictions(argv, parser, training)
    if notes:
        log.warning("old flags: %s", ", ".join(f"{flag} {note}" for flag, note in notes.items()))
    return words


def add_use_dropout(parser: argparse.ArgumentParser) -> None:
    """Add `--use_dropout`, the opposite of `--no_dropout`, unless a plug-in has such a flag."""
    if "--use_dropout" not in parser._option_string_actions:
        parser.add_argument(
            "--use_dropout",
            dest="no_dropout",
            action="store_false",
            default=parser.get_default("no_dropout"),
            help=argparse.SUPPRESS,
        )


def _unused(training: bool) -> tuple[str, ...]:
    return UNUSED if training else UNUSED + UNUSED_IN_INFERENCE


def _old_name(flag: str, known: Actions, training: bool) -> str:
    """Return the old name that a flag is, or abbreviates, "" where it is none."""
    if not flag.startswith("--") or any(option.startswith(flag) for option in known):
        return ""
    successors = {**RENAMED, **{old: new for old, (new, _) in SWITCHES.items()}}
    names = {old for old, new in successors.items() if f"--{new}" in known}
    names |= {"use_dropout", *_unused(training)}
    typed = flag.removeprefix("--")
    matches = [typed] if typed in names else [old for old in names if old.startswith(typed)]
    return matches[0] if typed and len(matches) == 1 else ""


def _refuse_contradictions(
    argv: list[str], parser: argparse.ArgumentParser, training: bool
) -> None:
    """Raise UsageError where one option has two names in argv, with different values."""
    typed: dict[str, tuple[str, object, bool]] = {}
    for spelling, option, value, is_old in _typed_options(argv, parser, training):
        first, other, was_old = typed.setdefault(option, (spelling, value, is_old))
        if value != other and (is_old or was_old) and first.split()[0] != spelling.split()[0]:
            raise UsageError(f"{first} and {spelling} contradict each other: give one of them")


def _typed_options(
    argv: list[str], parser: argparse.ArgumentParser, training: bool
) -> Iterator[tuple[str, str, object, bool]]:
    """Yield each flag of argv with its value as typed, its option, value, and whether it is old."""
    known = parser._option_string_actions
    for number, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        old = _old_name(flag, known, training)
        if old == "use_dropout":
            yield word, "no_dropout", False, True
        elif old in SWITCHES:
            yield word, *SWITCHES[old], True
        else:
            action = _action(f"--{RENAMED[old]}" if old in RENAMED else flag, known)
            if action is None:
                continue
            if action.nargs == 0:
                yield word, action.dest, action.const, bool(old)
                continue
            text = value if equals else "".join(argv[number + 1 : number + 2])
            yield f"{flag} {text}", action.dest, _converted(text, action), bool(old)


def _action(flag: str, known: Actions) -> argparse.Action | None:
    """Return the action of a flag or of its abbreviation, None where there is not just one."""
    if flag in known or not flag.startswith("--"):
        return known.get(flag)
    actions = {id(action): action for name, action in known.items() if name.startswith(flag)}
    return next(iter(actions.values())) if len(actions) == 1 else None


def _converted(text: str, action: argparse.Action) -> object:
    """Return the value of a flag, or its text where that is no value."""
    with suppress(ValueError, TypeError, argparse.ArgumentTypeError):
        return action.type(text) if callable(action.type) else text
    return text
