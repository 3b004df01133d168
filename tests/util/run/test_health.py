"""Warnings and stops when a run goes wrong."""

import json
import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from util.errors import UserError
from util.run.health import CONSTANT_REPORTS, STUCK_REPORTS, Health

BATCH = {"A": torch.zeros(1), "A_paths": ["a.png"], "B_paths": ["b.png"]}


@pytest.fixture
def health(tmp_path: Path) -> Health:
    (tmp_path / "run").mkdir()
    opt = Namespace(checkpoints_dir=str(tmp_path), name="run", given=frozenset({"epoch", "lr"}))
    return Health(opt)


def at(step: int) -> Any:
    return Namespace(total_steps=step, epoch=2, epoch_iters=step)


def test_a_finite_run_passes(health: Health) -> None:
    for step in range(5):
        health.watch({"D_A": torch.tensor(0.1), "G_A": torch.tensor(1.0)}, BATCH, at(step))
    health.check_before_save({}, [torch.ones(2)])
    assert not health.report.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_names_step_and_images(value: float, health: Health) -> None:
    health.watch({"D_A": torch.tensor(0.1)}, BATCH, at(1))
    with pytest.raises(UserError, match="not finite at step 2"):
        health.watch({"D_A": torch.tensor(value)}, {**BATCH, "A_paths": ["bad.png"]}, at(2))
    report = json.loads(health.report.read_text())
    assert (report["step"], report["files"]["A_paths"]) == (2, ["bad.png"])


@pytest.mark.parametrize("saved", [True, False])
def test_the_remedy_for_a_loss_that_is_not_finite_is_one_that_works(
    saved: bool, health: Health
) -> None:
    """--epoch would start from weights; --continue_train refuses another number of images."""
    if saved:
        (health.report.parent / "training_state.pth").touch()
    with pytest.raises(UserError) as error:
        health.watch({"D_A": torch.tensor(float("nan"))}, BATCH, at(1))
    text = str(error.value)
    if saved:
        command = "the same command with --continue_train and without --epoch"
        assert f"The last save is untouched: {command} resumes from it" in text
        assert "without those images begin a new run" in text
        assert "--name NEW --start_from run" in text
    else:
        assert "Nothing was saved yet: begin again with a lower --lr" in text
        assert "--continue_train" not in text


def test_a_discriminator_stuck_near_zero_gives_one_warning(health: Health, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(STUCK_REPORTS - 1):
            health.watch_reported({"D_A": 0.0001, "cycle_A": 0.0})
        health.watch_reported({"D_A": 0.2})
        for _ in range(STUCK_REPORTS - 1):
            health.watch_reported({"D_A": 0.0001})
        assert caplog.records == []
        for _ in range(5 * STUCK_REPORTS):
            health.watch_reported({"D_A": 0.0001})
    assert len(caplog.records) == 1
    assert "--ndf" in caplog.text


def test_a_constant_image_gives_one_warning(health: Health, caplog) -> None:
    noise = torch.rand(1, 3, 8, 8)
    with caplog.at_level(logging.WARNING):
        health.watch_images({"fake_B": noise, "real_A": torch.zeros(1, 3, 8, 8)})
        assert caplog.records == []
        flat = {"fake_B": torch.full((1, 3, 8, 8), 0.5)}
        for _ in range(CONSTANT_REPORTS - 1):  # as the images of a fresh generator are
            health.watch_images(flat)
        health.watch_images({"fake_B": noise})
        for _ in range(CONSTANT_REPORTS - 1):
            health.watch_images(flat)
        assert caplog.records == []
        for _ in range(3 * CONSTANT_REPORTS):
            health.watch_images(flat)
    assert len(caplog.records) == 1
    assert "fake_B is one constant colour" in caplog.text
