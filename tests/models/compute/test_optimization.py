"""models/compute/optimization.py: one holder of optimizers, and a state that stays readable."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models import create_model
from models.base_model import BaseModel
from util.frozen_options import Options

Make = Callable[..., Options]
KEYS = {"networks", "optimizers", "descent", "plateaus", "pools", "observed", "best_metric"}
"""Of the model in training_state.pth: runs of every version are resumed from them."""


def stepped(opt: Options) -> BaseModel:
    """A model after one step."""
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
    assert state["descent"][0].keys() == {"scaler", "window", "pending", "gradients"}


@pytest.mark.parametrize("first_version", [False, True])
def test_a_state_is_restored_whole(first_version: bool, train_opt: Make) -> None:
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


def test_without_a_metric_the_losses_are_watched(train_opt: Make) -> None:
    optimization = stepped(train_opt()).optimization
    assert optimization.epoch_metric(lambda: 7.0) != 7.0  # the objective that the step observed
    assert optimization.epoch_metric(lambda: 7.0) == 7.0
