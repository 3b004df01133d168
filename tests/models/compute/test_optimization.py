"""Optimizers of a model, their learning rates, and a state that stays readable."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models import create_model
from models.base_model import BaseModel
from models.compute import precision
from models.compute.optimization import Optimization
from util.errors import UserError
from util.options import Options

Make = Callable[..., Options]
KEYS = {
    "draws",
    "networks",
    "optimizers",
    "descent",
    "plateaus",
    "pools",
    "observed",
    "best_metric",
}
"""Keys of the model in training_state.pth, from which runs of every version are resumed."""


def stepped(opt: Options) -> BaseModel:
    """Return a model after one step."""
    model = create_model(opt)
    model.setup(opt)
    torch.manual_seed(3)
    batch: dict[str, Any] = {side: torch.rand(1, 3, 32, 32) * 2 - 1 for side in "AB"}
    model.set_input({**batch, "A_paths": ["a"], "B_paths": ["b"]})
    model.optimize_parameters()
    return model


def test_optimizers_and_schedulers_may_be_assigned_and_appended_to(train_opt: Make) -> None:
    model = create_model(train_opt())
    assert model.optimizers == [model.optimizer_G, model.optimizer_D]
    model.optimizers = [model.optimizer_D]
    model.optimizers.append(model.optimizer_G)
    assert model.optimization.optimizers == [model.optimizer_D, model.optimizer_G]
    model.setup(model.opt)
    assert len(model.optimization.schedulers) == 2
    model.schedulers = []
    model.schedulers.append("mine")
    assert model.optimization.schedulers == ["mine"]


def test_the_keys_of_the_state_stay(train_opt: Make) -> None:
    state = stepped(train_opt()).training_state()
    assert state.keys() == KEYS
    stored = {"scaler", "updates", "window", "pending", "gradients"}
    assert state["descent"][0].keys() == stored


@pytest.mark.parametrize("first_version", [False, True])
def test_a_state_is_restored_completely(first_version: bool, train_opt: Make) -> None:
    opt = train_opt("--lr_policy", "plateau")
    before = stepped(opt)
    before.optimization.best_metric = 0.5
    state = before.training_state()
    if first_version:
        del state["descent"]
    after = create_model(opt)
    after.setup(opt)
    after.load_training_state(state)
    restored = after.training_state()
    assert restored["observed"] == state["observed"] and restored["best_metric"] == 0.5
    assert restored["plateaus"] == state["plateaus"]
    for mine, stored in zip(restored["optimizers"], state["optimizers"], strict=True):
        for key, values in stored["state"].items():
            assert torch.equal(mine["state"][key]["exp_avg"], values["exp_avg"])


def resumed(state: dict[str, Any], opt: Options) -> BaseModel:
    """Return a new model with a stored state."""
    model = create_model(opt)
    model.setup(opt)
    model.load_training_state(copy.deepcopy(state))
    return model


def test_under_plateau_a_resumed_run_takes_lr_and_beta1_and_retains_the_cuts(
    train_opt: Make,
) -> None:
    """A learning rate that was cut once is still cut once, in a second resumed run too."""
    plateau = ("--lr_policy", "plateau")
    before = stepped(train_opt(*plateau, "--lr", "0.0002"))
    for optimizer in before.optimizers:
        optimizer.param_groups[0]["lr"] *= 0.2
    state = before.training_state()
    same = resumed(state, train_opt(*plateau, "--lr", "0.0002"))
    assert same.learning_rate == before.learning_rate
    changed = resumed(state, train_opt(*plateau, "--lr", "0.001", "--beta1", "0.9"))
    again = resumed(changed.training_state(), train_opt(*plateau, "--lr", "0.003"))
    for optimizer in changed.optimizers:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 * 0.001)
        assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert again.learning_rate == pytest.approx(0.2 * 0.003)


@pytest.mark.parametrize("policy", ["plateau", "linear"])
def test_an_epoch_ends_where_no_step_observed_a_metric_since_the_run_was_resumed(
    policy: str, train_opt: Make
) -> None:
    """As in a plug-in that never calls `observe`, stopped after the last step of an epoch."""
    opt = train_opt("--lr_policy", policy)
    before = stepped(opt)
    before.optimization.epoch_metric({})  # takes what the step observed
    after = resumed(before.training_state(), opt)
    after.update_learning_rate()
    assert after.optimization.best_metric == math.inf
    assert after.learning_rate == opt.lr


def test_without_a_fused_kernel_adam_is_the_plain_one(train_opt: Make, monkeypatch: Any) -> None:
    """As on an Apple GPU in PyTorch 2.4."""
    adam = torch.optim.Adam

    def without_fused(*words: Any, fused: bool = False, **more: Any) -> torch.optim.Adam:
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be ... supported devices")
        return adam(*words, **more)

    monkeypatch.setattr(torch.optim, "Adam", without_fused)
    model = stepped(train_opt())
    assert not model.optimizers[0].param_groups[0]["fused"]


def test_without_a_metric_the_losses_are_watched(train_opt: Make) -> None:
    optimization = stepped(train_opt()).optimization
    losses = {"x": torch.tensor(3.0), "y": torch.tensor(4.0)}
    assert optimization.epoch_metric(losses) != 7.0  # the objective that the step observed
    assert optimization.epoch_metric(losses) == 7.0
    assert optimization.epoch_metric({}) is None


@pytest.mark.parametrize(
    ("device", "scaled", "fused"),
    [("mps", True, False), ("mps", False, True), ("cpu", True, True)],
)
def test_adam_is_fused_unless_its_kernel_ignores_the_scale_of_the_loss(
    device: str, scaled: bool, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_scales_losses", lambda _: True)
    optimization = Optimization(torch.device(device), scaled=scaled)
    optimizer = optimization.make_optimizer([torch.nn.Linear(1, 1)], 0.1, 0.5)
    assert optimizer.defaults["fused"] is fused


def test_adam_is_not_fused_where_pytorch_has_no_such_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adam = torch.optim.Adam

    def without_fused_kernel(*words: Any, fused: bool = False, **more: Any) -> torch.optim.Adam:
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be of supported devices")
        return adam(*words, **more)

    monkeypatch.setattr(torch.optim, "Adam", without_fused_kernel)
    optimization = Optimization(torch.device("mps"))
    optimizer = optimization.make_optimizer([torch.nn.Linear(1, 1)], 0.1, 0.5)
    assert not optimizer.defaults["fused"]


def test_float16_is_refused_on_an_apple_gpu_where_losses_cannot_be_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert precision._scales_losses(torch.device("cpu"))

    def missing(*_: Any) -> None:
        raise NotImplementedError("aten::_amp_foreach_non_finite_check_and_unscale_")

    monkeypatch.setattr(torch, "_amp_foreach_non_finite_check_and_unscale_", missing)
    assert not precision._scales_losses(torch.device("cpu"))
    monkeypatch.setattr(precision, "_scales_losses", lambda _: False)
    precision.check_loss_scaling(torch.device("cpu"))
    with pytest.raises(UserError, match=r"^--precision fp16: PyTorch .* Apple GPU"):
        Optimization(torch.device("mps"), scaled=True)
    Optimization(torch.device("mps"), scaled=False)
