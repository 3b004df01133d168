"""What holds for images of any size, mode, values and preprocessing."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import optional_package

from data.single_dataset import SingleDataset
from data.transforms import PREPROCESS, has_crop, size_after_resize
from options.test_options import TestOptions
from util.deep_images import RANGES, encode, kind_of, to_deep, to_levels
from util.errors import printable, printable_lines
from util.images import Pixels, to_float_tensor, upright_rgb
from util.options import Options
from util.results.results import LONGEST_STEM, shortened

hypothesis = optional_package("hypothesis")
some = hypothesis.strategies
few = hypothesis.settings(deadline=None, derandomize=True, max_examples=40, database=None)

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]
sides = some.integers(1, 40)


@lru_cache
def parsed(path: str) -> Options:
    """Return the options of an image; parsing takes longer than reading it."""
    return TestOptions().parse(["--input", path, "--dataset_mode", "single"])


def image_of(mode: str, width: int, height: int, seed: int) -> Image.Image:
    """Return random pixels over the whole range of a mode."""
    values = np.random.RandomState(seed).rand(height, width, 4)
    if mode == "F":
        return Image.fromarray(values[..., 0].astype(np.float32))
    if mode in ("I", "I;16"):
        dtype = np.int32 if mode == "I" else np.uint16
        return Image.fromarray((values[..., 0] * 65535).astype(dtype))
    return Image.fromarray((values * 255).astype(np.uint8)).convert(mode)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return tmp_path_factory.mktemp("images")


@few
@hypothesis.given(
    some.sampled_from(MODES),
    *(sides, sides),
    some.sampled_from(sorted(PREPROCESS)),
    *(some.integers(4, 40), some.integers(4, 40)),
    some.sampled_from([1, 3]),
)
def test_every_image_gives_values_of_the_expected_size(
    folder: Path,
    mode: str,
    width: int,
    height: int,
    preprocess: str,
    load_size: int,
    crop_size: int,
    input_nc: int,
) -> None:
    crop_size = min(crop_size, load_size, *((width, height) if preprocess == "crop" else ()))
    image_of(mode, width, height, 0).save(folder / "x.tiff")
    sizes = {"load_size": load_size, "crop_size": crop_size}
    opt = parsed(str(folder / "x.tiff")).replace(preprocess=preprocess, input_nc=input_nc, **sizes)
    seen = SingleDataset(opt)[0]["A"]
    size = (crop_size, crop_size) if has_crop(opt) else size_after_resize((width, height), opt)
    assert seen.shape == (input_nc, size[1], size[0])
    assert seen.dtype == torch.float32
    assert -1 <= seen.min() <= seen.max() <= 1


@few
@hypothesis.given(
    some.integers(0, 60000), some.integers(1, 5535), sides, sides, some.sampled_from([1, 3])
)
def test_16_bits_survive_the_way_to_the_network_and_back(
    low: int, span: int, width: int, height: int, channels: int
) -> None:
    text = f"{low},{low + span}"
    stored = np.random.RandomState(0).randint(low, low + span + 1, (height, width, channels))
    stored = stored.astype(np.uint16)
    images = to_float_tensor(to_levels(stored, "uint16", text).transpose(2, 0, 1))
    assert np.array_equal(to_deep(images, "uint16", text, "PNG"), stored)
    for file_format in ("PNG", "TIFF"):
        content = encode(stored, file_format)
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (width, height)
            shown = np.asarray(image).reshape(height, width, channels)
        assert np.array_equal(shown, stored if channels == 1 else stored >> 8)


@few
@hypothesis.given(
    some.sampled_from(sorted(RANGES)),
    some.lists(some.floats(width=32), min_size=1, max_size=20),
    some.sampled_from(["", "auto", "-3,7.5"]),
)
def test_levels_rise_with_the_values(kind: str, values: list[float], value_range: str) -> None:
    array = np.array(sorted(value for value in values if np.isfinite(value)) or [0.0])
    if kind != "float":
        array = array.clip(0, 65535).round()
    levels = to_levels(array, kind, value_range)
    assert (np.diff(levels) >= 0).all()
    assert 0 <= levels.min() <= levels.max() <= 255


@few
@hypothesis.given(
    some.sampled_from(MODES), sides, sides, some.sampled_from(["black", "white", "#123456"])
)
def test_every_mode_becomes_rgb(mode: str, width: int, height: int, background: str) -> None:
    image = image_of(mode, width, height, 1)
    shown = upright_rgb(image, Pixels(background=background))
    assert (shown.mode, shown.size) == ("RGB", image.size)
    assert bool(kind_of(image)) == (mode in ("I", "I;16", "F"))


@few
@hypothesis.given(some.text(max_size=200), some.integers(0, 300))
def test_names_are_printable_and_not_too_long(text: str, repeats: int) -> None:
    assert printable(text).isprintable()
    assert printable_lines(text).replace("\n", "").replace("\t", "").isprintable()
    stem = text.replace("/", "").replace("\0", "") + "ä" * repeats
    stem = stem.encode(errors="replace").decode()
    short = shortened(stem)
    assert len(short.encode()) <= LONGEST_STEM
    assert (short == stem) == (len(stem.encode()) <= LONGEST_STEM)
