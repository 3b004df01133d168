"""datasets/make_demo_dataset.py: its images, repeated runs, and other files in its folder."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
PHASES = ("trainA", "trainB", "testA", "testB")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DATASETS))
    spec = importlib.util.spec_from_file_location(
        "make_demo_dataset", DATASETS / "make_demo_dataset.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def arguments(out: Path, **changes: int) -> list[str]:
    settings = {"size": 48, "train": 3, "test": 2, "seed": 0, **changes}
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["--out", str(out), *flags]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float32)


def test_folders_sizes_and_names(program: ModuleType, tmp_path: Path) -> None:
    assert program.main(arguments(tmp_path / "demo")) == 0
    names = {p: sorted(f.name for f in (tmp_path / "demo" / p).iterdir()) for p in PHASES}
    assert [len(names[p]) for p in PHASES] == [3, 3, 2, 2]
    assert names["testA"] == names["testB"]
    for path in (tmp_path / "demo").rglob("*.png"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 48))


def test_same_seed_same_bytes_other_seed_other_scenes(program: ModuleType, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        assert program.main(arguments(tmp_path / name, seed=seed)) == 0
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert all(one[name] != three[name] for name in one)
    # A longer data set begins with the shorter one.
    assert program.main(arguments(tmp_path / "long", seed=5, train=4)) == 0
    long = contents(tmp_path / "long")
    assert all(long[name] == one[name] for name in one if name.endswith(".png"))


def test_training_sides_and_test_show_different_scenes(program: ModuleType) -> None:
    """The scenes behind all images, before any painting, are pairwise different."""
    scenes = [
        program.draw_scene(np.random.default_rng([0, stream, index]), 32)
        for stream in (program.TRAIN_A, program.TRAIN_B, program.TEST)
        for index in range(1, 5)
    ]
    for number, scene in enumerate(scenes):
        assert all(np.abs(scene - other).mean() > 0.02 for other in scenes[:number])


def test_a_pair_differs_clearly_but_shows_one_scene(program: ModuleType) -> None:
    images = {(phase, i): x for phase, i, x in program.demo_images(96, 1, 12, 0)}
    differences, likenesses, strangers = [], [], []
    for index in range(1, 13):
        a, b = images["testA", index], images["testB", index]
        other = images["testB", index % 12 + 1]
        differences.append(255 * float(np.abs(a - b).mean()))
        likenesses.append(np.corrcoef(a.mean(axis=2).ravel(), b.mean(axis=2).ravel())[0, 1])
        strangers.append(np.corrcoef(a.mean(axis=2).ravel(), other.mean(axis=2).ravel())[0, 1])
    assert 35 < np.mean(differences) < 60
    assert min(likenesses) > 0.85  # light stays light and dark stays dark
    assert np.mean(strangers) < np.mean(likenesses) - 0.1
    assert min(differences) > 20


def test_b_is_rougher_and_warmer_than_a(program: ModuleType) -> None:
    images = {(phase, i): x for phase, i, x in program.demo_images(96, 1, 8, 3)}
    for index in range(1, 9):
        a, b = images["testA", index], images["testB", index]
        sky_a, sky_b = a[:24].mean(axis=(0, 1)), b[:24].mean(axis=(0, 1))
        assert sky_a[2] > sky_a[0] and sky_b[0] > sky_b[2]  # blue sky, golden sky
        # Strokes: neighbouring pixels of the sky differ more in the painting.
        assert np.abs(np.diff(b[:24], axis=0)).mean() > 1.3 * np.abs(np.diff(a[:24], axis=0)).mean()


def test_complete_folder_is_left_unchanged(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert program.main(arguments(out)) == 0
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    assert program.main(arguments(out)) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "left unchanged" in lines[0]


def test_half_made_folder_is_made_again(program: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert program.main(arguments(out)) == 0
    whole = contents(out)
    (out / "trainB" / "scene_0002.png").unlink()
    assert program.main(arguments(out)) == 0
    assert contents(out) == whole


def test_interrupted_run_is_not_taken_for_complete(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(program, "paint", interrupted)
        assert program.main(arguments(out)) == 130
    assert json.loads((out / "demo.json").read_text())["pictures"] is None
    assert program.main(arguments(out)) == 0
    assert len(list((out / "trainB").iterdir())) == 3


def test_other_settings_replace_its_own_images(program: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert program.main(arguments(out)) == 0
    assert program.main(arguments(out, train=1, size=32)) == 0
    assert [len(list((out / p).iterdir())) for p in PHASES] == [1, 1, 2, 2]
    assert pixels(out / "trainA" / "scene_0001.png").shape == (32, 32, 3)


@pytest.mark.parametrize("own_first", [False, True])
def test_other_peoples_files_are_left_alone(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_first: bool
) -> None:
    out = tmp_path / "demo"
    if own_first:
        assert program.main(arguments(out)) == 0
    (out / "trainA").mkdir(parents=True, exist_ok=True)
    (out / "trainA" / "holiday.png").write_bytes(b"mine")
    before = contents(out)
    assert program.main(arguments(out, seed=9)) == 1
    error = capsys.readouterr().err
    assert "holds other files" in error and "--out" in error and error.count("\n") == 1
    assert contents(out) == before


def test_out_that_is_a_file(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").write_text("text")
    assert program.main(arguments(tmp_path / "demo")) == 1
    assert re.search(r"--out .*this is a file", capsys.readouterr().err)
    assert program.main(arguments(tmp_path / "demo" / "inside")) == 1
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--size", "8"], ["--train", "0"], ["--seed", "x"]])
def test_wrong_values_are_usage_errors(
    program: ModuleType, tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["--out", str(tmp_path / "demo"), *flags])
    assert caught.value.code == 2
    assert flags[0] in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_what_systems_put_into_folders_is_not_foreign(
    name: str, program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(arguments(tmp_path / "demo")) == 0
    for folder in (tmp_path / "demo", tmp_path / "demo" / "trainA"):
        (folder / name).write_text("x")
    assert program.main(arguments(tmp_path / "demo")) == 0
    assert "complete with these settings" in capsys.readouterr().out
    assert program.main(arguments(tmp_path / "demo", seed=1)) == 0
    assert (tmp_path / "demo" / "trainA" / name).read_text() == "x"


def test_a_full_disk_does_not_block_the_folder(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def full(self: Path, text: str, **settings: str) -> int:
        write_text(self, "", encoding="utf-8")
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert program.main(arguments(tmp_path / "demo")) == 1
    assert program.main(arguments(tmp_path / "demo")) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert program.main(arguments(tmp_path / "demo", seed=1)) == 1
    assert program.main(arguments(tmp_path / "demo", seed=1)) == 0
