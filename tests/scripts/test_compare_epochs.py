"""scripts/compare_epochs.py: from weights, from stored samples, and in bounded memory."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_images import noisy, scenes
from PIL import Image
from script_modules import script
from tiny_runs import infer, make_run, pixels, tiny_generator

from util.checkpoints.weights import save_weights
from util.evaluation.epochs_page import SHEET_COLUMNS, EpochsPage, Side, sheet_epochs
from util.evaluation.figures import Figure
from util.run.session import run_program
from util.sinks.gallery import Gallery
from util.sinks.metrics_log import MetricsLog
from util.sinks.sink import MetricsRecord, SampleRecord


def compare(where: Path, *words: object) -> int:
    """The exit code of the script on the run in `where`, on the CPU."""
    argv = ["--name", "run", "--checkpoints_dir", where / "checkpoints", "--gpu_ids", "-1", *words]
    return run_program(lambda: script("compare_epochs").main([str(word) for word in argv]))


def store(folder: Path, images: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    for name, levels in images.items():
        Image.fromarray(levels.transpose(1, 2, 0)).save(folder / f"{name}.png")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a run of CycleGAN with the epochs 2 and 10 is, its data, and recorded figures."""
    folder = make_run(tmp_path, "_A", "_B")
    for epoch in (2, 10):
        for side in "AB":
            net = tiny_generator()
            for parameter in net.parameters():
                parameter.data.mul_(1 + epoch / 50)
            save_weights(net, folder / f"{epoch}_net_G_{side}.pth")
    store(tmp_path / "data" / "testA", scenes(4, size=32))
    store(tmp_path / "data" / "testB", noisy(scenes(4, size=32), 30))
    options = {
        "dataroot": str(tmp_path / "data"),
        "dataset_mode": "unaligned",
        "model": "cycle_gan",
    }
    (folder / "train_opt.json").write_text(json.dumps(options))
    log = MetricsLog(folder)
    for epoch, value in ((2, 3.0), (10, 4.0)):
        row = {"KID": Figure("kid", value / 10, "", 0.1), "L1": Figure("l1", 9 - value, "")}
        log.metrics(MetricsRecord(epoch, epoch, {"G_A": row, "G_B": row}, {}, 1.0, 0.1))
    return tmp_path


def content(where: Path) -> dict[str, Any]:
    text = (where / "checkpoints" / "run" / "web" / "epochs.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*)</script>', text)
    assert found
    return json.loads(found[1])


def test_the_page_of_a_run_shows_its_translations_and_recorded_figures(run: Path) -> None:
    assert compare(run, "--images", "3") == 0
    web = run / "checkpoints" / "run" / "web"
    there, back = content(run)["directions"]
    assert (there["key"], back["key"]) == ("G_A", "G_B")
    assert [column["epoch"] for column in there["columns"]] == ["2", "10"]
    assert there["titles"] == ["KID", "L1"]
    assert there["columns"][0]["figures"] == {"KID": "0.3000", "L1": "6.000"}
    assert [column["best"] for column in there["columns"]] == [["KID"], ["L1"]]
    assert len(there["names"]) == 3
    data = run / "data" / "testA"
    words = ("--dataroot", data, "--model_suffix", "_A", "--epoch", "10", "--output", run / "out")
    assert infer(run, *words) == 0
    for place, name in enumerate(there["names"]):
        shown = pixels(web / there["folder"] / "10" / f"{place}.jpg")
        assert np.abs(shown - pixels(run / "out" / f"{name}.png")).mean() < 6
        for column, folder in (("input", "testA"), ("answer", "testB")):
            stored = pixels(web / there["folder"] / column / f"{place}.jpg")
            assert np.abs(stored - pixels(run / "data" / folder / f"{name}.png")).mean() < 25
    with Image.open(web / "epochs.png") as sheet:
        assert sheet.width >= 4 * 128  # input, two epochs, true answer


def test_recorded_figures_of_averaged_weights_stand_above_their_images(run: Path) -> None:
    folder = run / "checkpoints" / "run"
    options = json.loads((folder / "train_opt.json").read_text())
    (folder / "train_opt.json").write_text(json.dumps({**options, "ema": 0.999}))
    for side in "AB":
        shutil.copy(folder / f"10_net_G_{side}.pth", folder / f"10_net_G_{side}_ema.pth")
    for words, figures in ((("--ema",), {"KID": "0.4000", "L1": "5.000"}), ((), {})):
        assert compare(run, "--epochs", "10", "--images", "1", *words) == 0
        (column,) = content(run)["directions"][0]["columns"]
        assert column["figures"] == figures


def test_figures_are_measured_on_request(run: Path) -> None:
    assert compare(run, "--epochs", "10,2", "--metrics", "identity,l1", "--images", "1") == 0
    there, _ = content(run)["directions"]
    assert there["titles"] == ["identity error", "L1"]
    assert [column["epoch"] for column in there["columns"]] == ["10", "2"]


def sample_rows(epoch: int, count: int = 3, size: int = 100) -> list[dict[str, Any]]:
    """Fixed images of one colour each: the column, the epoch, the row."""
    labels = ("real_A", "fake_B", "real_B", "fake_A")
    return [
        {
            label: np.full((size, size, 3), (40 * column, epoch % 50 * 5, 80 * row), np.uint8)
            for column, label in enumerate(labels)
        }
        for row in range(count)
    ]


def finished(where: Path, epochs: int, **kind: int) -> Path:
    """A run without weights whose gallery has fixed images."""
    folder = where / "checkpoints" / "run"
    folder.mkdir(parents=True)
    (folder / "train_opt.json").write_text(json.dumps({"model": "cycle_gan"}))
    gallery = Gallery(folder, "run", 64)
    for epoch in range(1, epochs + 1):
        gallery.samples(SampleRecord(epoch, epoch, sample_rows(epoch, **kind), store=True))
    gallery.close()
    return folder


def test_a_finished_run_without_weights_shows_its_fixed_images(tmp_path: Path) -> None:
    web = finished(tmp_path, 4) / "web"
    assert compare(tmp_path, "--epochs", "1,3") == 0
    there, back = content(tmp_path)["directions"]
    assert (there["key"], back["key"]) == ("G_A", "G_B")
    assert [column["epoch"] for column in there["columns"]] == ["1", "3"]
    assert len(there["names"]) == 3
    for folder, column, epoch in ((there, 0, "input"), (there, 1, "3"), (back, 3, "3")):
        for row in range(3):
            shown = pixels(web / folder["folder"] / epoch / f"{row}.jpg")
            number = 1 if epoch == "input" else int(epoch)
            assert shown.shape == (100, 100, 3)
            assert np.abs(shown - (40 * column, 5 * number, 80 * row)).max() < 6
    assert 'href="epochs.html"' in (web / "index.html").read_text()


def test_an_epoch_with_a_name_is_shown_without_numbered_ones(run: Path) -> None:
    folder = run / "checkpoints" / "run"
    for side in "AB":
        (folder / f"10_net_G_{side}.pth").rename(folder / f"best_net_G_{side}.pth")
        (folder / f"2_net_G_{side}.pth").unlink()
    assert compare(run, "--epochs", "best", "--images", "1") == 0
    there, _ = content(run)["directions"]
    assert [column["epoch"] for column in there["columns"]] == ["best"]
    assert there["names"] != ["fixed image 1"]


def test_metrics_of_a_run_without_weights_are_refused(tmp_path: Path, capsys) -> None:
    finished(tmp_path, 2)
    assert compare(tmp_path, "--metrics", "l1") == 2
    error = capsys.readouterr().err
    assert "--metrics needs weights" in error
    assert error.count("\n") == 1


def test_fixed_images_that_are_not_square_are_shown_as_a_whole(tmp_path: Path) -> None:
    folder = finished(tmp_path, 1)
    image = np.zeros((73, 222, 3), np.uint8)
    Image.fromarray(image).save(folder / "web" / "images" / "epoch001_samples.png")
    assert compare(tmp_path, "--samples") == 0
    (side,) = content(tmp_path)["directions"]
    assert (side["key"], side["inputs"], len(side["names"])) == ("samples", False, 1)


def test_memory_does_not_grow_with_the_number_of_epochs(tmp_path: Path) -> None:
    peaks = []
    for epochs in (15, 60):
        where = tmp_path / str(epochs)
        finished(where, epochs, count=2, size=160)
        compare(where)  # imports, caches
        tracemalloc.start()
        assert compare(where) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    sheet = 4 * 164 * 2 * 164 * 3  # bytes; 45 of them would be 29 MB
    assert peaks[1] - peaks[0] < 2 * sheet


def test_the_png_of_many_epochs_has_the_best_and_the_last() -> None:
    figures = {str(e): {"L1": Figure("l1", abs(e - 38), "")} for e in range(1, 101)}
    epochs = sheet_epochs(Side("G", "", ["a"], figures=figures))
    assert len(epochs) <= SHEET_COLUMNS
    assert epochs == sorted(epochs, key=int)
    assert {"1", "38", "100"} <= set(epochs)


def test_names_cannot_end_the_script(tmp_path: Path) -> None:
    page = EpochsPage(tmp_path, "</script><b>")
    side = Side("G", "</script>", ["</script>"], figures={"1": {}})
    page.sides.append(side)
    for column in ("input", "1"):
        page.add(side, column, 0, np.zeros((8, 8, 3), np.uint8))
    text = page.save().read_text()
    assert text.count("</script>") == 2
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--images", "0"), 2, "--images 0: give a number above 0"),
        (("--seed", "-1"), 2, "--seed -1: give a number from 0 to"),
        (("--metrics", "fit"), 2, "there is no such metric; did you mean fid?"),
        (
            ("--samples", "--metrics", "l1"),
            2,
            "--metrics needs weights; leave it out with --samples",
        ),
        (("--epochs", "3"), 1, "--epochs 3: epoch 3 is not stored in"),
        (("--samples", "--epochs", "3"), 1, "epoch 3 has neither weights in"),
        (("--name", "other"), 1, "there is no run"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], code: int, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(run, *words) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
