"""The door for scripts of 2017, whose `create_model` did what `setup` does, too."""

from util.options import Options

from . import BaseModel
from . import create_model as make_model

__all__ = ["create_model"]


def create_model(opt: Options) -> BaseModel:
    """Make the model that the flags describe, ready for use."""
    model = make_model(opt)
    model.setup(opt)
    return model
