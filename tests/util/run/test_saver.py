"""Saving while the training goes on, and what a failed write tells: whether a save follows."""

import threading
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PATIENCE

from util.checkpoints.training_state import read_state, restore_random_states
from util.checkpoints.weights import read_weights, weights_path, write_weights
from util.errors import DataError, UserError
from util.run.saver import Saver

NEXT = "The next save tries again"
LOST = "with --continue_train resumes from that save"
NONE = "No training state was stored before"


class Model:
    """A weight; a write waits for `may_write`, and fails where it is told to."""

    disk_full = False
    writes_itself = False

    def __init__(self, save_dir: Path) -> None:
        self.save_dir, self.weight = save_dir, torch.zeros(2)
        self.may_write = threading.Event()
        self.may_write.set()

    def save_networks(self, epoch: int | str) -> None:
        self.write_weights(epoch, {"X": {"weight": self.weight}})

    def write_weights(self, epoch: int | str, weights: Any) -> None:
        assert self.may_write.wait(PATIENCE)
        if self.disk_full:
            raise UserError("cannot write x: No space left on device")
        for name, state in weights.items():
            write_weights(state, weights_path(self.save_dir, str(epoch), name))

    def weights_in(self, state: Any) -> Any:
        return None if self.writes_itself else state["networks"]

    def current_loss_tensors(self) -> dict[str, Any]:
        return {}

    def weights(self) -> list[Any]:
        return []

    def training_state(self) -> dict[str, Any]:
        return {"networks": {"X": {"weight": self.weight}}}


@pytest.fixture
def saver(tmp_path: Path) -> Saver:
    """Of a run of three epochs."""
    (tmp_path / "run").mkdir()
    opt = Namespace(checkpoints_dir=str(tmp_path), name="run", save_by_iter=False)
    opt.given = frozenset({"name"})
    opt.save_epoch_freq, opt.keep_last = 5, 0
    progress = Namespace(last_epoch=3, trained=True, state=lambda: {"epoch": 1})
    health = Namespace(check_before_save=lambda losses, weights: None)
    evaluator = Namespace(state=dict)
    model = Model(tmp_path / "run")
    return Saver(opt, model, progress, health, evaluator)  # type: ignore[arg-type]


def fails(saver: Saver) -> None:
    saver.model.disk_full = True  # type: ignore[attr-defined]


def data_error(saver: Saver) -> None:
    with pytest.raises(DataError), saver.finishing():
        raise DataError("too many images cannot be read")


@pytest.mark.parametrize(
    ("save", "ending"),
    [
        (lambda saver: saver.save_latest(), NEXT),
        (lambda saver: saver.save_epoch(2), NEXT),
        (lambda saver: saver.save_epoch(3), LOST),
        (lambda saver: saver.save_latest(last=True), LOST),
        (data_error, LOST),
    ],
)
def test_a_failed_save_tells_what_follows(
    save: Any, ending: str, saver: Saver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    saver.save_epoch(1)
    saver.finish()
    assert caplog.messages == []
    fails(saver)
    save(saver)
    saver.finish()
    assert saver.failed
    (message,) = caplog.messages
    assert message.startswith("cannot write x: No space left on device. ")
    assert message.endswith(ending)


def test_a_disk_that_fails_otherwise_ends_no_training(
    saver: Saver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither where weights cannot be written nor where old snapshots cannot be deleted."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    saver.opt.keep_last, saver.opt.save_epoch_freq = 1, 1
    saver.model.save_dir = saver.state_path.parent
    for epoch in (1, 2):
        (saver.model.save_dir / f"{epoch}_net_G.pth").touch()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        saver.save_epoch(2)
        saver.finish()
    assert caplog.messages == [] and not saver.failed
    saver.save_epoch(2)
    saver.finish()
    assert [path.name for path in saver.model.save_dir.glob("*.pth") if path.name[0] == "1"] == []
    monkeypatch.setattr(saver.model, "write_weights", refused)
    saver.save_epoch(2)
    saver.finish()
    assert saver.failed and "Read-only file system. The next save tries again" in caplog.text


def test_without_an_earlier_save_nothing_is_promised(
    saver: Saver, caplog: pytest.LogCaptureFixture
) -> None:
    fails(saver)
    saver.save_epoch(3)
    assert NONE in caplog.text
    assert "resumes from" not in caplog.text


@pytest.mark.parametrize("save", [lambda saver: saver.save_latest(last=True), data_error])
def test_the_last_save_before_a_stop_says_how_to_resume(
    save: Any, saver: Saver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    save(saver)
    assert caplog.messages == ["saved; the same command with --continue_train resumes from here"]
    assert read_state(saver.state_path)["progress"] == {"epoch": 1}


def stored_weight(saver: Saver, label: str = "latest") -> list[float]:
    return read_weights(weights_path(Path(saver.model.save_dir), label, "X"))["weight"].tolist()


def test_the_training_goes_on_while_a_copy_is_written(saver: Saver) -> None:
    model: Any = saver.model
    model.may_write.clear()
    expected = torch.rand(3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    saver.save_latest()
    assert not list(model.save_dir.glob("*.pth"))
    model.weight.add_(1)
    torch.rand(3)
    model.may_write.set()
    saver.finish()
    state = read_state(saver.state_path)
    assert stored_weight(saver) == [0, 0]
    assert state["model"]["networks"]["X"]["weight"].tolist() == [0, 0]
    restore_random_states(state["random"])
    assert torch.equal(torch.rand(3), expected)


LAST_SAVES = [lambda saver: saver.save_latest(last=True), lambda saver: saver.save_epoch(3)]
LAST_SAVES += [data_error]


@pytest.mark.parametrize(
    "end",
    [*LAST_SAVES, lambda saver: other_error(saver), lambda saver: saver.health.before_error()],
)
def test_a_save_is_waited_for(
    end: Callable[[Saver], None], saver: Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the last of a process, and by whatever else ends a training."""
    model: Any = saver.model
    result = Future.result

    def let_it_write(waited_for: "Future[Any]") -> None:
        model.may_write.set()
        result(waited_for, PATIENCE)
        model.may_write.clear()

    monkeypatch.setattr(Future, "result", let_it_write)
    model.may_write.clear()
    saver.save_latest()
    model.weight.add_(1)
    assert not saver.state_path.exists()
    end(saver)
    last = float(end in LAST_SAVES)
    assert stored_weight(saver) == [last, last]
    assert read_state(saver.state_path)["model"]["networks"]["X"]["weight"].tolist() == [last, last]


def other_error(saver: Saver) -> None:
    with pytest.raises(ZeroDivisionError), saver.finishing():
        raise ZeroDivisionError


def test_an_unexpected_error_of_a_write_is_raised(saver: Saver) -> None:
    saver.model.write_weights = lambda *_, **__: 1 / 0  # type: ignore
    saver.save_latest()
    with pytest.raises(ZeroDivisionError):
        saver.save_latest()


def test_a_model_that_writes_files_of_its_own_is_waited_for(saver: Saver) -> None:
    model: Any = saver.model
    model.writes_itself = True
    saver.save_latest()
    model.weight.add_(1)
    assert stored_weight(saver) == [0, 0]
    assert saver.state_path.is_file()


def test_old_snapshots_are_deleted_once_a_newer_one_is_written(saver: Saver) -> None:
    saver.opt.save_epoch_freq, saver.opt.keep_last = 1, 1
    saver.save_epoch(1)
    saver.finish()
    fails(saver)
    saver.save_epoch(2)
    saver.finish()
    assert stored_weight(saver, "1") == [0, 0]
    saver.model.disk_full = False  # type: ignore[attr-defined]
    saver.save_epoch(3)
    assert stored_weight(saver, "3") == [0, 0]
    assert [path.name for path in sorted(Path(saver.model.save_dir).glob("[0-9]_net_*"))] == [
        "3_net_X.pth"
    ]
