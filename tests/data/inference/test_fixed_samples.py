"""The fixed samples of a run leave out what cannot be read."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data import create_dataset
from data.inference.fixed_samples import fixed_samples
from util.options import Options

Make = Callable[..., Options]


def names(opt: Options) -> list[str]:
    samples = fixed_samples(opt, create_dataset(opt).dataset)
    return [Path(sample["A_paths"][0]).stem for sample in samples]


@pytest.mark.parametrize("phase", ["train", "test"])
def test_an_unreadable_image_is_left_out_and_named(
    phase: str, pictures: Path, train_opt: Make, caplog
) -> None:
    caplog.set_level(logging.INFO)
    if phase == "train":
        shutil.rmtree(pictures / "testA")
    before = names(train_opt())
    assert len(before) == {"train": 4, "test": 2}[phase]
    path = pictures / f"{phase}A" / f"{phase}A_0.png"
    path.write_bytes(b"broken")
    assert names(train_opt()) == [name for name in before if name != path.stem]
    assert f"left out of the fixed samples: {path} (not an image)" in caplog.text


def test_the_images_of_val_take_the_place_of_a_test_folder_without_a_readable_one(
    pictures: Path, train_opt: Make
) -> None:
    for side in "AB":
        shutil.copytree(pictures / f"test{side}", pictures / f"val{side}")
    for path in (pictures / "testA").rglob("*.png"):
        path.write_bytes(b"broken")
    assert names(train_opt()) == ["testA_1", "testA_0"]


def test_a_single_folder_shows_its_first_images(pictures: Path, train_opt: Make) -> None:
    opt = train_opt("--dataset_mode", "single", "--model", "template")
    assert len(names(opt.replace(dataroot=str(pictures / "trainA")))) == 4
