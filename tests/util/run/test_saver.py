"""Saving, and what a failed write tells: that depends on whether another save follows."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from util.checkpoints.training_state import read_state
from util.errors import DataError, UserError
from util.run.saver import Saver

NEXT = "The next save tries again"
LOST = "with --continue_train resumes from that save"
NONE = "No training state was stored before"


class Model:
    """Writes no weights; fails where it is told to."""

    disk_full = False

    def save_networks(self, epoch: int | str) -> None:
        if self.disk_full:
            raise UserError("cannot write x: No space left on device")

    def current_loss_tensors(self) -> dict[str, Any]:
        return {}

    def weights(self) -> list[Any]:
        return []

    def training_state(self) -> dict[str, Any]:
        return {}


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
    return Saver(opt, Model(), progress, health, evaluator)  # type: ignore[arg-type]


def fails(saver: Saver) -> None:
    saver.model.disk_full = True  # type: ignore[attr-defined]


def data_error(saver: Saver) -> None:
    with pytest.raises(DataError), saver.saving_before_data_errors():
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
    assert caplog.messages == []
    fails(saver)
    save(saver)
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
    assert caplog.messages == [] and not saver.failed
    saver.save_epoch(2)
    assert [path.name for path in saver.model.save_dir.glob("*.pth") if path.name[0] == "1"] == []
    monkeypatch.setattr(saver.model, "save_networks", refused)
    saver.save_epoch(2)
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
