"""Every flag of both generations of the reference, with its type, default and values."""

import argparse
from typing import Any

import pytest
from golden_figures import load

from data import dataset_names
from models import model_names
from options.base_options import BaseOptions
from options.test_options import TestOptions
from options.train_options import TrainOptions

GOLDEN = load("options")
PHASES: dict[str, list[type[BaseOptions]]] = {
    "train": [TrainOptions],
    "test": [TestOptions],
    "both": [TrainOptions, TestOptions],
}


def words(scope: str) -> list[str]:
    """Return the command line that selects the plug-in of a scope."""
    kind, _, name = scope.partition(":")
    return {"model": ["--model", name], "dataset": ["--dataset_mode", name]}.get(kind, [])


def actions(options: type[BaseOptions], scope: str) -> dict[str, argparse.Action]:
    """Return the action of each flag."""
    parser = options().parser(words(scope))
    return {flag: action for action in parser._actions for flag in action.option_strings}


def cases() -> list[Any]:
    return [
        pytest.param(options, entry, id=f"{options.__name__}{entry['flag']}")
        for entry in GOLDEN["options"]
        for options in PHASES[entry["phase"]]
    ]


@pytest.mark.parametrize(("options", "entry"), cases())
def test_flag_has_its_type_default_and_values(
    options: type[BaseOptions], entry: dict[str, Any]
) -> None:
    action = actions(options, entry["scope"])[entry["flag"]]
    if entry["action"] == "store_true":
        assert isinstance(action, argparse._StoreTrueAction)
        assert action.const is True
    else:
        assert (action.type or str).__name__ == entry["type"]
    if not _changed_by_a_plugin(options, entry):
        assert str(action.default) == str(entry["default"])
    if entry["required"] and options is TrainOptions:
        assert action.required
    values = set(entry["values"] or [])
    known = {"--model": model_names(), "--dataset_mode": dataset_names()}
    assert values <= set(known.get(entry["flag"], action.choices or values))


def _changed_by_a_plugin(options: type[BaseOptions], entry: dict[str, Any]) -> bool:
    """Return whether a golden entry of another scope sets this default (checked below)."""
    scopes = [change["scope"] for change in GOLDEN["defaults_changed_by_plugins"]
              if entry["flag"][2:] in change["set"]]  # fmt: skip
    own = "model:test" if options is TestOptions else "model:cycle_gan"
    return bool({"test", own, entry["scope"]} & set(scopes)) and (
        options is TestOptions or "test" not in scopes or own in scopes
    )


@pytest.mark.parametrize("change", GOLDEN["defaults_changed_by_plugins"], ids=str)
def test_plugins_change_the_defaults_that_they_should(change: dict[str, Any]) -> None:
    scope = change["scope"]
    if scope == "test" or scope == "model:test":
        kinds: list[type[BaseOptions]] = [TestOptions]
    elif change["only_in"] == "train":
        kinds = [TrainOptions]
    else:
        kinds = [TrainOptions, TestOptions]
    for options in kinds:
        for name, value in change["set"].items():
            parser = options().parser(words(scope))
            expected = parser.get_default("crop_size") if "crop_size" in str(value) else value
            assert parser.get_default(name) == expected, (options, name)


def test_what_inference_forces() -> None:
    given = ["--num_threads", "3", "--batch_size", "5"]
    opt = TestOptions().parse(given)
    for name, value in GOLDEN["forced_at_inference"].items():
        if name in vars(opt):
            assert getattr(opt, name) == value
    assert (opt.num_threads, opt.batch_size, opt.serial_batches, opt.no_flip) == (0, 1, True, True)
