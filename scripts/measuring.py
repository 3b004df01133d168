"""What all figures of a command line are computed with."""

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from options.base_options import parse_gpu_ids
from util.devices import pick_device
from util.evaluation import (
    METRICS,
    Extractor,
    FeatureCache,
    ImageSet,
    evaluate_direction,
    evaluate_pairs,
    make_extractor,
)
from util.evaluation.direction import Direction
from util.evaluation.report import Figures
from util.evaluation.translated import Translate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measuring:
    """What all figures are computed with."""

    metrics: tuple[str, ...]
    extractor: Extractor | None
    seed: int
    cache: FeatureCache

    def of_sets(self, real: ImageSet, fake: ImageSet) -> Figures:
        """Figures of images that are there."""
        return evaluate_pairs(real, fake, self.extractor, self.metrics, **self._more)

    def of_direction(
        self, way: Direction, forward: Translate, backward: Translate | None
    ) -> Figures:
        """Figures of a generator."""
        metrics = way.applicable(self.metrics)
        sets = (way.inputs, way.real, forward, self.extractor, metrics)
        return evaluate_direction(*sets, backward=backward, **self._more)

    @property
    def _more(self) -> dict[str, Any]:
        return {"seed": self.seed, "cache": self.cache}


def measuring(args: argparse.Namespace, device: torch.device | None = None) -> Measuring:
    """The extractor, where a metric needs one, and the cache."""
    extractor = None
    if any(METRICS[metric].of_features for metric in args.metrics):
        device = device or chosen_device(args)
        extractor = make_extractor(args.extractor, device, args.inception_weights)
        if "lpips_like" in args.metrics and not extractor.has_maps:
            log.warning("LPIPS-like is left out: %s gives no maps", extractor.name)
    cache = FeatureCache(Path(args.checkpoints_dir) / "cache" / "features")
    return Measuring(args.metrics, extractor, args.seed, cache)


def chosen_device(args: argparse.Namespace) -> torch.device:
    """As --gpu_ids says."""
    return pick_device(parse_gpu_ids(args.gpu_ids or "0"), args.gpu_ids is not None)
