"""Applies a trained generator to images of any size, as a whole or in tiles."""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from util import ranks
from util.errors import UserError
from util.memory import available_bytes

from ..base_model import BaseModel
from ..compute.compilation import compiler_errors_for_users
from ..compute.forward import best_memory_format
from ..compute.precision import autocast, round_weights, use_precision
from .deferred_compilation import MIN_SECONDS_LEFT, DeferredCompilation
from .self_ensemble import LARGEST_SHIFT, NUMBERS, cannot_average, self_ensemble
from .tile_cost import measure
from .tiling import can_be_tiled, run_in_tiles

log = logging.getLogger(__name__)

DEFAULT_TILE = 512
"""Side in pixels; a tile and its borders fit into small memories."""
NEVER_TOO_LARGE = 512 * 512
"""Pixels of a batch for which memory always suffices, so that it need not be estimated."""


@dataclass(frozen=True)
class InferenceSettings:
    """How a generator computes, by the flags of inference of the same names."""

    precision: str = "tf32"
    tile: int | None = None
    """Side of a tile in pixels; 0: without tiling; None: only if the memory is too small."""
    compile: str = "off"
    images: int | None = None
    """Number of images to come, which decides whether compiling pays; None: compile at once."""
    self_ensemble: int = 1
    """How many mirrored and shifted copies are translated and averaged: 1, 2, 4 or 8."""

    def __post_init__(self) -> None:
        if self.self_ensemble not in NUMBERS:
            raise UserError(f"self_ensemble {self.self_ensemble}: give one of {NUMBERS}")


class Translator(nn.Module):
    """Applies the network `module` in inference mode.

    (N, C, H, W) in [-1, 1] -> (N, C', H, W) float32 in [-1, 1] for any H and W: images are padded
    to the next size that the network takes, and results are cropped.
    """

    def __init__(self, net: nn.Module, device: torch.device, settings: InferenceSettings) -> None:
        super().__init__()
        self.precision = use_precision(settings.precision, device)
        compiled, half = settings.compile != "off", self.precision.half is not None
        self.layout = best_memory_format(device, half, compiled, trains=False)
        if device.type == "cpu" and not half and _has_own_statistics(net):
            # PyTorch's batch norm of channels_last loses digits where images are nearly constant
            self.layout = torch.contiguous_format
        self.module = net = net.to(memory_format=self.layout)
        round_weights(net, self.precision)
        self.device, self.settings = device, settings
        self.multiple: int = getattr(net, "multiple", 1)
        self.smallest: int = getattr(net, "smallest", self.multiple)
        if settings.self_ensemble > 1:
            self.smallest = max(self.smallest, LARGEST_SHIFT + 1)
        copies = None if settings.images is None else settings.images * settings.self_ensemble
        self.compilation = DeferredCompilation(net, settings.compile, copies)
        self._needed = lru_cache(maxsize=16)(lambda shape: measure(net, shape).peak_bytes)
        self._logged_tiling = False

    @torch.inference_mode()
    def forward(self, *inputs: Any, **more: Any) -> Any:
        """Translate images, (N, C, H, W) -> (N, C', H, W).

        A network of a plug-in that takes or returns anything else is called as it is; what it
        returns is float32.
        """
        with (
            autocast(self.precision, self.device),
            compiler_errors_for_users(self.settings.compile),
        ):
            if len(inputs) != 1 or more or getattr(inputs[0], "ndim", 0) != 4:
                if self.settings.self_ensemble > 1:
                    raise cannot_average(self.settings.self_ensemble)
                return _in_float32(self.module(*inputs, **more))
            return self._translate(inputs[0])

    def _translate(self, images: Tensor) -> Any:
        height, width = images.shape[-2:]
        padded, top, left = pad_to_size(images, self.multiple, self.smallest)
        if self.settings.self_ensemble > 1:
            output = self_ensemble(self._translate_padded, padded, self.settings.self_ensemble)
        else:
            output = self._translate_padded(padded)
        if padded.shape == images.shape:
            return output
        return output[..., top : top + height, left : left + width]

    def _translate_padded(self, images: Tensor) -> Any:
        """Translate images of a size that the network takes."""
        batch_size = self._batch_size(images)
        if batch_size and not self.settings.tile:
            return self._in_batches(images, batch_size)
        tile = self.settings.tile or DEFAULT_TILE
        return run_in_tiles(self.module, images, tile, self.device).to(images.device)

    def _in_batches(self, images: Tensor, batch_size: int) -> Any:
        first, *others = images.split(batch_size)
        output = self._whole(first)
        if not others:
            return output
        if not isinstance(output, Tensor):  # parts of it cannot be put together
            return self._whole(images)
        return torch.cat([output, *(self._whole(part) for part in others)])

    def _whole(self, images: Tensor) -> Any:
        """Apply the network; the result is a copy, as CUDA graphs overwrite their outputs."""
        self.compilation.before_call(len(images))
        return _in_float32(self.module(images.to(self.device, memory_format=self.layout)))

    def _batch_size(self, images: Tensor) -> int:
        """Return how many of the images to compute at once; 0: not one fits into the memory."""
        # the result of an image must not depend on the others of its batch
        batch_size = 1 if _has_own_statistics(self.module) else len(images)
        available = available_bytes(self.device)
        if self.device.type != "cuda":  # whose memory the processes of a machine share
            available //= ranks.local_world()
        small = batch_size * images.shape[-2] * images.shape[-1] <= NEVER_TOO_LARGE
        if small or self.settings.tile == 0 or not can_be_tiled(self.module):
            return batch_size
        needed = self._needed((1, *images.shape[1:]))
        if needed <= available:
            return min(batch_size, available // needed)
        if not self._logged_tiling and self.settings.tile is None:
            log.info(
                "%d x %d pixels need about %.1f GB of memory at once and %.1f GB are free: "
                "computing in tiles of %d (--tile)",
                *(images.shape[-1], images.shape[-2], needed / 1e9, available / 1e9, DEFAULT_TILE),
            )
            self._logged_tiling = True
        return 0


def _in_float32(output: Any) -> Any:
    """Return copies of tensors, alone or in containers, in float32."""
    if isinstance(output, dict):
        return {key: _in_float32(value) for key, value in output.items()}
    if type(output) in (list, tuple):
        return type(output)(_in_float32(value) for value in output)
    return output.to(torch.float32, copy=True) if isinstance(output, Tensor) else output


def on_rgb(translator: Callable[[Tensor], Tensor], input_nc: int) -> Callable[[Tensor], Tensor]:
    """Return a translator of images (1, 3, H, W), the channels of gray ones equal, to such images.

    A generator of gray images sees the first channel, and what it returns is repeated.
    """

    def translate(images: Tensor) -> Tensor:
        output = translator(images[:, :input_nc])
        return output if output.shape[1] == 3 else output[:, :1].expand(-1, 3, -1, -1)

    return translate


def pad_to_size(images: Tensor, multiple: int, smallest: int) -> tuple[Tensor, int, int]:
    """Pad images (N, C, H, W) on all sides to multiples of `multiple`, at least `smallest` pixels.

    Padding is by reflection, or repeats the edge if the image is not larger than the padding.
    Returns the images and the numbers of rows above and columns left that were added.
    """
    height, width = images.shape[-2:]
    top, bottom = _before_and_after(height, multiple, smallest)
    left, right = _before_and_after(width, multiple, smallest)
    if top or bottom:
        mode = "reflect" if max(top, bottom) < height else "replicate"
        images = F.pad(images, (0, 0, top, bottom), mode=mode)
    if left or right:
        mode = "reflect" if max(left, right) < width else "replicate"
        images = F.pad(images, (left, right, 0, 0), mode=mode)
    return images, top, left


def _before_and_after(side: int, multiple: int, smallest: int) -> tuple[int, int]:
    missing = -(-max(side, smallest) // multiple) * multiple - side
    return missing // 2, missing - missing // 2


def make_translators(model: BaseModel, opt: Namespace, images: int | None) -> None:
    """Replace every network of a model by a Translator, and log in one line how they compute.

    `images` is the number of images to come, None if it is unknown.
    """
    speed = (opt.precision, opt.tile, opt.compile, images)
    settings = InferenceSettings(*speed, self_ensemble=opt.self_ensemble)
    nets = _networks(model)
    for net in nets:
        _exchange(model, net, Translator(net, model.device, settings))
    log.info("%s", describe(nets))
    if opt.self_ensemble > 1:
        log.info("--self_ensemble: results are the mean of %d copies", opt.self_ensemble)
    if opt.compile != "off" and images is not None:
        log.info(
            "--compile: networks are compiled once more than %.0f s of work are left at the speed "
            "so far, as compiling takes about a minute",
            MIN_SECONDS_LEFT,
        )


def translators_around_test(
    model: BaseModel, opt: Namespace
) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which the networks of a model are Translators, for a script.

    Outside of it the script finds the networks themselves.
    """
    made: list[tuple[nn.Module, nn.Module]] = []

    @contextmanager
    def around() -> Iterator[None]:
        nets = _networks(model)
        if [net for net, _ in made] != nets:
            make_translators(model, opt, images=None)
            made[:] = zip(nets, _networks(model), strict=True)
        for net, translator in made:
            _exchange(model, net, translator)
        try:
            yield
        finally:
            for net, translator in made:
                _exchange(model, translator, net)

    return around


def _networks(model: BaseModel) -> list[nn.Module]:
    """Return the networks of a model, each once."""
    return list(dict.fromkeys(getattr(model, f"net{name}") for name in model.model_names))


def _exchange(model: BaseModel, old: nn.Module, new: nn.Module) -> None:
    """Let every attribute of a model that is the network `old` be `new`."""
    for attribute, value in list(vars(model).items()):
        if value is old:
            setattr(model, attribute, new)


def _has_own_statistics(net: nn.Module) -> bool:
    """Return whether batch norm normalises by the images that it is applied to."""
    return any(isinstance(layer, _BatchNorm) and layer.training for layer in net.modules())


def draws(model: BaseModel) -> bool:
    """Return whether dropout is on in a network of the model, so that its output is random."""
    layers = (layer for net in _networks(model) for layer in net.modules())
    return any(isinstance(layer, _DropoutNd) and layer.training for layer in layers)


def describe(nets: list[nn.Module]) -> str:
    """Describe what affects the output beside the weights: dropout and norm statistics."""
    layers = [layer for net in nets for layer in net.modules()]
    dropout = [layer for layer in layers if isinstance(layer, _DropoutNd)]
    batch_norm = [layer for layer in layers if isinstance(layer, _BatchNorm)]
    parts = ["no dropout"]
    if dropout:
        on = any(layer.training for layer in dropout)
        parts = ["dropout on, as in training (--eval: off)" if on else "dropout off (--eval)"]
    if batch_norm:
        own = any(layer.training for layer in batch_norm)
        parts.append(
            "batch norm by the image's own statistics (--eval: by those of the training)"
            if own
            else "batch norm by the statistics of the training (--eval)"
        )
    elif any(isinstance(layer, nn.InstanceNorm2d) for layer in layers):
        parts.append("instance norm by the image's own statistics")
    return f"generator: {', '.join(parts)}"
