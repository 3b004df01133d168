"""Learning rate schedules, by the names that `--lr_policy` takes.

Epochs k count from 1. Every policy but plateau is a closed form of k, so a resumed run has the
learning rates of an uninterrupted one. The functions return the share of `--lr`, in [0, 1].
"""

import math
from argparse import Namespace
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def linear(k: int, opt: Namespace) -> float:
    """Return 1 for n_epochs epochs, then a share that falls linearly and stays above zero."""
    return 1.0 - max(0, k - opt.n_epochs) / (opt.n_epochs_decay + 1)


def step(k: int, opt: Namespace) -> float:
    """Return a share that falls to a tenth after every lr_decay_iters epochs."""
    return 0.1 ** ((k - 1) // opt.lr_decay_iters)


def cosine(k: int, opt: Namespace) -> float:
    """Return half a cosine over the whole run (arXiv 1608.03983, equation 5, no restarts)."""
    return 0.5 * (1 + math.cos(math.pi * (k - 1) / (opt.n_epochs + opt.n_epochs_decay)))


CLOSED_FORMS: dict[str, Callable[[int, Namespace], float]] = {
    "linear": linear,
    "step": step,
    "cosine": cosine,
}
LR_POLICIES = ("linear", "step", "plateau", "cosine")


def get_scheduler(optimizer: Optimizer, opt: Namespace) -> LambdaLR | ReduceLROnPlateau:
    """Make a scheduler that sets the learning rate of epoch `opt.epoch_count` and of later ones.

    Options without that one begin with epoch 1.
    `plateau` cuts the learning rate to a fifth when the metric has not fallen by 1 % for 5 epochs.
    Raises ValueError for an unknown policy.
    """
    if opt.lr_policy == "plateau":
        for group in optimizer.param_groups:  # LambdaLR does so too: a resumed run reads it
            group.setdefault("initial_lr", group["lr"])
        return ReduceLROnPlateau(optimizer, mode="min", factor=0.2, threshold=0.01, patience=5)
    if opt.lr_policy not in CLOSED_FORMS:
        raise ValueError(f"--lr_policy {opt.lr_policy}: choose from {', '.join(LR_POLICIES)}")
    share = CLOSED_FORMS[opt.lr_policy]
    first = getattr(opt, "epoch_count", 1)  # scripts give options of their own
    return LambdaLR(optimizer, lambda steps: share(first + steps, opt))
