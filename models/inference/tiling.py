"""Applies a generator to an image of any size, layer by layer in tiles, with the same result.

Every convolution reads a tile of its input with the border that it needs (the halo) and writes a
tile of its output. Norm layers get the statistics of the whole image, accumulated while the
convolution before them writes. Layers that act on single pixels (norm, ReLU, skip connections) are
computed on tiles when these are read. Activations are stored in host memory, or in temporary files.

Legend: C channels, H W height and width of a whole activation, h w of a tile.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from util.errors import UserError
from util.memory import available_bytes

from ..parts.resnet_generator import ResnetBlock, ResnetGenerator
from ..parts.unet_generator import UnetGenerator, UnetSkipConnectionBlock
from ..parts.upsampling import RepeatPixels
from .tile_cost import measure, multiply_adds
from .tile_store import Region, Statistics, Store, Value

log = logging.getLogger(__name__)

CHAINS = (nn.Sequential, ResnetGenerator, UnetGenerator, UnetSkipConnectionBlock)
"""Modules that apply their children in order."""

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Identity, nn.Dropout)
NORMS = (nn.InstanceNorm2d, _BatchNorm)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.ReflectionPad2d)
KNOWN = (*CHAINS, ResnetBlock, RepeatPixels, *POINTWISE, *NORMS, *CONVOLUTIONS)


def can_be_tiled(net: nn.Module) -> bool:
    """Return whether `run_in_tiles` supports every layer."""
    return all(isinstance(layer, KNOWN) for layer in net.modules())


def run_in_tiles(net: nn.Module, images: Tensor, tile: int, device: torch.device) -> Tensor:
    """Apply `net` to each image alone, (N, C, H, W) -> (N, C', H, W) on the CPU.

    `tile` is the side of a tile in pixels of the image. Activations are stored in files if they
    would fill half of the free memory. Raises UserError for a network that cannot be tiled.
    """
    if not can_be_tiled(net):
        raise UserError(
            f"--tile {tile}: {type(net).__name__} has layers of its own that cannot be computed in "
            "tiles; use --tile 0, and --max_size for images that are too large"
        )
    cost = measure(net, (1, *images.shape[1:]))
    in_files = cost.peak_bytes > available_bytes(torch.device("cpu")) / 2
    outputs = []
    for image in images:
        with _bar(cost.multiply_adds) as bar:
            store = Store(tile, image.shape[1], _disk_folder() if in_files else None)
            outputs.append(_Runner(store, device, bar.update).run(net, image.cpu()))
    return torch.stack(outputs)


def _disk_folder() -> Path:
    """Return a folder for large files; /tmp may be in memory, /var/tmp is not (FHS 3.0)."""
    chosen = any(name in os.environ for name in ("TMPDIR", "TEMP", "TMP"))
    by_default = chosen or not os.access("/var/tmp", os.W_OK)
    return Path(tempfile.gettempdir() if by_default else "/var/tmp")


def _bar(multiply_adds: int) -> Any:
    return tqdm(
        total=multiply_adds,
        desc="tiles",
        leave=False,
        disable=None,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    )


class _Runner:
    """Applies a network to one image, layer by layer."""

    def __init__(self, store: Store, device: torch.device, report: Callable[[int], object]) -> None:
        self.store, self.device, self.report = store, device, report

    def run(self, net: nn.Module, image: Tensor) -> Tensor:
        """Translate an image, (C, H, W) -> (C', H, W)."""
        source = Value(
            (image.shape[0], image.shape[1], image.shape[2]),
            lambda region: image[region.within()].unsqueeze(0).to(self.device),
        )
        result = self.apply(net, source)
        output = torch.empty(result.shape)
        canvas = self.store.canvas(result.shape)  # only its regions are used: nothing is written
        for region in canvas.regions():
            output[region.within()] = result.read(region)[0].cpu().float()
        return output

    def apply(self, layer: Any, value: Value) -> Value:
        """Return the output of a layer for the input `value`."""
        if isinstance(layer, ResnetBlock):
            inside = self.apply(layer.conv_block, value)
            return self.stored(_joined(value, inside, torch.add, value.shape[0]))
        if isinstance(layer, UnetSkipConnectionBlock) and not layer.outermost:
            inside = self.apply(layer.model, value)
            channels = value.shape[0] + inside.shape[0]
            return _joined(value, inside, lambda a, b: torch.cat([a, b], dim=1), channels)
        if isinstance(layer, CHAINS):
            return self.chained(layer, value)
        if isinstance(layer, nn.ReflectionPad2d):
            return Value(value.shape, value.read, reflected=layer.padding[0])
        if isinstance(layer, RepeatPixels):
            return _repeated(layer, value)
        if isinstance(layer, NORMS):
            return self.normed(layer, value)
        if isinstance(layer, POINTWISE):
            return self.pointwise(layer, value)
        return self.convolved(layer, value)

    def chained(self, layer: Any, value: Value) -> Value:
        """Return the output of layers in order, with the sums of `--skip_connections`."""
        resnet = isinstance(layer, ResnetGenerator)
        skips, skipped = layer.skips if resnet else {}, {}
        for number, child in enumerate(layer.model if resnet else layer.children()):
            value = self.apply(child, value)
            if number in skips.values():
                skipped[number] = value
            elif number in skips:
                value = _joined(value, skipped[skips[number]], torch.add, value.shape[0])
        return value

    def pointwise(self, layer: nn.Module, value: Value) -> Value:
        """Return the output of a layer that acts on single pixels; dropout draws once per pixel."""
        mapped = Value(value.shape, lambda region: layer(value.read(region)))
        random = isinstance(layer, nn.Dropout) and layer.training
        return self.stored(mapped) if random else mapped

    def normed(self, layer: Any, value: Value) -> Value:
        """Return the output of instance or batch norm, by the statistics of the whole image."""
        if not layer.training and layer.running_mean is not None:
            mean, variance = layer.running_mean.cpu().double(), layer.running_var.cpu().double()
        else:
            value = value if value.statistics else self.stored(value)
            assert value.statistics is not None
            mean, variance = value.statistics.mean, value.statistics.variance
        scale = torch.rsqrt(variance + layer.eps)
        if layer.weight is not None:
            scale = scale * layer.weight.cpu().double()
        shift = -mean * scale
        if layer.bias is not None:
            shift = shift + layer.bias.cpu().double()
        a, b = (x.float().view(1, -1, 1, 1).to(self.device) for x in (scale, shift))
        return Value(value.shape, lambda region: torch.addcmul(b, value.read(region), a))

    def convolved(self, layer: Any, value: Value) -> Value:
        """Compute and store the output of a convolution or transposed convolution."""
        transposed = isinstance(layer, nn.ConvTranspose2d)
        side = _doubled_side if transposed else _side
        H, W = (side(layer, value, axis) for axis in (0, 1))
        tile = _transposed_tile if transposed else _tile

        def read(region: Region) -> Tensor:
            output = tile(layer, value, region)
            self.report(multiply_adds(layer, output))
            return output

        return self.stored(Value((layer.out_channels, H, W), read))

    def stored(self, value: Value) -> Value:
        """Compute the whole value, store it, and return it with its statistics."""
        canvas = self.store.canvas(value.shape)
        statistics = Statistics(value.shape[0])
        for region in canvas.regions():
            tile = value.read(region)
            statistics.add(tile)
            canvas.write(region, tile)
        return Value(value.shape, lambda region: canvas.read(region).to(self.device), statistics)


def _joined(
    first: Value, second: Value, join: Callable[[Tensor, Tensor], Tensor], channels: int
) -> Value:
    shape = (channels, *first.shape[1:])
    return Value(shape, lambda region: join(first.read(region), second.read(region)))


def _repeated(layer: RepeatPixels, value: Value) -> Value:
    def read(region: Region) -> Tensor:
        top, left = region.top // 2, region.left // 2
        tile = value.read(Region(top, -(-region.bottom // 2), left, -(-region.right // 2)))
        return layer(tile)[region.within(2 * top, 2 * left)]

    C, H, W = value.shape
    return Value((C, 2 * H, 2 * W), read)


def _side(layer: nn.Conv2d, value: Value, axis: int) -> int:
    padding = value.reflected + int(layer.padding[axis])
    whole = value.shape[1 + axis] + 2 * padding
    return (whole - layer.kernel_size[axis]) // layer.stride[axis] + 1


def _doubled_side(layer: nn.ConvTranspose2d, value: Value, axis: int) -> int:
    whole = (value.shape[1 + axis] - 1) * layer.stride[axis] + layer.kernel_size[axis]
    return whole - 2 * int(layer.padding[axis]) + layer.output_padding[axis]


def _tile(layer: nn.Conv2d, value: Value, region: Region) -> Tensor:
    """Convolve to the outputs (1, C', h, w) of `region`: out[o] = sum_t w[t] in[o s - p + t]."""
    p, k, s = value.reflected + int(layer.padding[0]), layer.kernel_size[0], layer.stride[0]
    H, W = value.shape[1:]
    top, bottom = region.top * s - p, (region.bottom - 1) * s - p + k
    left, right = region.left * s - p, (region.right - 1) * s - p + k
    tile = value.read(Region(max(top, 0), min(bottom, H), max(left, 0), min(right, W)))
    outside = (max(-left, 0), max(right - W, 0), max(-top, 0), max(bottom - H, 0))
    if any(outside):
        tile = F.pad(tile, outside, mode="reflect" if value.reflected else "constant")
    return F.conv2d(tile, layer.weight, layer.bias, stride=s)


def _transposed_tile(layer: nn.ConvTranspose2d, value: Value, region: Region) -> Tensor:
    """Do the same for a transposed convolution: in[i] w[t] is added to out[i s - p + t]."""
    p, k, s = int(layer.padding[0]), layer.kernel_size[0], layer.stride[0]
    H, W = value.shape[1:]
    top, left = (max(-(-(start + p - k + 1) // s), 0) for start in (region.top, region.left))
    bottom = min((region.bottom - 1 + p) // s + 1, H)
    right = min((region.right - 1 + p) // s + 1, W)
    tile = value.read(Region(top, bottom, left, right))
    spread = F.conv_transpose2d(tile, layer.weight, layer.bias, stride=s)
    return spread[region.within(top * s - p, left * s - p)]
