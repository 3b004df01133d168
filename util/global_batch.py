"""The batch that several processes train on together: W processes with B images each.

Gradients, losses and generated images are those of one process with a batch of W B images. Where
one process trains alone, nothing here communicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import ranks


@dataclass
class _Share:
    images: bool = True
    """Whether this process has images of the batch, and not only one that fills it."""
    factor: float = 1.0
    first: int = 0
    """Place of the first image of this process in the global batch."""
    total: int = 0
    """Images of the global batch."""


_share = _Share()


def has_images() -> bool:
    """Return whether this process has images of the global batch."""
    return _share.images


def announce_batch(own: int, total: int, first: int = 0) -> None:
    """Say how many images of the global batch this process has, from which place on.

    The mean loss is weighted by their number.

    The last batch of an epoch may have fewer images than there are processes: then a process
    without one computes with another image, which counts for nothing.
    """
    _share.images, _share.factor = own > 0, own * ranks.world() / total
    _share.first, _share.total = first if own else 0, total


def factor() -> float:
    """Return the factor of a loss that makes the mean over processes one over images; mostly 1."""
    return _share.factor


def draw(images: int, columns: int, generator: torch.Generator) -> Tensor:
    """Return random numbers in [0, 1) for each image of this process, (images, columns).

    They are drawn for the global batch from a generator that is alike on all processes, so that an
    image gets the same ones on any number of processes.
    """
    if ranks.world() == 1:
        return torch.rand(images, columns, generator=generator)
    everyones = torch.rand(_share.total, columns, generator=generator)
    return everyones[_share.first : _share.first + images]


def gather_batches(images: Tensor) -> list[Tensor]:
    """Return the images (N, ...) of all processes, in the order of the ranks.

    N and the sizes may differ. The share of a process that only fills the last batch is empty.
    """
    if ranks.world() == 1:
        return [images]
    number = len(images) if _share.images else 0
    shapes = [
        shape.tolist() for shape in ranks.all_gather(torch.tensor([number, *images.shape[1:]]))
    ]
    counts = [torch.Size(shape).numel() for shape in shapes]
    flat = images.new_zeros(max(counts))
    own = counts[ranks.rank()]
    flat[:own] = images.reshape(-1)[:own]
    gathered = ranks.all_gather(flat)
    parts = zip(gathered, counts, shapes, strict=True)
    return [values[:count].view(shape) for values, count, shape in parts]


def mean_of(scalars: Mapping[str, float]) -> dict[str, float]:
    """Return the means over all images of scalars that are means over those of each process."""
    if ranks.world() == 1 or not scalars:
        return dict(scalars)
    values = torch.tensor(list(scalars.values()), dtype=torch.float64)
    if _share.images:
        values *= _share.factor
    else:
        values.zero_()
    return dict(zip(scalars, ranks.all_reduce(values).tolist(), strict=True))


def average_gradients(weights: Sequence[Tensor]) -> None:
    """Average the gradients of weights over the processes, flattened to one tensor for each type.

    A gradient that is None on all processes stays None; one that is None on some counts as zero.
    """
    if ranks.world() == 1:
        return
    has = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8)
    used = [
        w
        for w, has_one in zip(weights, ranks.all_reduce(has, "max").tolist(), strict=True)
        if has_one
    ]
    by_type: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for weight in used:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        by_type.setdefault((weight.dtype, weight.device), []).append(weight.grad)
    for gradients in by_type.values():
        flat = ranks.all_reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
