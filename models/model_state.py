"""The training state of a model: networks, optimizers, schedules, pools, what was observed."""

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from util.checkpoints.training_state import state_path
from util.checkpoints.weights import bare_state_dict, load_into
from util.image_pool import ImagePool

from .compute.optimization import laid_out_as

if TYPE_CHECKING:
    from .base_model import BaseModel


def collect(model: "BaseModel") -> dict[str, Any]:
    """Everything that going on exactly needs, as tensors and plain containers."""
    nets = {name: bare_state_dict(getattr(model, f"net{name}")) for name in model.model_names}
    return {
        "networks": nets,
        "optimizers": [optimizer.state_dict() for optimizer in model.optimizers],
        "descent": model.descent.state_dict(model.optimizers),
        "plateaus": [s.state_dict() for s in model.schedulers if isinstance(s, ReduceLROnPlateau)],
        "pools": {name: pool.state_dict() for name, pool in _pools(model).items()},
        "observed": [float(model.observed_sum), model.observed_steps],
        "best_metric": model.best_metric,
    }


def restore(model: "BaseModel", state: dict[str, Any]) -> None:
    """The inverse of `collect`, on a model whose `setup` has run."""
    path = state_path(model.opt)
    for name in model.model_names:
        load_into(getattr(model, f"net{name}"), state["networks"].get(name, {}), path)
    rates = [[g["lr"] for g in optimizer.param_groups] for optimizer in model.optimizers]
    for optimizer, stored in zip(model.optimizers, state["optimizers"], strict=True):
        _load_optimizer(optimizer, stored)
    if "descent" in state:  # not in states of the first version
        model.descent.load_state_dict(model.optimizers, state["descent"])
    plateaus = [s for s in model.schedulers if isinstance(s, ReduceLROnPlateau)]
    if plateaus and len(plateaus) == len(state["plateaus"]):
        for scheduler, stored in zip(plateaus, state["plateaus"], strict=True):
            scheduler.load_state_dict(stored)
    else:
        _set_rates(model, rates)
    for name, pool in _pools(model).items():
        if name in state["pools"]:
            pool.load_state_dict(state["pools"][name], model.device)
    model.observed_sum, model.observed_steps = state["observed"]
    model.best_metric = state["best_metric"]


def _load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Restore it as it computes now: fused or not, its moments in the layout of the weights.

    A fused step takes both as they lie in memory, and the run may go on in another layout.
    """
    fused = [group.get("fused") for group in optimizer.param_groups]
    optimizer.load_state_dict(stored)
    for group, value in zip(optimizer.param_groups, fused, strict=True):
        group["fused"] = value
    for weight, of_weight in optimizer.state.items():
        for name, value in of_weight.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                of_weight[name] = laid_out_as(weight, value)


def _set_rates(model: "BaseModel", rates: list[list[float]]) -> None:
    """Rate and momentum as the flags and the closed form of the schedule have them now."""
    for optimizer, of_groups in zip(model.optimizers, rates, strict=True):
        for group, rate in zip(optimizer.param_groups, of_groups, strict=True):
            group["lr"] = rate
            group["initial_lr"] = model.opt.lr
            if "betas" in group:
                group["betas"] = (model.opt.beta1, group["betas"][1])


def _pools(model: "BaseModel") -> dict[str, ImagePool]:
    return {name: value for name, value in vars(model).items() if isinstance(value, ImagePool)}
