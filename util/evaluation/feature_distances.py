"""Distances between two sets of features, by torch-fidelity's own functions.

Legend: fake (N, F) and real (M, F), float32, in the order of the names of the images.
"""

from dataclasses import dataclass

from torch import Tensor

from .extractors import needed

SUBSETS, SUBSET_SIZE = 100, 1000
"""Of KID, as published."""

NEIGHBOURS = 3
"""Of precision and recall: the radius around an image is the distance to this neighbour."""

FEWEST = {"fid": 2, "kid": 4, "precision": NEIGHBOURS + 1, "recall": NEIGHBOURS + 1}
"""Images of each set that a figure needs to be defined."""


@dataclass(frozen=True)
class Distance:
    """A value, and what was set to compute it."""

    value: float
    settings: str = ""
    spread: float | None = None


def feature_distance(metric: str, fake: Tensor, real: Tensor, seed: int) -> Distance:
    """`fid`, `kid`, `precision` or `recall` of translations against real images.

    FID (arXiv 1706.08500) is the distance of two normal distributions, KID (arXiv 1801.01401) an
    unbiased estimate, precision the share of translations near a real image and recall the share
    of real images near a translation (arXiv 1904.06991).
    """
    if metric == "fid":
        return _fid(fake, real)
    if metric == "kid":
        return _kid(fake, real, seed)
    package = needed("torch_fidelity.metric_prc", "torch-fidelity")
    found = package.prc_features_to_metric(fake, real, prc_neighborhood=NEIGHBOURS, verbose=False)
    return Distance(found[metric], f"{NEIGHBOURS} nearest neighbours")


def _fid(fake: Tensor, real: Tensor) -> Distance:
    package = needed("torch_fidelity.metric_fid", "torch-fidelity")
    first, second = (package.fid_features_to_statistics(features) for features in (fake, real))
    found = package.fid_statistics_to_metric(first, second, verbose=False)
    return Distance(found[package.KEY_METRIC_FID])


def _kid(fake: Tensor, real: Tensor, seed: int) -> Distance:
    package = needed("torch_fidelity.metric_kid", "torch-fidelity")
    size = kid_subset_size(len(fake), len(real))
    found = package.kid_features_to_metric(
        *(fake, real),
        kid_subsets=SUBSETS,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    return Distance(
        found[package.KEY_METRIC_KID_MEAN],
        f"{SUBSETS} subsets of {size}, seed {seed}",
        found[package.KEY_METRIC_KID_STD],
    )


def kid_subset_size(fakes: int, reals: int) -> int:
    """1000, or half the smaller set: subsets that are the whole set would have no spread."""
    return min(SUBSET_SIZE, min(fakes, reals) // 2)
