"""util/visualizer.py and the small sinks: independent, and none can end a training."""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PATIENCE

from models.compute.weight_averages import WeightAverages
from util import ranks
from util.sinks.background import Background
from util.sinks.dashboard.sink import Dashboard
from util.sinks.deliveries import Deliveries
from util.sinks.loading_hint import LoadingHint
from util.sinks.loss_log import read_history
from util.sinks.retrying import Retrying
from util.sinks.sink import ImageRecord, LossRecord, SampleRecord, Sink
from util.sinks.tensorboard_sink import TensorBoard
from util.sinks.wandb_sink import WeightsAndBiases
from util.visualizer import Visualizer, _constructors, make_sinks


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages of warnings; other tests may have turned on those of lower levels."""
    return [r.message for r in caplog.records if r.levelno >= logging.WARNING]


def options(folder: Path, **changes: Any) -> Namespace:
    values = {
        "checkpoints_dir": str(folder),
        "name": "exp",
        "continue_train": False,
        "no_html": False,
        "batch_size": 1,
        "num_threads": 0,
        "use_tensorboard": False,
        "use_wandb": False,
        "wandb_project_name": "test",
        "display_winsize": 64,
        "display_id": 0,
        "display_server": "http://localhost",
        "display_port": 1,
        "display_env": "main",
        "display_ncols": 4,
    }
    return Namespace(**{**values, **changes})


EVERY_SINK = {"display_id": 1, "use_tensorboard": True, "use_wandb": True}


def kind(sink: Sink) -> type[Sink]:
    """Return the class of a sink, of the inner one where it hands its records on."""
    return sink.kind if isinstance(sink, Deliveries) else type(sink)


class Recorder(Sink):
    """Stores the records that it receives."""

    def __init__(self) -> None:
        self.records: list[object] = []

    def losses(self, record: LossRecord) -> None:
        self.records.append(record)

    def images(self, record: ImageRecord) -> None:
        self.records.append(record)

    def samples(self, record: SampleRecord) -> None:
        self.records.append(record)


class Broken(Sink):
    """Fails at the first record."""

    def losses(self, record: LossRecord) -> None:
        raise RuntimeError("disk full")


def test_a_sink_that_fails_is_left_out_and_touches_no_other(
    point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    visualizer = Visualizer(Namespace(), [Broken(), recorder])
    for step in (1, 2):
        visualizer.losses(point(step))
    visualizer.close()
    assert len(recorder.records) == 2
    assert warnings_in(caplog) == ["Broken stopped (disk full); the training is not affected"]


def test_a_model_that_cannot_translate_loses_its_samples_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Model:
        device = torch.device("cpu")
        averages = WeightAverages({}, 0.0)

        def check_sizes(self, batch: object) -> None:
            raise RuntimeError("no sizes")

    visualizer = Visualizer(Namespace(), [Recorder()], samples=[{"A": torch.zeros(1, 3, 4, 4)}])
    visualizer.samples(Model(), 1, 1)
    visualizer.samples(Model(), 1, 2)
    visualizer.close()
    assert caplog.text.count("the fixed images are no longer shown (no sizes)") == 1


def test_flags_choose_the_sinks(tmp_path: Path) -> None:
    def kinds(**changes: Any) -> set[type[Sink]]:
        return {kind(sink) for sink in make_sinks(options(tmp_path, **changes))}

    off = {Dashboard, TensorBoard, WeightsAndBiases}
    assert not kinds() & off
    assert kinds(display_id=-1) == kinds()
    assert kinds(**EVERY_SINK) >= off


def test_a_resumed_run_extends_its_curves(tmp_path: Path, point: Any) -> None:
    first = Visualizer(options(tmp_path))
    first.losses(point(1))
    first.close()
    again = make_sinks(options(tmp_path, continue_train=True, display_id=1))
    holders = [s.inner if isinstance(s, Background | Retrying) else s for s in again]
    curves = [holder.curves for holder in holders if hasattr(holder, "curves")]
    assert len(curves) == 3 and all([p.x for p in c.points] == [1] for c in curves)


def test_curves_are_drawn_at_saves_and_at_the_end(tmp_path: Path, point: Any) -> None:
    visualizer = Visualizer(options(tmp_path, no_html=True))
    file = tmp_path / "exp" / "loss_curves.svg"
    visualizer.losses(point(1))
    visualizer.losses(point(2))
    assert not file.exists()
    visualizer.saved()
    assert "2 images" in file.read_text()
    visualizer.losses(point(3))
    visualizer.close()
    assert "3 images" in file.read_text()


@pytest.mark.parametrize(
    ("module", "sink", "message"),
    [
        ("torch.utils.tensorboard", "TensorBoard", "pip install tensorboard"),
        ("wandb", "WeightsAndBiases", "pip install wandb"),
    ],
)
def test_without_its_package_a_sink_logs_one_line(
    tmp_path: Path,
    point: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: str,
    sink: str,
    message: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    sinks = make_sinks(options(tmp_path, no_html=True, use_tensorboard=True, use_wandb=True))
    one = [s for s in sinks if isinstance(s, Background) and s.kind.__name__ == sink]
    with caplog.at_level(logging.INFO):
        visualizer = Visualizer(Namespace(), list(one))
        for step in (1, 2, 3):
            visualizer.losses(point(step))
        visualizer.close()
    assert len(caplog.records) == 1 and message in caplog.text


def test_hint_comes_once_and_names_the_flag(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hint = LoadingHint(options(tmp_path))
    with caplog.at_level(logging.INFO):
        for step in range(30):
            hint.losses(point(step, data=0.5, time=0.1))
    assert len(caplog.records) == 1 and "--num_threads (now 0;" in caplog.text


def test_the_hint_counts_the_cores_that_may_be_used(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("util.sinks.loading_hint.cpu_cores", lambda: 2)
    hint = LoadingHint(options(tmp_path, num_threads=2))
    with caplog.at_level(logging.INFO):
        for step in range(30):
            hint.losses(point(step, data=0.5, time=0.1))
    assert "all CPU cores read images already" in caplog.text


def test_no_hint_where_computing_takes_longer(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hint = LoadingHint(options(tmp_path, batch_size=8))
    with caplog.at_level(logging.INFO):
        for step in range(30):  # waiting 0.5 s for a batch that takes 0.8 s, but for one outlier
            hint.losses(point(step, data=9.0 if step == 12 else 0.5, time=0.1))
    assert not caplog.records


def test_the_hint_compares_a_step_of_all_processes(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks._here, "world", 4)
    hint = LoadingHint(options(tmp_path, batch_size=2))
    with caplog.at_level(logging.INFO):
        for step in range(30):  # 8 images in all, each in 0.1 s
            hint.losses(point(step, data=0.5, time=0.1))
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorBoard and what it brings
def test_tensorboard_files_hold_scalars_and_images(
    tmp_path: Path, point: Any, frame: Any, sample: Any
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for steps in ((1, 2, 3), (3, 4)):  # the second run resumes from a save after step 2
        sink = TensorBoard(tmp_path)
        sink.open()
        for step in steps:
            sink.losses(point(step))
        sink.images(frame(1))
        sink.samples(sample(1))
        sink.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss/cycle_A")] == [1, 2, 3, 4]
    assert {"pictures/real_A", "fixed pictures"} <= set(events.Tags()["images"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # wandb and what it brings
def test_wandb_works_offline_and_resumes(
    tmp_path: Path, point: Any, frame: Any, sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for bound in ("WANDB_INIT_TIMEOUT", "WANDB_X_SERVICE_WAIT", "WANDB__SERVICE_WAIT"):
        monkeypatch.setenv(bound, str(int(PATIENCE)))
    identities = []
    for resumed in (False, True):
        opt = options(tmp_path, continue_train=resumed)
        sink = WeightsAndBiases(opt, tmp_path / "exp")
        sink.open()
        sink.losses(point(10))
        sink.images(frame(2))
        sink.samples(sample(1))  # an older step must not be refused
        sink.close()
        identities.append((tmp_path / "exp" / "wandb_id.txt").read_text())
    assert identities[0] == identities[1]
    assert len(list((tmp_path / "exp" / "wandb").glob("offline-run-*"))) == 2


def test_json_lines_have_full_digits(tmp_path: Path, point: Any) -> None:
    visualizer = Visualizer(options(tmp_path, no_html=True))
    visualizer.losses(point(6))
    visualizer.close()
    line = json.loads((tmp_path / "exp" / "loss_log.jsonl").read_text())
    assert line["losses"]["D_A"] == 1 / 7


GARBAGE = [
    '{"epoch": 1, "iters"',
    "\0\0\0",
    "[]",
    "3",
    "[" * 100_000,
    '{"total_iters": 1}',
    '{"total_iters": "1", "losses": 3}',
    json.dumps({"total_iters": int("9" * 400)}),
]
"""Lines that a crash, a full disk or an editor leaves in loss_log.jsonl."""


@pytest.mark.parametrize("change", [{}, {"losses": 5}, {"losses": {"D_A": "x"}}, {"epoch": "1"}])
def test_damaged_logs_do_not_end_a_resumed_training(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    first = Visualizer(options(tmp_path))
    for step in (1, 2, 3):
        first.losses(point(step))
    first.close()
    folder = tmp_path / "exp"
    wrong = [json.dumps({**asdict(point(2)), **change})] if change else []
    wrong += [json.dumps({**asdict(point(2)), "losses": {"D_A": 10**400}})]
    with (folder / "loss_log.jsonl").open("a") as file:
        file.write("\n".join([*wrong, *GARBAGE]))
    with (folder / "loss_log.txt").open("ab") as file:
        file.write(b"\xff\0\n(epoch: " + 5000 * b"9" + b", iters: 1, time: 1) x\n(epoch: 1, it")
    second = Visualizer(options(tmp_path, continue_train=True))
    second.open((1, 2, 2))
    second.losses(point(3))
    second.close()
    assert not warnings_in(caplog)
    assert [record.total_iters for record in read_history(folder)] == [1, 2, 3]
    lines = (folder / "loss_log.txt").read_text().splitlines()
    assert [line[:21] for line in lines] == [
        "================ Trai",
        "(epoch: 1, iters: 1, ",
        "(epoch: 1, iters: 2, ",
        "================ Trai",
        "(epoch: 1, iters: 3, ",
    ]


def test_a_new_line_begins_after_one_that_was_cut_off(tmp_path: Path, point: Any) -> None:
    (tmp_path / "exp").mkdir()
    for name in ("loss_log.txt", "loss_log.jsonl"):
        (tmp_path / "exp" / name).write_text("cut o")
    visualizer = Visualizer(options(tmp_path, continue_train=True))
    visualizer.losses(point(1))  # without a position to which the logs are taken back
    visualizer.close()
    assert [record.total_iters for record in read_history(tmp_path / "exp")] == [1]
    assert (tmp_path / "exp" / "loss_log.txt").read_text().startswith("cut o\n====")


@pytest.mark.parametrize("name", list(_constructors(options(Path("unused"), **EVERY_SINK))))
def test_a_sink_that_cannot_be_made_is_left_out_with_one_warning(
    tmp_path: Path,
    point: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("read-only folder")

    opt = options(tmp_path, **EVERY_SINK)
    every = make_sinks(opt)
    (failing,) = [sink for sink in every if kind(sink).__name__ == name]
    monkeypatch.setattr(kind(failing), "__init__", fail)
    sinks = make_sinks(opt)
    if isinstance(failing, Retrying) or name == "TensorBoard":
        waits = f"{name} waits until it can write (read-only folder); the training goes on"
        assert warnings_in(caplog) == [waits]
        assert [kind(sink) for sink in sinks] == [kind(s) for s in every]
        return
    assert warnings_in(caplog) == [
        f"{name} is left out (read-only folder); the training is not affected"
    ]
    assert [kind(sink) for sink in sinks] == [kind(s) for s in every if s is not failing]


def test_files_where_folders_belong_cost_their_sinks_alone(
    tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("util.sinks.retrying.PATIENCE", -1.0)
    (tmp_path / "exp" / "loss_log.txt").mkdir(parents=True)
    (tmp_path / "exp" / "web").write_text("a file")
    visualizer = Visualizer(options(tmp_path))
    visualizer.open((1, 2, 2))
    visualizer.losses(point(1))
    visualizer.images({"real_A": torch.zeros(1, 3, 4, 4)}, 1, 1, True)
    visualizer.close()
    warnings = [message.split(" (")[0] for message in warnings_in(caplog)]
    waits, lost = "waits until it can write", "1 record(s) could not be written"
    assert warnings == [
        *(f"{name} {waits}" for name in ("LogFiles", "Gallery")),
        *(f"{name}: {lost}" for name in ("LogFiles", "Gallery")),
    ]
