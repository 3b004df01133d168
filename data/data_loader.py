"""The door for scripts of 2017: `CreateDataLoader(opt).load_data()`."""

from . import create_dataset as CreateDataLoader

__all__ = ["CreateDataLoader"]
