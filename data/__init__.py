"""Data sets, one per file `<name>_dataset.py`, found by `--dataset_mode <name>`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import nullcontext

from util.errors import UserError
from util.options import script_of
from util.plugins import find_plugin, plugin_names
from util.video_files import is_video

from .aligned_dataset import AlignedDataset
from .base_dataset import BaseDataset
from .checks.at_start import warn_of_sizes
from .colorization_dataset import ColorizationDataset
from .image_folder import listing_together
from .inference.fixed_samples import fixed_samples
from .inference.folder import ImagePrefetcher
from .inference.held_out import held_out_directions
from .inference.video import VideoFrames
from .loader import CustomDatasetDataLoader

__all__ = [
    "BaseDataset",
    "CustomDatasetDataLoader",
    "create_dataset",
    "create_inference_images",
    "dataset_names",
    "find_dataset_using_name",
    "fixed_samples",
    "get_option_setter",
    "held_out_directions",
]

OptionSetter = Callable[[ArgumentParser, bool], ArgumentParser]


def dataset_names() -> list[str]:
    """Return the values that `--dataset_mode` accepts."""
    return plugin_names(sys.modules[__name__], "dataset")


def find_dataset_using_name(dataset_name: str) -> type[BaseDataset]:
    """Return the class behind `--dataset_mode <dataset_name>`.

    Raises UsageError where no file or no class has that name.
    """
    return find_plugin(
        sys.modules[__name__], dataset_name, "dataset", BaseDataset, "--dataset_mode"
    )


def get_option_setter(dataset_name: str) -> OptionSetter:
    """Return `modify_commandline_options` of the data set of that name."""
    return find_dataset_using_name(dataset_name).modify_commandline_options


def create_dataset(opt: Namespace) -> CustomDatasetDataLoader:
    """Create the data set of `--dataset_mode` and its loader, which iterates over batches.

    Raises UsageError or UserError where the flags or the folders do not suit the data set, and
    where it is empty.
    """
    script_of(opt)  # which completes what a script has assigned
    cls = find_dataset_using_name(opt.dataset_mode)
    if any("initialize" in vars(c) and "__init__" not in vars(c) for c in cls.__mro__):
        raise UserError(  # data sets were made by it before 2019
            f"{cls.__module__}.{cls.__name__}: rename initialize to __init__(self, opt)"
        )
    with listing_together() if opt.isTrain else nullcontext():
        dataset = cls(opt)
    _refuse_unused_attributes(dataset)
    if len(dataset) == 0:
        raise UserError(
            f"--dataset_mode {opt.dataset_mode}: {type(dataset).__name__} is empty, it found "
            f"nothing in --dataroot {opt.dataroot} (--phase {opt.phase})"
        )
    if opt.isTrain:
        warn_of_sizes(dataset, opt)
    return CustomDatasetDataLoader(dataset, opt)


def _refuse_unused_attributes(dataset: BaseDataset) -> None:
    """Raise UserError if a subclass assigned a transform that its parent never calls."""
    cls, assigned = type(dataset), vars(dataset)
    transforms = [attribute for attribute in assigned if attribute.startswith("transform")]
    if transforms and cls.__getitem__ in (
        AlignedDataset.__getitem__,
        ColorizationDataset.__getitem__,
    ):
        raise UserError(
            f"{cls.__module__}.{cls.__name__} assigns self.{transforms[0]}, which its parent never "
            "calls: override __getitem__ and call it there"
        )


def create_inference_images(opt: Namespace) -> ImagePrefetcher | VideoFrames:
    """Create what inference translates: the items of the data set, or the frames of a video."""
    return VideoFrames(opt) if is_video(opt) else ImagePrefetcher(create_dataset(opt).dataset, opt)
