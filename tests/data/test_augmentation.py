"""data/augmentation.py: pairs are changed alike, others apart, and an item is always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image

from data import create_dataset
from data.augmentation import Augmentation, augmentation_of
from data.transforms import CropFlip
from options.test_options import TestOptions
from util.options import Options

TrainOpt = Callable[..., Options]
FLAGS = {
    "colour": ("--color_jitter", "0.4,0.4,0.4,0.2"),
    "rotation": ("--random_rotation", "30"),
    "part": ("--random_resized_crop", "0.3"),
}
ALL = tuple(word for flag in FLAGS.values() for word in flag)


def item(opt: Options, index: int = 0) -> dict[str, torch.Tensor]:
    return create_dataset(opt).dataset[index]


@pytest.fixture
def pairs(pictures: Path) -> Path:
    """The data folder with train/, in which A is B."""
    (pictures / "train").mkdir()
    for number in range(3):
        image = picture(number, 40, 40)
        pair = Image.new("RGB", (80, 40))
        pair.paste(image, (0, 0))
        pair.paste(image, (40, 0))
        pair.save(pictures / "train" / f"{number}.png")
    return pictures


def test_nothing_is_changed_unless_asked_for(train_opt: TrainOpt, tmp_path: Path) -> None:
    assert augmentation_of(train_opt()) is None
    assert augmentation_of(train_opt("--color_jitter", "0,0,0,0")) is None
    argv = ["--name", "x", "--dataroot", str(tmp_path)]
    assert augmentation_of(TestOptions().parse(argv)) is None


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_changes_the_image_and_keeps_its_size(train_opt: TrainOpt, flag: str) -> None:
    plain, changed = item(train_opt())["A"], item(train_opt(*FLAGS[flag]))["A"]
    assert changed.shape == plain.shape == (3, 32, 32)
    assert changed.dtype == plain.dtype and not torch.equal(changed, plain)
    levels = (changed + 1) * 127.5  # 8-bit levels, which worker processes send as bytes
    assert (levels - levels.round()).abs().max() < 1e-3


def test_pairs_are_changed_alike(train_opt: TrainOpt, pairs: Path) -> None:
    opt = train_opt("--dataset_mode", "aligned", "--model", "pix2pix", *ALL)
    for index in range(3):
        both = item(opt, index)
        assert torch.equal(both["A"], both["B"])
    assert not torch.equal(item(opt, 0)["A"], item(opt.replace(seed=2), 0)["A"])


def test_unpaired_images_are_changed_apart(train_opt: TrainOpt, pictures: Path) -> None:
    for side in "AB":
        for path in (pictures / f"train{side}").rglob("*.png"):
            picture(7, 40, 40).save(path)
    for words in FLAGS.values():
        both = item(train_opt(*words, "--crop_size", "32", "--load_size", "32", "--no_flip"))
        assert not torch.equal(both["A"], both["B"])


def test_an_item_depends_on_seed_epoch_and_index_alone(train_opt: TrainOpt) -> None:
    opt = train_opt(*ALL, "--num_threads", "0")
    loader = create_dataset(opt)
    batches = {epoch: list(loader.batches(epoch)) for epoch in (1, 2)}
    resumed = list(create_dataset(opt).batches(2, start=3))
    for expected, batch in zip(batches[2][3:], resumed, strict=True):
        assert expected["A_paths"] == batch["A_paths"]
        assert torch.equal(expected["A"], batch["A"]) and torch.equal(expected["B"], batch["B"])
    one, two = ({batch["A_paths"][0]: batch["A"] for batch in batches[epoch]} for epoch in batches)
    assert all(not torch.equal(one[path], two[path]) for path in one)


@pytest.mark.parametrize("size", [(40, 40), (90, 30), (30, 90)])
def test_rotation_leaves_no_empty_corners(size: tuple[int, int]) -> None:
    image = np.full((3, size[1], size[0]), 200, np.uint8)
    for seed in range(20):
        rotated, _ = Augmentation(degrees=180).apply(image, CropFlip(), None, Random(seed), (3,))  # type: ignore[arg-type]
        assert rotated.shape == image.shape
        assert rotated.min() >= 199


def test_gray_images_keep_one_channel(train_opt: TrainOpt) -> None:
    both = item(train_opt(*ALL, "--input_nc", "1"))
    assert both["A"].shape == (1, 32, 32) and both["B"].shape == (3, 32, 32)


def test_parts_have_the_share_that_was_asked_for(train_opt: TrainOpt) -> None:
    """A part of all of the area is, but for its proportions, the whole image."""
    ramp = np.arange(64, dtype=np.uint8) * 4
    image = np.broadcast_to(ramp, (1, 64, 64))
    opt = train_opt()
    for seed in range(20):
        widths = []
        for scale in (0.05, 1.0):
            augmentation = Augmentation(min_scale=scale)
            part, _ = augmentation.apply(image, CropFlip(5, 5), opt, Random(seed), (1,))
            assert part.shape == (1, opt.crop_size, opt.crop_size)
            widths.append(int(part[0, 0, -1]) - int(part[0, 0, 0]))
        assert widths[1] >= 0.7 * 252  # the narrowest has the proportions 3 : 4
        assert widths[0] < 1.05 * widths[1]


@pytest.mark.parametrize(
    "words",
    [
        ("--color_jitter", "0.2"),
        ("--color_jitter", "0.2,0.2,0.2,0.6"),
        ("--color_jitter", "a,b,c,d"),
        ("--color_jitter", "-0.1,0,0,0"),
        ("--random_rotation", "181"),
        ("--random_rotation", "-1"),
        ("--random_resized_crop", "1.5"),
        ("--random_resized_crop", "0.5", "--preprocess", "none"),
    ],
)
def test_mistakes(
    train_opt: TrainOpt, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        train_opt(*words)
    assert raised.value.code == 2
    assert words[0] in capsys.readouterr().err
