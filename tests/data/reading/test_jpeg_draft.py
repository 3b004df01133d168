"""JPEG draft decoding: close to full decoding, not shifted, and only of images that shrink."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_figures import GOLDEN
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from data.reading import jpeg_draft
from data.reading.image_reader import ImageReader
from data.unaligned_dataset import UnalignedDataset
from util.images import Uint8Image
from util.options import Options

Make = Callable[..., Options]


def settings(**more: Any) -> Namespace:
    base = {"isTrain": True, "full_decode": False, "cache": "none", "preprocess": "resize_and_crop"}
    base |= {"load_size": 44, "crop_size": 32, "max_size": None}
    return Namespace(**{**base, **more})


def both(path: Path, channels: int = 3, **more: Any) -> tuple[Uint8Image, Uint8Image]:
    """Return the image as training reads it, and decoded in full."""
    quick, full = (ImageReader(settings(full_decode=full, **more)) for full in (False, True))
    return quick.read_uint8(str(path), channels), full.read_uint8(str(path), channels)


def decibels(a: Uint8Image, b: Uint8Image) -> float:
    """Return the peak signal-to-noise ratio."""
    assert a.shape == b.shape
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


@pytest.fixture
def fractions(monkeypatch) -> list[int]:
    """The denominators of the fractions that the decoder is asked for."""
    asked: list[int] = []
    draft = JpegImageFile.draft

    def spy(self: Any, mode: Any, size: tuple[int, int]) -> Any:
        before = self.width
        result = draft(self, mode, size)
        asked.append(round(before / self.width))
        return result

    monkeypatch.setattr(JpegImageFile, "draft", spy)
    return asked


def photo(name: str = "coffee_101x147.png", size: tuple[int, int] = (331, 257)) -> Image.Image:
    """Return a photograph with added noise and odd sides, whose fractions are rounded up."""
    enlarged = Image.open(GOLDEN / "images" / name).convert("RGB").resize(size)
    noise = np.random.default_rng(0).normal(0, 4, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(enlarged) + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("quick_resize", [True, False])
@pytest.mark.parametrize("name", ["coffee_101x147.png", "astronaut_140x90.png"])
@pytest.mark.parametrize(("size", "fraction"), [((331, 257), 4), ((181, 133), 2), ((1023, 767), 4)])
def test_a_shrunk_jpeg_is_at_least_40_db_from_full_decoding(
    name: str, size: tuple[int, int], fraction: int, quick_resize: bool,
    fractions: list[int], tmp_path: Path, monkeypatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(jpeg_draft, "QUICK_RESIZE", quick_resize)
    photo(name, size).save(tmp_path / "x.jpg", quality=95)
    load = 40 if fraction == 4 else 50
    quick, full = both(tmp_path / "x.jpg", load_size=load)
    assert fractions == [fraction]
    assert decibels(quick, full) >= 40
    assert not np.array_equal(quick, full)


@pytest.mark.parametrize("name", ["coffee_101x147.png", "astronaut_140x90.png"])
def test_no_fraction_is_taken_that_leaves_too_little_of_a_image_full_of_detail(
    name: str, fractions: list[int], tmp_path: Path
) -> None:
    Image.open(GOLDEN / "images" / name).convert("RGB").save(tmp_path / "x.jpg", quality=95)
    for load in range(16, 61):
        quick, full = both(tmp_path / "x.jpg", load_size=load, crop_size=16)
        assert decibels(quick, full) >= 40, load
    assert 2 in fractions


def test_the_case_of_1024x768_to_286_is_decoded_at_half_its_size(
    fractions: list[int], tmp_path: Path
) -> None:
    photo(size=(1024, 768)).save(tmp_path / "x.jpg")
    quick, full = both(tmp_path / "x.jpg", load_size=286, crop_size=256)
    assert fractions == [2]
    assert decibels(quick, full) >= 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(320, 240), (331, 257)])
def test_orientation_is_undone(
    orientation: int, size: tuple[int, int], fractions: list[int], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo(size=size).save(tmp_path / "x.jpg", quality=95, exif=exif)
    quick, full = both(tmp_path / "x.jpg", preprocess="scale_width", load_size=36)
    assert decibels(quick, full) >= 40
    # odd sides are rounded up at an edge that turning would move
    assert fractions == ([] if size[0] % 2 and orientation > 1 else [4])


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_cmyk_are_shrunk_too(
    mode: str, channels: int, fractions: list[int], tmp_path: Path
) -> None:
    photo().convert(mode).save(tmp_path / "x.jpg", quality=95)
    quick, full = both(tmp_path / "x.jpg", channels)
    assert fractions == [4]
    assert quick.shape == (channels, 44, 44)
    assert decibels(quick, full) >= 40


@pytest.mark.parametrize(
    ("ending", "more"),
    [
        ("jpg", {"preprocess": "crop"}),
        ("jpg", {"preprocess": "none"}),
        ("jpg", {"preprocess": "keep"}),
        ("jpg", {"load_size": 257}),
        ("jpg", {"load_size": 400}),
        ("png", {}),
    ],
)
def test_all_else_is_decoded_in_full_to_the_same_pixels(
    ending: str, more: dict[str, Any], fractions: list[int], tmp_path: Path
) -> None:
    photo().save(tmp_path / f"x.{ending}")
    quick, full = both(tmp_path / f"x.{ending}", **more)
    assert fractions == []
    assert np.array_equal(quick, full)


def test_halves_of_a_pair_are_decoded_in_full_and_shrunk_alike(
    fractions: list[int], tmp_path: Path
) -> None:
    pair = Image.new("RGB", (663, 257))
    for x in (0, 331):
        pair.paste(photo(), (x, 0))
    pair.save(tmp_path / "x.jpg", quality=95)
    quick, full = (
        ImageReader(settings(full_decode=full)).read_uint8(str(tmp_path / "x.jpg"), 3, 1)
        for full in (False, True)
    )
    assert quick.shape == (4, 44, 44)
    assert decibels(quick, full) >= 60
    assert not np.array_equal(quick, full)
    assert fractions == []
    wider = [  # than a half, narrower than the pair
        ImageReader(settings(full_decode=f, load_size=340, preprocess="scale_width")).read_uint8(
            str(tmp_path / "x.jpg"), 3, 3
        )
        for f in (0, 1)
    ]
    assert np.array_equal(*wider)


def test_the_crop_does_not_depend_on_how_a_image_is_decoded(
    pictures: Path, train_opt: Make
) -> None:
    for side in ("trainA", "trainB"):
        for path in list((pictures / side).glob("*.png")):
            photo().save(path.with_suffix(".jpg"), quality=95)
            path.unlink()
    quick, full = UnalignedDataset(train_opt()), UnalignedDataset(train_opt("--full_decode"))
    for index in range(5):
        a, b = quick[index], full[index]
        assert a["B_paths"] == b["B_paths"]
        error = torch.mean((a["A"] - b["A"]) ** 2)
        assert error < 4 / 10**4  # 40 dB; a crop elsewhere, or mirrored, is far from it
    assert any(not torch.equal(quick[i]["A"], full[i]["A"]) for i in range(5))
