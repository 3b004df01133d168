"""The best epochs of a resumed run, and the files that hold their weights."""

from pathlib import Path

import pytest
import torch

from util.checkpoints.best import BestEpoch, read_best, restore_best, write_best
from util.checkpoints.weights import read_weights, weights_path, write_weights

FIRST, SECOND = (BestEpoch(epoch, "L1", 5.0 - epoch, "p") for epoch in (1, 2))


def store(folder: Path, epoch: str, value: float) -> None:
    write_weights({"w": torch.full((1,), value)}, weights_path(folder, epoch, "G"))


def best_weight(folder: Path) -> float:
    return float(read_weights(weights_path(folder, "best", "G"))["w"])


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "damaged"])
def test_best_weights_stay_where_nothing_says_of_which_epoch_they_are(
    content: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, "best", 1.0)
    if content is not None:
        (tmp_path / "best.json").write_text(content)
    assert restore_best(tmp_path, {"G": FIRST}) == {"G": FIRST} == read_best(tmp_path)
    assert best_weight(tmp_path) == 1.0
    assert not caplog.text


def test_weights_of_the_known_epoch_replace_others(tmp_path: Path) -> None:
    store(tmp_path, "best", 2.0)
    store(tmp_path, "1", 1.0)
    write_best(tmp_path, {"G": SECOND})
    assert restore_best(tmp_path, {"G": FIRST}) == {"G": FIRST} == read_best(tmp_path)
    assert best_weight(tmp_path) == 1.0


@pytest.mark.parametrize("damaged", [False, True], ids=["not stored", "damaged"])
def test_best_weights_stay_where_those_of_the_known_epoch_cannot_be_read(
    damaged: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, "best", 2.0)
    write_best(tmp_path, {"G": SECOND})
    if damaged:
        weights_path(tmp_path, "1", "G").write_bytes(b"cut")
    assert restore_best(tmp_path, {"G": FIRST}) == {"G": SECOND} == read_best(tmp_path)
    assert best_weight(tmp_path) == 2.0
    assert "of G are of an epoch that the training state does not know" in caplog.text


def test_a_run_without_evaluations_gets_no_file(tmp_path: Path) -> None:
    assert restore_best(tmp_path, {}) == {}
    assert not list(tmp_path.iterdir())
