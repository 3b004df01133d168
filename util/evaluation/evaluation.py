"""Figures of translations: what scripts and a training call.

Legend: levels are (3, H, W) uint8; a set of images is a mapping from names to levels.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from util.errors import UserError
from util.images import Uint8Image
from util.random_streams import own_random_streams

from .extractors import Extractor
from .feature_cache import FeatureCache
from .feature_distances import FEWEST, feature_distance
from .figures import METRICS, Figure, check_metrics, title
from .pair_distances import OF_LEVELS, PROTOCOLS, lpips_like, of_size
from .translated import Translate, Translated, identity_errors

log = logging.getLogger(__name__)


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
    What the generators draw (dropout) depends on `seed` alone, and no random stream of the caller
    moves. The caller sets the mode of the networks. See `evaluate_pairs` for the rest.
    """
    wanted = check_metrics(metrics)
    with own_random_streams(seed):
        way_back = backward if "cycle" in wanted else None
        translated = Translated(inputs, forward, way_back)
        figures = evaluate_pairs(real, translated, extractor, wanted, seed=seed, cache=cache)
        if way_back is not None:
            errors = translated.cycle_errors
            figures |= _errors("cycle", errors, "there and back against the input")
        if backward is not None and "identity" in wanted:
            errors = identity_errors(real, forward)
            figures |= _errors("identity", errors, "images of the target against themselves")
    return figures


def evaluate_pairs(
    real: Mapping[str, Uint8Image],
    fake: Iterable[tuple[str, Uint8Image]],
    extractor: Extractor | None,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    seed: int = 0,
    cache: FeatureCache | None = None,
) -> dict[str, Figure]:
    """Figures by their titles: images (name, levels), taken one by one, against real ones.

    Images that share a name with a real one are compared with it too. Figures for which there are
    no pairs or too few images are left out, the latter with a warning. `extractor` may be None
    where no metric of features is wanted. The result depends on images, names, extractor, metrics
    and `seed`, not on the order of `fake`; no random stream of the caller moves. Raises UserError
    where `fake` or `real` is empty.
    """
    wanted = check_metrics(metrics)
    with own_random_streams(seed):
        seen = _look_at(fake, real, extractor, wanted)
        if not seen.names or not real:
            raise UserError("there is nothing to compare: one of the two sets holds no image")
        figures: dict[str, Figure] = {}
        for metric in wanted:
            if METRICS[metric].of_pairs:
                figures |= _of_pairs(metric, seen.pairs.get(metric, {}), extractor)
        if extractor is not None and seen.features:
            fake_features = torch.stack([seen.features[name] for name in seen.names])
            real_features = (cache or FeatureCache()).features(real, extractor)
            for metric in wanted:
                if METRICS[metric].of_features and not METRICS[metric].of_pairs:
                    figures |= _of_features(metric, fake_features, real_features, extractor, seed)
    return {key: figures[key] for key in sorted(figures, key=lambda key: _place(figures[key]))}


@dataclass
class _Seen:
    """What is noted of the images that were looked at, by their names."""

    features: dict[str, Tensor] = field(default_factory=dict)
    pairs: dict[str, dict[str, float]] = field(default_factory=dict)
    all: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return sorted(self.all)


def _look_at(
    fake: Iterable[tuple[str, Uint8Image]],
    real: Mapping[str, Uint8Image],
    extractor: Extractor | None,
    wanted: Sequence[str],
) -> _Seen:
    seen = _Seen()
    of_features = any(METRICS[metric].of_features for metric in wanted)
    of_pairs = [metric for metric in wanted if METRICS[metric].of_pairs]
    for name, levels in fake:
        seen.all.add(name)
        maps: list[Tensor] = []
        if of_features and extractor is not None:
            seen.features[name], maps = extractor(levels)
        if name not in real or not of_pairs:
            continue
        true = real[name]
        same_size = of_size(levels, (true.shape[1], true.shape[2]))
        for metric in of_pairs:
            if metric in OF_LEVELS:
                value = OF_LEVELS[metric](same_size, true)
            elif extractor is not None and extractor.has_maps:
                value = lpips_like(maps, extractor(true)[1])
            else:
                continue
            seen.pairs.setdefault(metric, {})[name] = value
    return seen


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


def _place(figure: Figure) -> int:
    return list(METRICS).index(figure.metric)
