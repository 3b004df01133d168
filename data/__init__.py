"""Data sets, one per file `<name>_dataset.py`; `--dataset_mode <name>` finds it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from util.plugins import find_plugin, plugin_names
from util.video_files import is_video

from .base_dataset import BaseDataset
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
    """What `--dataset_mode` accepts."""
    return plugin_names(sys.modules[__name__], "dataset")


def find_dataset_using_name(dataset_name: str) -> type[BaseDataset]:
    """The class behind `--dataset_mode <dataset_name>`. Raises UsageError where there is none."""
    return find_plugin(
        sys.modules[__name__], dataset_name, "dataset", BaseDataset, "--dataset_mode"
    )


def get_option_setter(dataset_name: str) -> OptionSetter:
    """`modify_commandline_options` of the data set of that name."""
    return find_dataset_using_name(dataset_name).modify_commandline_options


def create_dataset(opt: Namespace) -> CustomDatasetDataLoader:
    """The data set that the flags describe, in batches: iterate over it, or over its epochs."""
    return CustomDatasetDataLoader(find_dataset_using_name(opt.dataset_mode)(opt), opt)


def create_inference_images(opt: Namespace) -> ImagePrefetcher | VideoFrames:
    """What inference translates: the items of the data set, or the frames of a video."""
    return VideoFrames(opt) if is_video(opt) else ImagePrefetcher(create_dataset(opt).dataset, opt)
