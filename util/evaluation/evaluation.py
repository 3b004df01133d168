"""Figures of translations: what scripts and a training call.

Legend: levels are (3, H, W) uint8; a set of images is a mapping from names to levels.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from util import sharing
from util.errors import UserError
from util.images import Uint8Image
from util.random_streams import own_random_streams

from .extractors import Extractor
from .feature_cache import FeatureCache
from .feature_distances import FEWEST, feature_distance
from .figures import METRICS, Figure, check_metrics, title
from .pair_distances import OF_LEVELS, PROTOCOLS, lpips_like, of_size
from .translated import Translate, Translated, identity_error

log = logging.getLogger(__name__)

Value = TypeVar("Value")


def evaluate_direction(
    inputs: Mapping[str, Uint8Image],
    real: Mapping[str, Uint8Image],
    forward: Translate,
    extractor: Extractor | None,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    backward: Translate | None = None,
    seed: int = 0,
    cache: FeatureCache | None = None,
) -> dict[str, Figure]:
    """Figures of the generator `forward` by their titles: `inputs` translated against `real`.

    `backward`, the generator of the other direction, adds the cycle error and the identity error.
    What the generators draw (dropout) depends on `seed` and the names alone, and no random stream
    of the caller moves. The caller sets the mode of the networks. See `evaluate_pairs` for the
    rest.
    """
    wanted = check_metrics(metrics)
    way_back = backward if "cycle" in wanted else None
    translated = Translated(inputs, forward, way_back, seed)
    figures = evaluate_pairs(real, translated, extractor, wanted, seed=seed, cache=cache)
    if way_back is not None:
        errors = sharing.merged(translated.cycle_errors)
        figures |= _errors("cycle", errors, "there and back against the input")
    if backward is not None and "identity" in wanted:
        errors = _of_each(real, lambda name: identity_error(name, real[name], forward, seed))
        figures |= _errors("identity", errors, "images of the target against themselves")
    return figures


def evaluate_pairs(
    real: Mapping[str, Uint8Image],
    fake: Mapping[str, Uint8Image],
    extractor: Extractor | None,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    seed: int = 0,
    cache: FeatureCache | None = None,
) -> dict[str, Figure]:
    """Figures by their titles: images by name, each asked for once, against real ones.

    Images that share a name with a real one are compared with it too. Figures for which there are
    no pairs or too few images are left out, the latter with a warning. `extractor` may be None
    where no metric of features is wanted. The result depends on images, names, extractor, metrics
    and `seed` alone; no random stream of the caller moves. Several processes, which all call it
    with the same images, look at a share of them each and get the same figures. Raises UserError
    where `fake` or `real` is empty.
    """
    wanted = check_metrics(metrics)
    if not fake or not real:
        raise UserError("there is nothing to compare: one of the two sets holds no image")
    of_sets = [m for m in wanted if METRICS[m].of_features and not METRICS[m].of_pairs]
    with own_random_streams(seed):
        looks = _of_each(fake, lambda name: _look_at(name, fake, real, extractor, wanted))
        features: tuple[Tensor, Tensor] | None = None
        if extractor is not None and of_sets:
            own = [look.features for look in looks.values() if look.features is not None]
            features = torch.stack(own), (cache or FeatureCache()).features(real, extractor)
        return sharing.on_main(lambda: _figures(looks, features, extractor, wanted, seed))


@dataclass(frozen=True)
class _Look:
    """What is noted of an image that was looked at."""

    features: Tensor | None
    pairs: dict[str, float]
    """By the metric; empty without a real image of its name."""


def _of_each(names: Iterable[str], function: Callable[[str], Value]) -> dict[str, Value]:
    """Return what a function finds for each name, sorted, of which each process does a share."""
    own = sharing.share(sorted(names))
    found = sharing.merged(sharing.on_all(lambda: {name: function(name) for name in own}))
    return {name: found[name] for name in sorted(found)}


def _look_at(
    name: str,
    fake: Mapping[str, Uint8Image],
    real: Mapping[str, Uint8Image],
    extractor: Extractor | None,
    wanted: Sequence[str],
) -> _Look:
    of_pairs = [metric for metric in wanted if METRICS[metric].of_pairs]
    levels = fake[name]
    features: Tensor | None = None
    maps: list[Tensor] = []
    if extractor is not None and any(METRICS[metric].of_features for metric in wanted):
        features, maps = extractor(levels)
    pairs: dict[str, float] = {}
    if name in real and of_pairs:
        true = real[name]
        same_size = of_size(levels, (true.shape[1], true.shape[2]))
        for metric in of_pairs:
            if metric in OF_LEVELS:
                pairs[metric] = OF_LEVELS[metric](same_size, true)
            elif extractor is not None and extractor.has_maps:
                pairs[metric] = lpips_like(maps, extractor(true)[1])
    return _Look(features, pairs)


def _figures(
    looks: Mapping[str, _Look],
    features: tuple[Tensor, Tensor] | None,
    extractor: Extractor | None,
    wanted: Sequence[str],
    seed: int,
) -> dict[str, Figure]:
    """Return the figures, in the order of METRICS; `features` are those of translations, real."""
    figures: dict[str, Figure] = {}
    for metric in wanted:
        if METRICS[metric].of_pairs:
            values = {name: x.pairs[metric] for name, x in looks.items() if metric in x.pairs}
            figures |= _of_pairs(metric, values, extractor)
        elif METRICS[metric].of_features and features is not None and extractor is not None:
            figures |= _of_features(metric, *features, extractor, seed)
    return figures


def _of_pairs(
    metric: str, values: Mapping[str, float], extractor: Extractor | None
) -> dict[str, Figure]:
    if not values:
        return {}
    protocol = f"{len(values)} pairs of the same name, {PROTOCOLS[metric]}"
    if METRICS[metric].of_features and extractor is not None:
        protocol += f", {extractor.name} on {extractor.resize}"
    name = title(metric, extractor.name if extractor else None)
    return {name: Figure(metric, _mean(values), protocol)}


def _of_features(
    metric: str, fake: Tensor, real: Tensor, extractor: Extractor, seed: int
) -> dict[str, Figure]:
    name = title(metric, extractor.name)
    if min(len(fake), len(real)) < FEWEST[metric]:
        log.warning(
            "%s needs at least %d images of each set; there are %d and %d: left out",
            *(name, FEWEST[metric], len(fake), len(real)),
        )
        return {}
    found = feature_distance(metric, fake, real, seed)
    protocol = (
        f"{len(fake)} images against {len(real)} real, {extractor.name} on {extractor.resize}"
    )
    settings = f", {found.settings}" if found.settings else ""
    return {name: Figure(metric, found.value, protocol + settings, found.spread)}


def _errors(metric: str, errors: Mapping[str, float], what: str) -> dict[str, Figure]:
    protocol = f"{len(errors)} images, {what}, {PROTOCOLS['l1']}"
    return {title(metric, None): Figure(metric, _mean(errors), protocol)}


def _mean(values: Mapping[str, float]) -> float:
    """In the order of the names, so that the last bit does not depend on another order."""
    return float(np.mean([values[name] for name in sorted(values)]))
