"""The models, one per file `<name>_model.py`, and the factory behind `--model <name>`."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable

from util.devices import choose_device
from util.options import Options, script_of
from util.plugins import find_plugin, plugin_names

from .base_model import BaseModel
from .inference.current_generators import current_generators
from .inference.image_translator import load_generator

__all__ = [
    "BaseModel",
    "create_model",
    "current_generators",
    "find_model_using_name",
    "get_option_setter",
    "load_generator",
    "model_names",
]

ONLY_TRANSLATE = ("test",)
"""Models that cannot be trained."""

OptionSetter = Callable[[ArgumentParser, bool], ArgumentParser]


def model_names(training: bool = False) -> list[str]:
    """Return the names that `--model` accepts, in inference or in training."""
    names = plugin_names(sys.modules[__name__], "model")
    return [name for name in names if not (training and name in ONLY_TRANSLATE)]


def find_model_using_name(model_name: str, training: bool = False) -> type[BaseModel]:
    """Return the class behind `--model <model_name>`.

    Raises UsageError where there is none, with the names that exist, in training without those of
    models that cannot be trained.
    """
    package, listed = sys.modules[__name__], model_names(training)
    return find_plugin(package, model_name, "model", BaseModel, "--model", listed)


def get_option_setter(model_name: str) -> OptionSetter:
    """Return `modify_commandline_options` of a model. Raises UsageError for an unknown name."""
    return find_model_using_name(model_name).modify_commandline_options


def create_model(opt: Options) -> BaseModel:
    """Make the model that the flags describe; call `setup(opt)` before it is used."""
    script_of(opt)  # which completes what a script has assigned
    return find_model_using_name(opt.model)(choose_device(opt))
