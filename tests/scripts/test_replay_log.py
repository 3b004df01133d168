"""scripts/replay_log.py reads the logs and galleries of damaged runs as far as they are whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from util.sinks.gallery import Gallery
from util.sinks.sink import ImageRecord

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/replay_log.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay_log", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Screen:
    """Stands for the dashboard."""

    def __init__(self) -> None:
        self.shown: list[ImageRecord] = []

    def images(self, record: ImageRecord) -> None:
        self.shown.append(record)


def test_damaged_lines_of_a_text_log_are_skipped(script: ModuleType, tmp_path: Path) -> None:
    good = "(epoch: 1, iters: {}, time: 0.2, data: 0.1) D_A: 0.5 G_A: {}\n"
    lines = [good.format(1, 1.0), good.format(2, "1.0.0"), "(epoch: 1, iters: 3, time: 0.0.1"]
    lines += ["\n(epoch: 1, iters: 3, time: 0..1, data: 1) D_A: 1\n", good.format(4, "nan")]
    (tmp_path / "loss_log.txt").write_text("".join(lines))
    curves, last = script.past(tmp_path)
    assert [point.x for point in curves.points] == [1, 4] and last.total_iters == 4


@pytest.mark.parametrize("process", ["", "[Rank 0] "])
def test_losses_may_be_separated_by_commas(
    process: str, script: ModuleType, tmp_path: Path
) -> None:
    line = f"{process}(epoch: 1, iters: 3, time: 0.2, data: 0.1) , D_A: 0.512, G_A: 0.321\n"
    (tmp_path / "loss_log.txt").write_text(line)
    _, last = script.past(tmp_path)
    assert last.losses == {"D_A": 0.512, "G_A": 0.321}


@pytest.mark.parametrize("damage", ["state", "image", "no image"])
def test_a_damaged_gallery_is_left_out(
    damage: str,
    script: ModuleType,
    tmp_path: Path,
    frame: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Gallery(tmp_path, "exp", 64).images(frame(1))
    web, screen = tmp_path / "web", Screen()
    script.add_images(screen, web, 10)
    assert len(screen.shown) == 1 and not capsys.readouterr().err
    image = web / "images" / "epoch001_real_A.png"
    if damage == "no image":
        image.unlink()
    else:
        (image if damage == "image" else web / "gallery.json").write_text("{")
    script.add_images(screen, web, 10)
    assert len(screen.shown) == 1
    assert capsys.readouterr().err.startswith("warning: images of the gallery are left out (")


def test_a_run_that_does_not_exist(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--name", "none", "--checkpoints_dir", str(tmp_path)]) == 1
    assert f"there is no run {tmp_path / 'none'}" in capsys.readouterr().err
