"""Held-out images are found and read as inference reads them."""

from pathlib import Path

import numpy as np
import pytest
from evaluation_images import scenes
from PIL import Image

from data.inference.held_out import held_out_sides
from util.errors import UserError


def store(folder: Path, count: int, seed: int = 0, size: int = 24) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    images = scenes(count, seed, size)
    for name, levels in images.items():
        Image.fromarray(levels.transpose(1, 2, 0)).save(folder / f"{name}.png")
    return images


def test_the_test_images_else_those_of_val(tmp_path: Path) -> None:
    for phase in ("val", "test"):
        for number, side in enumerate("AB"):
            store(tmp_path / f"{phase}{side}", 2 + number)
        A, B = held_out_sides(tmp_path)
        assert (A.folder, B.folder) == (tmp_path / f"{phase}A", tmp_path / f"{phase}B")
        assert (len(A), len(B)) == (2, 3)
    assert held_out_sides(tmp_path, "val")[0].folder == tmp_path / "valA"


def test_images_keep_their_size_and_levels_unless_asked(tmp_path: Path) -> None:
    images = store(tmp_path / "testA", 2)
    store(tmp_path / "testB", 2)
    A, _ = held_out_sides(tmp_path)
    assert all(np.array_equal(A[name], images[name]) for name in images)
    assert str(A.how) == "their own size"
    small, _ = held_out_sides(tmp_path, size=16)
    assert next(iter(small.values())).shape == (3, 16, 16)
    assert small.digest != A.digest


def test_gray_images_have_three_equal_channels(tmp_path: Path) -> None:
    images = store(tmp_path / "testA", 1)
    store(tmp_path / "testB", 1)
    A, B = held_out_sides(tmp_path, gray=(True, False))
    (levels,), (original,) = A.values(), images.values()
    luma = np.asarray(Image.fromarray(original.transpose(1, 2, 0)).convert("L"))
    assert all(np.array_equal(channel, luma) for channel in levels)
    assert A.how.gray and not B.how.gray


def test_halves_of_pairs(tmp_path: Path) -> None:
    (pair,) = store(tmp_path / "test", 1).values()
    A, B = held_out_sides(tmp_path, aligned=True)
    (left,), (right,) = A.values(), B.values()
    assert np.array_equal(np.concatenate([left, right], axis=2), pair)


def test_files_that_differ_in_the_ending_are_pairs_by_their_full_names(tmp_path: Path) -> None:
    for side, endings in (("A", ("png",)), ("B", ("jpg", "png"))):
        for ending in endings:
            store(tmp_path / f"test{side}", 1)
            file = tmp_path / f"test{side}" / "scene_000.png"
            file.rename(file.with_name(f"a.{ending}"))
    A, B = held_out_sides(tmp_path)
    assert A.paths["a"].endswith("testA/a.png")
    assert B.paths["a"].endswith("testB/a.png")


def test_names_in_data_folders_may_end_as_those_of_a_gallery(tmp_path: Path) -> None:
    for side in "AB":
        store(tmp_path / f"test{side}", 2)
        for number, ending in enumerate(("real", "fake")):
            file = tmp_path / f"test{side}" / f"scene_{number:03}.png"
            file.rename(file.with_name(f"{number}_{ending}.png"))
    assert list(held_out_sides(tmp_path)[0]) == ["0_real", "1_fake"]


def test_missing_images_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--dataroot: there is no folder .*testA"):
        held_out_sides(tmp_path)
    (tmp_path / "testA").mkdir()
    with pytest.raises(UserError, match="testA holds no image"):
        held_out_sides(tmp_path)
