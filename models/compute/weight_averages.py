"""Exponential moving averages of weights, as `--ema` asks for them."""

import copy
from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .optimizer_state import after_steps

ENDING = "_ema"
"""Of the name of an averaged network, behind that of the network."""


class WeightAverages:
    """Copies of networks whose weights are averages over the steps of their optimizers.

    After each step average <- decay average + (1 - decay) weight, from the weights that the
    training starts with; statistics of batch norm are copied. `networks` holds them by name:
    G_A_ema is that of G_A.
    """

    def __init__(self, nets: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.sources = {f"{name}{ENDING}": net for name, net in nets.items()}
        self.networks = {
            name: copy.deepcopy(net).requires_grad_(False) for name, net in self.sources.items()
        }

    def follow(self, optimizers: Iterable[Optimizer]) -> None:
        """Update each average from now on after the steps of the optimizer of its weights."""
        for name, net in self.sources.items():
            after_steps(net, optimizers, partial(self._update, name))

    def start(self, names: Iterable[str]) -> None:
        """Let the averages of these names begin at the weights of now."""
        for name in names:
            self.networks[name].load_state_dict(self.sources[name].state_dict())

    @torch.no_grad()
    def _update(self, name: str) -> None:
        net, average = self.sources[name], self.networks[name]
        averages: list[Tensor] = list(average.parameters())
        torch._foreach_lerp_(averages, list[Tensor](net.parameters()), 1 - self.decay)
        for kept, now in zip(average.buffers(), net.buffers(), strict=True):
            kept.copy_(now)
