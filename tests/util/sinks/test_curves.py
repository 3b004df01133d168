"""util/sinks/curves.py and svg_curves.py: bounded curves, whole after resuming; one drawing."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from util.html import HTML
from util.sinks.curves import Curves
from util.sinks.loss_log import loss_line, read_curves, read_history, rewind_logs
from util.sinks.svg_curves import CurvesFile, curve_charts, tick_text, ticks


def test_every_record_is_a_point_until_full_then_neighbours_share_one(point: Any) -> None:
    curves = Curves((point(step) for step in range(1, 20)), max_points=20)
    assert [p.x for p in curves.points] == list(range(1, 20))
    for step in range(20, 2001):
        curves.add(point(step))
    assert 10 <= len(curves.points) < 20
    gaps = {b.x - a.x for a, b in zip(curves.points, curves.points[1:], strict=False)}
    assert len(gaps) == 1  # as dense at the beginning as at the end
    first = curves.points[0]
    raw = [point(step).losses["D_A"] for step in range(1, first.x + 1)]
    assert first.losses["D_A"] == pytest.approx(sum(raw) / len(raw))


def test_finish_shows_the_last_record(point: Any) -> None:
    curves = Curves((point(step) for step in range(1, 22)), max_points=20)
    assert curves.points[-1].x == 20
    curves.finish()
    assert curves.points[-1].x == 21


def test_appending_keeps_the_generation_and_change_does_not(point: Any) -> None:
    curves = Curves([point(1)], max_points=20)
    before = curves.generation
    for step in range(2, 20):
        curves.add(point(step))
    assert curves.generation == before
    curves.add(point(20))
    assert curves.generation == before + 1


def test_a_resumed_run_removes_the_points_of_lost_steps(point: Any) -> None:
    curves = Curves(point(step) for step in range(1, 11))
    curves.add(point(6))
    assert [p.x for p in curves.points] == [1, 2, 3, 4, 5, 6]


def test_smoothing_begins_at_the_first_value_and_skips_nan(point: Any) -> None:
    curves = Curves()
    for step, value in enumerate((4.0, 4.0, math.nan, 4.0), 1):
        curves.add(point(step, losses={"G": value}))
    assert [p.smooth["G"] for p in curves.points] == pytest.approx([4.0] * 4)


def test_history_survives_a_crash_in_the_middle_of_a_line(point: Any, tmp_path: Path) -> None:
    lines = [json.dumps(asdict(point(step))) for step in (1, 2, 3)]
    text = f"{lines[0]}\n{lines[1][:30]}\n{lines[2]}\n"
    (tmp_path / "loss_log.jsonl").write_text(text)
    assert [record.total_iters for record in read_history(tmp_path)] == [1, 3]
    assert list(read_history(tmp_path / "nowhere")) == []


@pytest.fixture
def long_log(point: Any, tmp_path: Path) -> Path:
    """The folder of a run with 40,000 records, 14 MB, of which 37 are behind the last save."""
    one = json.dumps(asdict(point(12345))).split("12345")
    text = loss_line(point(12345)).split("12345")
    with (
        (tmp_path / "loss_log.jsonl").open("w") as rows,
        (tmp_path / "loss_log.txt").open("w") as t,
    ):
        t.write("================ Training Loss (now) ================\n")
        for step in range(1, 40_001):
            rows.write(str(step).join(one) + "\n")
            t.write(str(step).join(text) + "\n")
        rows.write('{"epoch": 1, "it')
    return tmp_path


def test_a_long_log_is_resumed_in_a_bounded_memory(
    long_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its text nor its records are in memory at once."""
    monkeypatch.setattr("util.sinks.loss_log.MAX_READ", 500)
    rows, text = long_log / "loss_log.jsonl", long_log / "loss_log.txt"
    sizes = rows.stat().st_size, text.stat().st_size
    tracemalloc.start()
    rewind_logs(long_log, 1, 39_963, 39_963)
    curves = read_curves(long_log, 39_963)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < min(sizes) / 2
    assert [rows.read_text().count("\n"), text.read_text().count("\n")] == [39_963, 39_964]
    assert sum(1 for _ in read_history(long_log)) == 39_963
    gaps = {b.x - a.x for a, b in zip(curves.points, curves.points[1:], strict=False)}
    assert gaps == {128}  # each line that was read is a point
    before = len(curves.points)
    for step in range(39_964, 39_964 + 640):
        curves.add(replace(next(read_history(long_log)), total_iters=step))
    assert len(curves.points) == before + 5  # as dense as before


def test_a_log_of_ordinary_length_is_read_whole(point: Any, tmp_path: Path) -> None:
    records = [point(step) for step in range(1, 700)]
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    (tmp_path / "loss_log.jsonl").write_text(lines)
    assert read_curves(tmp_path).points == Curves(records).points
    assert read_curves(tmp_path, 5).points == Curves(records[:5]).points


def test_a_log_without_line_feeds_is_no_gigabyte_in_memory(tmp_path: Path) -> None:
    for name in ("loss_log.jsonl", "loss_log.txt"):
        (tmp_path / name).write_bytes(b"\0" * 4_000_000)
    tracemalloc.start()
    rewind_logs(tmp_path, 1, 1, 1)
    assert list(read_history(tmp_path)) == []
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert (tmp_path / "loss_log.jsonl").stat().st_size == 0


def test_charts_pair_the_losses_and_leave_gaps_for_nan(point: Any) -> None:
    curves = Curves(point(step) for step in range(1, 500))
    curves.add(point(500, losses={**point(500).losses, "D_A": math.inf}))
    charts = curve_charts(curves)
    assert [chart.count("data-name=") for chart in charts] == [2, 2, 2, 2]
    assert 'data-name="cycle_B"' in charts[2]
    assert "inf" not in "".join(charts) and "nan" not in "".join(charts)
    assert sum(map(len, charts)) < 60_000
    assert curve_charts(Curves()) == []


def test_the_file_is_the_drawing_of_the_gallery(point: Any, tmp_path: Path) -> None:
    curves = Curves(point(step) for step in range(1, 20))
    CurvesFile(tmp_path, "exp", curves).close()
    text = (tmp_path / "loss_curves.svg").read_text()
    charts = curve_charts(curves)
    assert len(charts) == 4 and all(chart in text for chart in charts)
    page = HTML(tmp_path / "web", "exp")
    page.add_charts(charts)
    page.save()
    html = (tmp_path / "web" / "index.html").read_text()
    assert all(chart in html for chart in charts)


def test_no_file_without_points(tmp_path: Path) -> None:
    CurvesFile(tmp_path, "exp", Curves()).close()
    assert not list(tmp_path.iterdir())


def test_markup_in_the_names_of_losses_and_runs_is_escaped(point: Any, tmp_path: Path) -> None:
    name = """<script>alert("1 & 2's")</script>"""
    losses = {f"{name}_A": 1.0, f"{name}_B": 2.0}
    curves = Curves(point(step, losses=losses) for step in (1, 2, 3))
    CurvesFile(tmp_path, name, curves).close()
    drawing = ElementTree.parse(tmp_path / "loss_curves.svg")  # fails where it is not well-formed
    svg = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in drawing.iter(f"{svg}text")]
    assert texts[0] == name and set(losses) <= set(texts)
    drawn = {path.get("data-name") for path in drawing.iter(f"{svg}path")} - {None}
    assert drawn == set(losses)
    assert not list(drawing.iter(f"{svg}script"))
    (chart,) = curve_charts(curves)
    assert "<script>" not in chart


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (100, 200_000, "50k 100k 150k 200k"),
        (100, 1_500_000, "500k 1M 1.5M"),
        (0, 1.37, "0 0.5 1"),
        (0, 0.0034, "0 0.001 0.002 0.003"),
        (-3, 20, "0 5 10 15 20"),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, texts: str) -> None:
    assert [tick_text(value) for value in ticks(low, high)] == texts.split()


def test_no_tick_is_a_fraction_of_an_image(point: Any) -> None:
    assert ticks(1, 2, smallest_step=1) == [1, 2]
    chart = curve_charts(Curves(point(step) for step in (1, 2)))[0]
    assert re.findall(r'text-anchor="middle">([^<]+)<', chart) == ["1", "2"]


def test_the_axis_of_a_long_run(point: Any) -> None:
    chart = curve_charts(Curves(point(step) for step in range(100, 200_001, 4_997)))[0]
    assert all(f">{text}</text>" in chart for text in ("50k", "100k", "150k"))
