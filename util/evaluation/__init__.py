"""Figures that say how good translations are: FID, KID, precision, recall, errors of pairs."""

from .evaluation import evaluate_direction, evaluate_pairs
from .extractors import Extractor, make_extractor
from .feature_cache import FeatureCache
from .figures import METRICS, Figure
from .image_set import ImageSet

__all__ = [
    "METRICS",
    "Extractor",
    "FeatureCache",
    "Figure",
    "ImageSet",
    "evaluate_direction",
    "evaluate_pairs",
    "make_extractor",
]
