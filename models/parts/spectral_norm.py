"""Spectral normalisation of discriminators (arXiv 1802.05957), as `--spectral_norm` asks for it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from util.devices import outside_autocast

FIRST_ITERATIONS = 15
"""Power iterations for the first estimate; later each step of the optimizer adds one."""


class SpectralNorm(nn.Module):
    """Divides a weight, as a matrix (outputs, rest), by an estimate of its largest singular value.

    The estimate u^T W v has the singular vectors u and v of power iterations, which are part of the
    weights. Forward passes do not change them, so that all those of a step, also recomputed ones,
    have the same weights.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.u: Tensor
        self.v: Tensor
        u = torch.randn(len(matrix), dtype=weight.dtype).to(weight.device)
        self.register_buffer("u", F.normalize(u, dim=0))
        self.register_buffer("v", F.normalize(matrix.T @ self.u, dim=0))
        self.iterate(weight, FIRST_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, in its own precision, divided by the estimate."""
        with outside_autocast(weight.device):
            return weight / (self.u @ weight.flatten(1) @ self.v)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int = 1) -> None:
        """Improve the estimate by power iterations."""
        matrix = weight.flatten(1)
        for _ in range(times):
            self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
            self.u.copy_(F.normalize(matrix @ self.v, dim=0))


def add_spectral_norm(net: nn.Module) -> nn.Module:
    """Normalise the weights of all convolutions of a network in place; return it."""
    for layer in [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]:
        parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return net


def improve_estimates(net: nn.Module) -> None:
    """Do a power iteration for each normalised weight; called after each step of its optimizer."""
    for layer in net.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(
            layer[0], SpectralNorm
        ):
            layer[0].iterate(layer.original)


def has_spectral_norm(net: nn.Module) -> bool:
    """Return whether some weight of a network is normalised."""
    return any(isinstance(layer, SpectralNorm) for layer in net.modules())
