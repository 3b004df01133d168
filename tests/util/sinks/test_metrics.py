"""The figures of held-out images reach every sink, and metrics.jsonl is read back and rewound."""

from __future__ import annotations

import logging
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from util.evaluation.figures import Figure
from util.sinks.background import Background
from util.sinks.curves import Curves, MetricCurves
from util.sinks.dashboard.sink import Dashboard, DashboardSettings
from util.sinks.gallery import COMPARISON, Gallery
from util.sinks.metrics_log import MetricsLog, read_metrics, rewind_metrics
from util.sinks.sink import MetricsRecord, Sink
from util.sinks.svg_curves import CurvesFile
from util.sinks.tensorboard_sink import TensorBoard
from util.sinks.wandb_sink import WeightsAndBiases


def record(epoch: int, value: float = 1.0) -> MetricsRecord:
    figures = {
        "KID[tiny]": Figure("kid", value / epoch, "6 images against 7", 0.25),
        "PSNR": Figure("psnr", math.inf, "pairs"),
    }
    both = {"G_A": figures, "G_B": figures}
    return MetricsRecord(epoch, 10 * epoch, both, {"G_A": 1}, seconds=2.5, share=0.04)


def test_the_file_is_read_back_and_half_written_lines_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MetricsLog(tmp_path)
    with caplog.at_level(logging.INFO):
        for epoch in (1, 2):
            log.metrics(record(epoch))
    assert "(epoch: 2, G_A) KID[tiny]: 0.5000, PSNR: inf; best epoch: 1" in caplog.text
    assert "(epoch: 2, G_B) KID[tiny]: 0.5000, PSNR: inf\n" in caplog.text
    assert "evaluated in 2.5 s; 4.0% of the time so far" in caplog.text
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "netw')
    assert list(read_metrics(tmp_path)) == [record(1), record(2)]
    rewind_metrics(tmp_path, 2)
    assert list(read_metrics(tmp_path)) == [record(1)]
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n")


def test_there_is_nothing_to_read_or_rewind_without_evaluations(tmp_path: Path) -> None:
    rewind_metrics(tmp_path, 2)
    assert not list(read_metrics(tmp_path))
    assert not list(tmp_path.iterdir())


def test_curves_are_not_smoothed_and_an_epoch_measured_again_is_one_point() -> None:
    curves = MetricCurves([record(1), record(2), record(2, value=4.0)])
    assert [(point.x, point.smooth["KID[tiny] G_B"]) for point in curves.points] == [
        (10, 1.0),
        (20, 2.0),
    ]
    assert curves.names == ["KID[tiny] G_A", "PSNR G_A", "KID[tiny] G_B", "PSNR G_B"]


def test_a_sink_in_a_thread_gets_them() -> None:
    class Takes(Sink):
        def __init__(self) -> None:
            self.found: list[int] = []

        def metrics(self, record: MetricsRecord) -> None:
            self.found.append(record.epoch)

    sink = Background(Takes(), pause=0.0)
    for epoch in (1, 2):
        sink.metrics(record(epoch))
    sink.close()
    assert sink.inner.found == [1, 2]


def test_the_file_of_the_curves_has_those_of_the_metrics_too(tmp_path: Path, point: Any) -> None:
    sink = CurvesFile(tmp_path, "exp", Curves([point(1)]))
    sink.metrics(record(1))
    sink.close()
    text = (tmp_path / "loss_curves.svg").read_text()
    assert 'aria-label="KID[tiny] G"' in text
    assert 'aria-label="PSNR G"' in text


def test_the_dashboard_has_a_window_for_each_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Dashboard(DashboardSettings("exp"), tmp_path, Curves())
    drawn: dict[str, tuple[str, Any]] = {}

    def draw(window: str, traces: Any, title: str, xaxis: Any, **look: Any) -> None:
        drawn[window] = title, traces

    monkeypatch.setattr(sink.client, "draw", draw)
    monkeypatch.setattr(sink.client, "say", lambda *_, **__: None)
    for epoch in (1, 2):
        sink.metrics(record(epoch))
    sink.flush()
    assert [title for title, _ in drawn.values()] == ["exp: KID[tiny] G", "exp: PSNR G"]
    kid, psnr = (traces for _, traces in drawn.values())
    assert [trace["name"] for trace in kid] == ["KID[tiny] G_A", "KID[tiny] G_B"]
    assert kid[0]["x"] == [10, 20] and kid[0]["y"] == [1.0, 0.5]
    assert psnr[0]["y"] == [None, None]  # JSON has no infinity


def test_the_gallery_links_to_the_page_of_epochs_where_there_is_one(
    tmp_path: Path, frame: Any
) -> None:
    gallery, page = Gallery(tmp_path, "exp", 64), tmp_path / "web" / "index.html"
    gallery.images(frame(1))
    assert COMPARISON not in page.read_text()
    page.with_name(COMPARISON).touch()
    gallery.metrics(record(1))
    gallery.images(frame(2))
    assert f'href="{COMPARISON}"' in page.read_text()
    html = page.read_text()
    assert 'data-name="KID[tiny] G_A"' in html
    assert ">KID[tiny] G_A</text>" in html and ">G_B</text>" in html
    assert ">KID[tiny] G_B</text>" not in html


def test_weights_and_biases_gets_each_value(tmp_path: Path) -> None:
    logged: dict[str, float] = {}
    sink = WeightsAndBiases(Namespace(), tmp_path)
    sink._run = Namespace(log=lambda values, step: logged.update(values, step=step))
    sink.metrics(record(2))
    assert logged["metrics/KID[tiny] G_B"] == 0.5
    assert logged["step"] == 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorBoard and what it brings
def test_tensorboard_gets_each_value(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sink = TensorBoard(tmp_path)
    sink.open()
    for epoch in (1, 2):
        sink.metrics(record(epoch))
    sink.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (tag,) = (tag for tag in events.Tags()["scalars"] if "KID" in tag and "G_A" in tag)
    assert [(e.step, e.value) for e in events.Scalars(tag)] == [(10, 1.0), (20, 0.5)]
