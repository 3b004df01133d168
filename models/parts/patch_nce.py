"""The patchwise contrastive loss of CUT (arXiv 2007.15651, section 3).

Legend: N batch, C channels, H W height and width of a feature map, P patches of each image,
K features of a patch.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util import global_batch, ranks
from util.devices import outside_autocast

from .layers import to_float32
from .resnet_generator import ResnetBlock, ResnetGenerator

BLURS = (7, 11)
"""Entries of the published generator that ours lacks: a blur after each layer of stride 2."""
SMALLEST_NORM = 1e-7
"""Features are divided by their norm, or by this where it is smaller."""


def generator_layers(net: ResnetGenerator, published: Sequence[int]) -> list[int]:
    """Return the entries of `net.model` for layers in the published numbering, in ascending order.

    0 is the padded image, 4 and 8 are the convolutions of stride 2, and the residual blocks begin
    at 12. Raises ValueError for a layer that is not in front of the decoder.
    """
    blocks = [n for n, layer in enumerate(net.model) if isinstance(layer, ResnetBlock)]
    last = blocks[-1] + len(BLURS)
    for layer in published:
        if not 0 <= layer <= last:
            raise ValueError(f"layer {layer}: choose from 0 to {last}")
    return sorted({layer - sum(layer >= blur for blur in BLURS) for layer in published})


def layer_channels(net: ResnetGenerator, layers: Sequence[int]) -> list[int]:
    """Return the number of channels that each of the entries `layers` of `net.model` returns."""
    first: Any = net.model[1]
    channels: list[int] = []
    for layer in layers:
        parts = net.model[: layer + 1].modules()
        convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
        channels.append(convolutions[-1].out_channels if convolutions else first.in_channels)
    return channels


def sample_positions(
    features: Sequence[Tensor], patches: int, generator: torch.Generator
) -> list[Tensor]:
    """Draw P = min(patches, H W) positions without repetition for each map (N, C, H, W).

    They are indices into H W, the same for all images of a batch. Whatever the sizes are, which may
    differ between processes, a single number is drawn from the `generator`.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    own = torch.Generator().manual_seed(seed)
    sizes = [maps.shape[2] * maps.shape[3] for maps in features]
    places = [torch.randperm(size, generator=own)[:patches] for size in sizes]
    return [place.to(maps.device) for place, maps in zip(places, features, strict=True)]


class PatchSampler(nn.Module):
    """Takes the features at some positions, through an MLP of two layers for each feature map.

    The results have unit length. `width` is that of the MLPs; 0: there are none. They are computed
    outside autocast: as initialised they return tiny vectors, and the gradient of the length of
    these overflows in float16.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        for number, own in enumerate(channels):
            self.add_module(f"mlp_{number}", _mlp(own, width) if width else nn.Identity())

    def forward(self, features: list[Tensor], positions: list[Tensor]) -> list[Tensor]:
        """[(N, C, H, W), ...] and [(P,), ...] -> [(N, P, K), ...] float32."""
        sampled = []
        with outside_autocast(features[0].device):
            for mlp, maps, where in zip(self.children(), features, positions, strict=True):
                width = maps.shape[3]
                patches = maps[:, :, where // width, where % width].transpose(1, 2)
                vectors = mlp(to_float32(patches))
                sampled.append(F.normalize(vectors, dim=2, eps=SMALLEST_NORM))
        return sampled


def _mlp(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))


def patch_nce_loss(
    queries: Tensor, keys: Tensor, temperature: float, across_images: bool = False
) -> Tensor:
    """Return the mean cross entropy of finding the key at the position of each query, a scalar.

    Queries and keys are (N, P, K). For the query q_i it is -log(exp(q_i k_i / t) / sum_j exp(q_i
    k_j / t)) (equation 3), where j runs over the patches of the same image, or with `across_images`
    over those of all images of the batch, also of those of other processes. Keys get no gradient.
    """
    first, keys = 0, keys.detach()
    if across_images:
        shares = global_batch.gather_batches(keys)
        if global_batch.has_images():  # else the loss counts for nothing, and any keys do
            first = sum(share.shape[0] * share.shape[1] for share in shares[: ranks.rank()])
            keys = torch.cat(shares)
        queries, keys = queries.reshape(1, -1, queries.shape[2]), keys.flatten(0, 1)[None]
    logits = queries @ keys.transpose(1, 2) / temperature
    own = first + torch.arange(queries.shape[1], device=queries.device)
    return F.cross_entropy(logits.flatten(0, 1), own.repeat(len(queries)))
