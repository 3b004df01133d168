"""Items of a data set, and batches of them."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.utils.data
from PIL import Image
from torch import Tensor

from util.errors import UserError
from util.random_streams import global_streams

from .base_dataset import BaseDataset

Item = dict[str, Any]


def seeds_global_streams(dataset: object) -> bool:
    """Return whether the global random streams are seeded for each item of a data set.

    They are, unless its very class promises to draw from `BaseDataset.random` alone.
    """
    return not vars(type(dataset)).get("draws_from_own_stream", False)


def load_item(
    dataset: BaseDataset, index: int, opt: Namespace, epoch: int = 1, compact: bool = False
) -> Item:
    """Return `dataset[index]` with names: `A_paths`, and `B_paths` where there is a `B`.

    What a plug-in draws from `random`, `numpy.random` and `torch` depends on (seed, epoch, index)
    alone; see `global_streams` about threads. Its NumPy arrays become tensors. `compact`: the item
    of our own data sets is `compact_item`. Raises UserError where the item is no dict, or holds an
    image of Pillow.
    """
    dataset._item_epoch = epoch
    if not seeds_global_streams(dataset):
        return dataset.compact_item(index) if compact else dataset[index]
    with global_streams(opt.seed or 0, "plug-in's item", epoch, index):
        item: Any = dataset[index]
    name = type(dataset).__name__
    if not isinstance(item, Mapping) or not item:
        kind = "an empty one" if isinstance(item, Mapping) else f"a {type(item).__name__}"
        raise UserError(f"{name}: item {index} must be a dict of images and paths, not {kind}")
    item = {key: _tensor_of(value) for key, value in item.items()}
    for key, value in item.items():
        if isinstance(value, Image.Image):
            raise UserError(
                f"{name}: {key!r} of item {index} is an image of Pillow; return a tensor in "
                "[-1, 1] instead, for example that of get_transform(opt)"
            )
    return _named(item, index)


def _tensor_of(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(np.ascontiguousarray(value))
    return value


def _named(item: Item, index: int) -> Item:
    """Return the item with the path keys that it lacks: those of its other side, else numbers."""
    paths = [value for key, value in item.items() if key.endswith("_paths")]
    name = paths[0] if paths else f"item_{index:06}.png"
    needed = ["A_paths", *(["B_paths"] if "B" in item else [])]
    return {**item, **{key: name for key in needed if key not in item}}


def batch_of(items: list[Item]) -> Item:
    """Items -> a batch: tensors and numbers stacked along a new first axis, all else in lists.

    Images become (N, C, H, W). What is nested is stacked as PyTorch's DataLoader does; names of
    files stay one entry per item. Raises UserError where images of different sizes meet, or items
    of different keys.
    """
    keys = items[0].keys()
    for item in items:
        if item.keys() != keys:
            some, others = sorted(keys - item.keys()), sorted(item.keys() - keys)
            raise UserError(
                f"items of a batch must have the same keys, but {', '.join(some + others)} "
                "is not in all of them; use --batch_size 1"
            )
    return {key: _batched(key, [item[key] for item in items]) for key in keys}


def _batched(key: str, values: list[Any]) -> Any:
    first = values[0]
    if key.endswith("_paths") or isinstance(first, str):
        return values
    if isinstance(first, Tensor):
        _check_shapes(key, values)
        # one is not copied
        return torch.stack(values) if len(values) > 1 else first.unsqueeze(0)
    try:
        return torch.utils.data.default_collate(values)
    except (TypeError, RuntimeError):  # of a type that cannot be stacked, or of different lengths
        return values


def _check_shapes(key: str, values: list[Tensor]) -> None:
    shapes = sorted({tuple(value.shape) for value in values})
    if len(shapes) == 1:
        return
    sizes = sorted({shape[-2:] for shape in shapes})
    if len(sizes) > 1 and all(len(size) == 2 for size in sizes):
        (h1, w1), (h2, w2) = sizes[0], sizes[-1]
        raise UserError(
            f"--batch_size {len(values)}: images of {w1}x{h1} and {w2}x{h2} do not "
            "stack; use --batch_size 1, or a --preprocess that crops"
        )
    raise UserError(
        f"--batch_size {len(values)}: items do not make a batch, since {key!r} has the shapes "
        f"{shapes[0]} and {shapes[-1]}; use --batch_size 1"
    )
