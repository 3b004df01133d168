"""Exponential moving averages of weights, as `--ema` asks for them."""

import copy
import math
from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from util.checkpoints.weights import AVERAGED

from .optimizer_state import after_steps


class WeightAverages:
    """Copies of networks whose weights are averages over the steps of their optimizers.

    After each step average <- d average + (1 - d) weight, from the weights that the training starts
    with. After n steps d is (1 + n) / (10 + n), until that exceeds `decay`: else the random weights
    of the start would be the larger part of the average for the first 1 / (1 - decay) steps.
    Statistics of batch norm are copied. `networks` holds the averages by name: G_A_ema is that of
    G_A; `steps` is n of each.
    """

    def __init__(self, nets: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.sources = {f"{name}{AVERAGED}": net for name, net in nets.items()}
        self.networks = {
            name: copy.deepcopy(net).requires_grad_(False) for name, net in self.sources.items()
        }
        self.steps = dict.fromkeys(self.networks, 0)

    def follow(self, optimizers: Iterable[Optimizer]) -> None:
        """Update each average from now on after the steps of the optimizer of its weights."""
        for name, net in self.sources.items():
            after_steps(net, optimizers, partial(self._update, name))

    def start(self, names: Iterable[str]) -> None:
        """Let the averages of these names begin at the weights of now."""
        for name in names:
            self.steps[name] = 0
            self.networks[name].load_state_dict(self.sources[name].state_dict())

    def start_past_warm_up(self, names: Iterable[str]) -> None:
        """Go on with averages that were loaded from files, which do not hold n.

        With n of 0 the first steps would replace them.
        """
        for name in names:
            self.steps[name] = max(0, math.ceil((10 * self.decay - 1) / (1 - self.decay)))

    def resume(self, steps: Mapping[str, int]) -> None:
        """Go on after the steps of a training state, which holds those of some averages or none."""
        self.steps.update({name: steps[name] for name in self.steps.keys() & steps.keys()})

    @torch.no_grad()
    def _update(self, name: str) -> None:
        net, average = self.sources[name], self.networks[name]
        averages: list[Tensor] = list(average.parameters())
        n = self.steps[name]
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(averages, list[Tensor](net.parameters()), 1 - decay)
        self.steps[name] = n + 1
        for kept, now in zip(average.buffers(), net.buffers(), strict=True):
            kept.copy_(now)
