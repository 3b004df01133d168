"""The programs that write pairs: combine_A_and_B, make_dataset_aligned, prepare_cityscapes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from data.image_folder import read_deep
from util.images import BY_TYPE
from util.run.session import run_program

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a program of datasets/ by its name with the words of its command line."""
    monkeypatch.syspath_prepend(str(DATASETS))

    def program(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, DATASETS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return lambda name, *words: run_program(lambda: program(name).main([str(w) for w in words]))


def put(path: Path, colour: object, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)  # type: ignore[arg-type]


def colours(path: Path) -> tuple[tuple[int, int], list[list[int]]]:
    """Return the size and the mean colours of the left and the right half, rounded to tens."""
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB")).astype(float)
    halves = np.split(values, 2, axis=1)
    rounded = [(half.mean(axis=(0, 1)) / 10).round().astype(int) * 10 for half in halves]
    return (values.shape[1], values.shape[0]), [half.tolist() for half in rounded]


RED, BLUE = [250, 0, 0], [0, 0, 250]


@pytest.mark.parametrize("more", [[], ["--no_multiprocessing"]])
def test_combine(run: Run, tmp_path: Path, more: list[str]) -> None:
    for split, names in (("train", ("1.png", "2.png", "3.jpg")), ("test", ("9.png",))):
        for name in names:
            put(tmp_path / "A" / split / name, (250, 0, 0))
            put(tmp_path / "B" / split / name, (0, 0, 250))
    (tmp_path / "A" / "notes.txt").write_text("x")
    folders = ["--fold_A", tmp_path / "A", "--fold_B", tmp_path / "B", "--fold_AB", tmp_path / "AB"]
    assert run("combine_A_and_B", *folders, *more) == 0
    names = sorted(
        path.relative_to(tmp_path / "AB").as_posix() for path in tmp_path.rglob("AB/*/*")
    )
    assert names == ["test/9.png", "train/1.png", "train/2.png", "train/3.jpg"]
    for name in names:
        assert colours(tmp_path / "AB" / name) == ((80, 30), [RED, BLUE])
    assert run("combine_A_and_B", *folders[:4], "--fold_AB", tmp_path / "few", "--num_imgs", 1) == 0
    assert [path.name for path in (tmp_path / "few/train").iterdir()] == ["1.png"]


def test_combine_names_that_end_in_a_and_b(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1_A.png", "2_A.png", "3.png"):
        put(tmp_path / "A" / "train" / name, (250, 0, 0))
    put(tmp_path / "B" / "train" / "1_B.png", (0, 0, 250))
    folders = ["--fold_A", tmp_path / "A", "--fold_B", tmp_path / "B", "--fold_AB", tmp_path / "AB"]
    assert run("combine_A_and_B", *folders, "--use_AB") == 0
    assert [path.name for path in (tmp_path / "AB/train").iterdir()] == ["1.png"]
    assert "1 images have no partner, such as 2_A.png" in capsys.readouterr().out
    assert run("combine_A_and_B", *folders) == 1
    assert "1_A.png for 1_A.png" in capsys.readouterr().err


def test_combine_mistakes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--fold_A", tmp_path / "A", "--fold_B", tmp_path / "B", "--fold_AB", tmp_path / "AB"]
    assert run("combine_A_and_B", *folders) == 1
    assert "--fold_A: there is no folder" in capsys.readouterr().err
    put(tmp_path / "A" / "1.png", 0)
    (tmp_path / "B").mkdir()
    assert run("combine_A_and_B", *folders) == 1
    assert "must hold folders such as train" in capsys.readouterr().err
    put(tmp_path / "A" / "train" / "1.png", 0)
    assert run("combine_A_and_B", *folders) == 1
    assert "--fold_B: there is no folder" in capsys.readouterr().err
    put(tmp_path / "B" / "train" / "1.png", 0, (40, 31))
    assert run("combine_A_and_B", *folders) == 1
    error = capsys.readouterr().err
    assert "has 40x30 and" in error and "has 40x31 pixels: resize" in error
    assert run("combine_A_and_B", *folders, "--num_imgs", 0) == 2


def test_aligned(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for phase in ("train", "test"):
        for number in range(2):
            put(tmp_path / f"{phase}A" / f"a{number}.png", (250, 0, 0))
            put(tmp_path / f"{phase}B" / f"b{number}.png", (0, 0, 250))
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 0
    assert "such as a0 with b0" in capsys.readouterr().out
    for phase in ("train", "test"):
        names = sorted(path.name for path in (tmp_path / phase).iterdir())
        assert names == ["0000.jpg", "0001.jpg"]
        assert colours(tmp_path / phase / "0001.jpg") == ((80, 30), [RED, BLUE])
    put(tmp_path / "testA" / "more.png", 0)
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 1
    assert "holds 3 images and" in capsys.readouterr().err
    assert run("make_dataset_aligned", "--dataset-path", tmp_path / "none") == 1


def cityscapes(tmp_path: Path) -> list[object]:
    """Three scenes as Cityscapes names them; returns the flags."""
    for phase, scene in (("train", "bonn_1"), ("train", "aachen_2"), ("val", "ulm_1")):
        city = scene.partition("_")[0]
        photo = tmp_path / "photos" / phase / city / f"{scene}_leftImg8bit.png"
        put(photo, (250, 0, 0), (64, 32))
        put(tmp_path / "maps" / phase / city / f"{scene}_gtFine_color.png", (0, 0, 250), (64, 32))
        put(tmp_path / "maps" / phase / city / f"{scene}_gtFine_labelIds.png", 0, (64, 32))
    picture(0, 64, 32).save(tmp_path / "photos/train/aachen/aachen_2_leftImg8bit.png")
    folders = ["--gtFine_dir", tmp_path / "maps", "--leftImg8bit_dir", tmp_path / "photos"]
    return [*folders, "--output_dir", tmp_path / "out"]


def test_cityscapes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = cityscapes(tmp_path)
    assert run("prepare_cityscapes_dataset", *flags) == 0
    out = tmp_path / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg")) == [
        "test/0.jpg", "testA/0_A.jpg", "testB/0_B.jpg",
        "train/0.jpg", "train/1.jpg", "trainA/0_A.jpg", "trainA/1_A.jpg",
        "trainB/0_B.jpg", "trainB/1_B.jpg",
    ]  # fmt: skip
    assert colours(out / "train/1.jpg") == ((512, 256), [RED, BLUE])  # bonn, behind aachen
    assert colours(out / "trainA/1_A.jpg") == ((256, 256), [RED, RED])
    assert colours(out / "testB/0_B.jpg") == ((256, 256), [BLUE, BLUE])
    next((tmp_path / "maps/val/ulm").glob("*color.png")).unlink()
    assert run("prepare_cityscapes_dataset", *flags) == 1
    assert "there is no map of it" in capsys.readouterr().err
    (tmp_path / "empty" / "train").mkdir(parents=True)
    (tmp_path / "empty" / "val").mkdir()
    empty = ["--gtFine_dir", tmp_path / "empty", "--leftImg8bit_dir", tmp_path / "empty"]
    assert run("prepare_cityscapes_dataset", *empty) == 1
    assert "is it the folder that was unpacked?" in capsys.readouterr().err
    assert run("prepare_cityscapes_dataset", "--gtFine_dir", tmp_path, *flags[2:]) == 1
    assert "--gtFine_dir: there is no folder" in capsys.readouterr().err


def combining(tmp_path: Path) -> list[object]:
    """Return the words of combine_A_and_B for the folders A, B and AB."""
    return [word for side in ("A", "B", "AB") for word in (f"--fold_{side}", tmp_path / side)]


@pytest.mark.parametrize("place", ["A", "B", "link"])
def test_pairs_never_replace_the_images(
    place: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("A", "B"):
        put(tmp_path / side / "train" / "1.png", (250, 0, 0))
    if place == "link":
        (tmp_path / "link").symlink_to(tmp_path / "A")
    words = [*combining(tmp_path)[:4], "--fold_AB", tmp_path / place]
    before = (tmp_path / "A/train/1.png").read_bytes()
    assert run("combine_A_and_B", *words) == 1
    assert "is a folder of the images themselves" in capsys.readouterr().err
    assert (tmp_path / "A/train/1.png").read_bytes() == before


def test_pairs_of_an_earlier_run_are_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("A", "B"):
        for name in ("1.png", "2.png"):
            put(tmp_path / side / "train" / name, (250, 0, 0))
    assert run("combine_A_and_B", *combining(tmp_path)) == 0
    assert run("combine_A_and_B", *combining(tmp_path)) == 0  # the same files again
    assert run("combine_A_and_B", *combining(tmp_path), "--num_imgs", 1) == 1
    assert "train holds 1 other images, such as 2.png" in capsys.readouterr().err
    for side in ("A", "B"):
        (tmp_path / side / "train").rename(tmp_path / f"train{side}")
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 0
    for side in ("A", "B"):
        (tmp_path / f"train{side}" / "1.png").unlink()
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 1
    assert "train holds 1 other images, such as 0001.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(("ending", "written"), [("png", "1.png"), ("npy", "1.npy")])
def test_pairs_keep_sixteen_bits(
    ending: str, written: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = (np.arange(30 * 40, dtype=np.uint16) * 53).reshape(30, 40)
    for side, image in (("A", values), ("B", values[::-1].copy())):
        folder = tmp_path / side / "train"
        folder.mkdir(parents=True)
        if ending == "npy":
            np.save(folder / "1.npy", image)
        else:
            Image.fromarray(image).save(folder / "1.png")
    assert run("combine_A_and_B", *combining(tmp_path)) == 0
    path = tmp_path / "AB" / "train" / written
    pair = np.load(path) if ending == "npy" else np.asarray(Image.open(path))
    assert pair.dtype == np.uint16
    assert np.array_equal(pair, np.concatenate([values, values[::-1]], axis=1))
    for side in ("A", "B"):
        (tmp_path / side / "train").rename(tmp_path / f"train{side}")
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 0
    aligned = np.asarray(Image.open(tmp_path / "train" / "0000.png"))
    assert np.array_equal(aligned, np.concatenate([values, values[::-1]], axis=1))


def test_a_colour_image_beside_a_deep_one(run: Run, tmp_path: Path) -> None:
    deep = np.full((30, 40), 1000, np.uint16)
    put(tmp_path / "B" / "train" / "1.png", (250, 0, 128))
    (tmp_path / "A" / "train").mkdir(parents=True)
    Image.fromarray(deep).save(tmp_path / "A" / "train" / "1.png")
    assert run("combine_A_and_B", *combining(tmp_path)) == 0
    pair = read_deep(str(tmp_path / "AB" / "train" / "1.png"), None, BY_TYPE)
    assert isinstance(pair, np.ndarray) and pair.shape == (30, 80, 3)
    assert np.allclose(pair[0, 0] * 65535 / 255, 1000, atol=0.01)
    assert np.allclose(pair[0, -1], (250, 0, 128), atol=0.01)


def test_other_numbers_of_channels_and_folders_that_cannot_be_read_are_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("A", "B"):
        (tmp_path / side / "train").mkdir(parents=True)
        np.save(tmp_path / side / "train" / "1.npy", np.zeros((30, 40, 5), np.uint16))
    assert run("combine_A_and_B", *combining(tmp_path)) == 1
    assert "1.npy has 5 channels: pairs are gray or RGB" in capsys.readouterr().err

    def refused(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    assert run("combine_A_and_B", *combining(tmp_path)) == 1
    assert capsys.readouterr().err.endswith(
        "A: Permission denied; change its permissions or choose another\n"
    )


def test_only_the_end_of_a_name_says_its_side(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "A" / "train" / "img_A.v2_A.png", (250, 0, 0))
    put(tmp_path / "B" / "train" / "img_A.v2_B.png", (0, 0, 250))
    assert run("combine_A_and_B", *combining(tmp_path), "--use_AB") == 0
    assert colours(tmp_path / "AB" / "train" / "img_A.v2.png") == ((80, 30), [RED, BLUE])


def test_other_images_below_the_folder_of_pairs_are_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("A", "B"):
        put(tmp_path / side / "train" / "1.png", (250, 0, 0))
    put(tmp_path / "AB" / "train" / "old" / "z.png", (250, 0, 0))
    assert run("combine_A_and_B", *combining(tmp_path)) == 1
    assert "holds 1 other images, such as old/z.png" in capsys.readouterr().err


def test_deep_images_of_a_format_that_is_not_written(run: Run, tmp_path: Path) -> None:
    for side in ("A", "B"):
        put(tmp_path / side / "train" / "1.png", (250, 0, 0))
        header = b"P5 40 30 65535\n"
        (tmp_path / side / "train" / "1.ppm").write_bytes(header + bytes(2 * 40 * 30))
    for _ in range(2):
        assert run("combine_A_and_B", *combining(tmp_path)) == 0
    names = sorted(path.name for path in (tmp_path / "AB" / "train").iterdir())
    assert names == ["1.png", "1.ppm.png"]


def test_a_pair_replaces_that_of_another_format(run: Run, tmp_path: Path) -> None:
    for side in ("A", "B"):
        put(tmp_path / f"train{side}" / "1.png", (250, 0, 0))
    for name in ("0000.jpg", "0000.png"):
        put(tmp_path / "train" / name, (0, 0, 250), (80, 30))
    assert run("make_dataset_aligned", "--dataset-path", tmp_path) == 0
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["0000.jpg"]


def test_a_folder_of_cityscapes_with_other_images_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for phase in ("train", "val"):
        put(tmp_path / "maps" / phase / "bonn" / "bonn_1_gtFine_color.png", (250, 0, 0))
        put(tmp_path / "photos" / phase / "bonn" / "bonn_1_leftImg8bit.png", (0, 0, 250))
    put(tmp_path / "out" / "trainB" / "7_B.jpg", (250, 0, 0))
    words = ["--gtFine_dir", tmp_path / "maps", "--leftImg8bit_dir", tmp_path / "photos"]
    assert run("prepare_cityscapes_dataset", *words, "--output_dir", tmp_path / "out") == 1
    assert "trainB holds 1 other images, such as 7_B.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out" / "train").exists()
