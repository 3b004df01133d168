"""Images of any number of channels: NPY, and TIFF beyond Pillow, from the file to the result."""

import io
import sys
from argparse import Namespace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from conftest import picture
from tiny_runs import infer, make_run, optional_package
from torch import nn

from data.augmentation import Augmentation
from data.checks.headers import read_header
from data.image_folder import find_images, read_image
from data.reading.image_reader import ImageReader
from data.transforms import CropFlip
from models import load_generator
from models.networks import define_G
from options.test_options import TestOptions
from util.array_files import read_array
from util.checkpoints.weights import save_weights
from util.deep_images import encode
from util.errors import UnreadableImageError, UserError

WHITE = {"uint8": 255, "uint16": 65535, "int32": 65535, "float32": 1, "float64": 1, "bool": 1}
SHARES = np.random.RandomState(0).rand(6, 8, 5)
"""(H, W, C) from black to white."""


def stored(dtype: str, channels: int = 5) -> np.ndarray:
    values = SHARES[..., :channels] * WHITE[dtype]
    return (values if dtype.startswith("float") else values.round()).astype(dtype)


def reader(*words: str) -> ImageReader:
    return ImageReader(TestOptions().parse(["--input", "x", "--dataset_mode", "single", *words]))


def levels(path: Path, *channels: int, words: tuple[str, ...] = ()) -> np.ndarray:
    """Return what a data set reads, (H, W, C) from 0 to 1."""
    return reader(*words).read_uint8(str(path), *channels).transpose(1, 2, 0) / 255


@pytest.mark.parametrize("dtype", list(WHITE))
def test_npy_of_every_type_goes_from_black_to_white(dtype: str, tmp_path: Path) -> None:
    values = stored(dtype)
    for order, name in ((values, "hwc"), (values.transpose(2, 0, 1), "chw")):
        np.save(tmp_path / f"{name}.npy", order)
        seen = levels(tmp_path / f"{name}.npy", 5)
        assert np.abs(seen - values / WHITE[dtype]).max() < 1e-6
    np.save(tmp_path / "gray.npy", values[..., 0])
    gray = levels(tmp_path / "gray.npy", 3)
    assert np.abs(gray - values[..., :1] / WHITE[dtype]).max() < 1e-6
    header = read_header(str(tmp_path / "chw.npy"))
    assert (header.width, header.height, header.mode) == (8, 6, f"5x{dtype}")
    assert read_image(str(tmp_path / "chw.npy")).size == (8, 6)


def test_the_range_of_values_holds_for_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", (SHARES * 2000 - 1000).round().astype(np.int16))
    seen = levels(tmp_path / "x.npy", 5, words=("--value_range=-1000,1000",))
    assert np.abs(seen - SHARES).max() <= 0.5 / 2000 + 1e-6


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_tiff_of_any_channels_is_read_as_it_is_written(
    dtype: str, channels: int, tmp_path: Path
) -> None:
    tifffile = optional_package("tifffile")
    values = stored(dtype, channels)
    (tmp_path / "own.tif").write_bytes(encode(values, "TIFF"))
    shape = values[..., 0] if channels == 1 else values
    how = {"photometric": "rgb" if channels == 3 else "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "whole.tif", shape, **(how if channels > 1 else {}))
    assert np.array_equal(tifffile.imread(tmp_path / "own.tif"), shape)
    if channels not in (1, 3):  # a page for each channel, as tifffile writes (C, H, W)
        planes, gray = values.transpose(2, 0, 1), {"photometric": "minisblack"}
        tifffile.imwrite(tmp_path / "pages.tif", planes, **gray)
        tifffile.imwrite(tmp_path / "planes.tif", planes, **gray, planarconfig="separate")
    for path in find_images(tmp_path):
        seen = levels(Path(path), channels)
        assert np.abs(seen - values / WHITE[dtype]).max() < 1e-6, path
        header = read_header(path)
        assert (header.width, header.height) == (8, 6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("dtype", "channels", "how"),
    [
        ("uint16", 1, {"photometric": "minisblack"}),
        ("int16", 1, {"photometric": "minisblack"}),
        ("float32", 1, {"photometric": "minisblack"}),
        ("uint16", 3, {"photometric": "rgb"}),
        ("uint16", 3, {"photometric": "rgb", "planarconfig": "separate"}),
        ("uint8", 3, {"photometric": "rgb", "planarconfig": "separate"}),
    ],
    ids=str,
)
def test_tiff_of_every_layout_is_read_in_full(
    dtype: str, channels: int, how: Any, compression: str | None, order: str, tmp_path: Path
) -> None:
    tifffile = optional_package("tifffile")
    white = {"int16": 32767.0, **WHITE}[dtype]
    values = SHARES[..., :channels] * white
    values = (values if dtype == "float32" else values.round()).astype(dtype)
    planar = "planarconfig" in how
    shape = values.transpose(2, 0, 1) if planar else values[..., 0] if channels == 1 else values
    file = tmp_path / "x.tif"
    tifffile.imwrite(file, shape, byteorder=order, compression=compression, **how)
    expected = values / (65535.0 if dtype == "int16" else white)
    assert np.abs(levels(file, channels) - expected).max() < 1e-6
    make_run(tmp_path, "")
    assert infer(tmp_path, "--input", file, "--output", tmp_path / "out", "--format", "tiff") == 0
    deep = {"uint8": "uint8", "float32": "float32"}.get(dtype, "uint16")
    assert tifffile.imread(tmp_path / "out" / "x.tiff").dtype == deep


def test_transparency_is_a_channel_where_four_are_asked_for(tmp_path: Path) -> None:
    tifffile = optional_package("tifffile")
    values = stored("float32", 4)
    how = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "x.tif", values, **how)
    assert np.abs(levels(tmp_path / "x.tif", 4) - values).max() < 1e-6
    colours, alpha = values[..., :3], values[..., 3:]
    shown = levels(tmp_path / "x.tif", 3, words=("--background", "white"))
    assert np.abs(shown - (colours * alpha + 1 - alpha)).max() < 1e-6
    image = picture(0, 8, 6).convert("RGBA")
    image.putalpha(100)
    image.save(tmp_path / "x.png")
    assert np.array_equal(levels(tmp_path / "x.png", 4) * 255, np.asarray(image))


def test_pairs_are_side_by_side_or_stacked(tmp_path: Path) -> None:
    values = stored("float32")
    np.save(tmp_path / "stacked.npy", values)
    assert np.abs(levels(tmp_path / "stacked.npy", 4, 1) - values).max() < 1e-6
    np.save(tmp_path / "beside.npy", np.concatenate([values, values[:, ::-1]], axis=1))
    both = levels(tmp_path / "beside.npy", 5, 5)
    assert np.abs(both - np.concatenate([values, values[:, ::-1]], axis=2)).max() < 1e-6


@pytest.mark.parametrize("asked", [1, 2, 3, 4])
def test_other_channels_are_named(asked: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", stored("uint8"))
    with pytest.raises(UnreadableImageError, match=rf"5 channels, not {asked} as --input_nc"):
        levels(tmp_path / "x.npy", asked)


def npy(values: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, values, version)
    return file.getvalue()


DAMAGED = {
    "objects": npy(np.array([["a", None]], dtype=object)),
    "words": npy(np.array([["a", "b"]])),
    "complex": npy(np.ones((4, 4), np.complex64)),
    "volume": npy(np.ones((4, 4, 4, 4), np.uint8)),
    "empty": npy(np.ones((0, 4), np.uint8)),
    "cut off": npy(np.ones((40, 40), np.uint8))[:-9],
    "huge": npy(np.ones((4, 4), np.uint8)).replace(b"(4, 4)", b"(99999999, 9999999)")[:160],
    "text": b"no array",
}


@pytest.mark.parametrize("name", list(DAMAGED))
def test_arrays_that_are_no_images_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(DAMAGED[name])
    with pytest.raises(UnreadableImageError, match=r"x\.npy"):
        levels(tmp_path / "x.npy", 3)


def test_tiff_of_other_kinds_needs_a_package(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "x.tif").write_bytes(encode(stored("float32", 3), "TIFF"))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UnreadableImageError, match="pip install tifffile"):
        levels(tmp_path / "x.tif", 3)


def test_augmentation_keeps_more_bits_and_channels() -> None:
    image = (SHARES * 255).transpose(2, 0, 1).astype(np.float32)
    opt = Namespace(crop_size=6)
    how = Augmentation((0.5, 0.5, 0.5, 0.2), 10.0, 0.5)
    changed, _ = how.apply(image, CropFlip(), opt, Random(0), (5,))
    assert (changed.shape, changed.dtype) == ((5, 6, 6), np.float32)
    assert 0 <= changed.min() < 60 and 150 < changed.max() <= 255
    colours = image[:3]
    jitter = Augmentation((0.5, 0.5, 0.5, 0.2))
    deep, _ = jitter.apply(colours, CropFlip(), opt, Random(1), (3,))
    flat, _ = jitter.apply(colours.round().astype(np.uint8), CropFlip(), opt, Random(1), (3,))
    assert np.abs(deep - flat).max() < 6  # 8 bits are rounded after each change


class Same(nn.Module):
    """Returns what it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.clone()


@pytest.fixture
def same(tmp_path: Path, monkeypatch) -> Path:
    """A run whose generator of five channels returns its input; returns the folder of inputs."""
    folder = tmp_path / "checkpoints/run"
    folder.mkdir(parents=True)
    net = define_G(5, 5, 4, "resnet_6blocks", "instance")
    save_weights(net, folder / "latest_net_G.pth")
    monkeypatch.setattr("models.parts.resnet_generator.ResnetGenerator.forward", Same.forward)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_results_have_the_channels_and_the_type_of_their_inputs(same: Path) -> None:
    optional_package("tifffile")
    out = same.parent / "out"
    for dtype in ("uint8", "uint16", "float32"):
        np.save(same / f"{dtype}.npy", stored(dtype))
        (same / f"{dtype}.tif").write_bytes(encode(stored(dtype), "TIFF"))
    assert infer(same.parent, "--input", same, "--output", out) == 0
    for dtype in ("uint8", "uint16", "float32"):
        for ending in ("npy", "tif"):
            result = read_array(out / f"{dtype}.{ending}").values
            assert result.dtype == dtype
            assert np.allclose(result, stored(dtype), atol=1e-6, rtol=0)
    infer(same.parent, "--input", same, "--output", same.parent / "npy", "--format", "npy")
    assert np.array_equal(np.load(same.parent / "npy/uint16_tif.npy"), stored("uint16"))


def test_a_png_becomes_a_tiff_of_other_channels(same: Path, monkeypatch) -> None:
    optional_package("tifffile")
    save_weights(
        define_G(3, 5, 4, "resnet_6blocks", "instance"),
        same.parent / "checkpoints/run/latest_net_G.pth",
    )

    def more(self: nn.Module, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images, images[:, :2]], dim=1)

    monkeypatch.setattr("models.parts.resnet_generator.ResnetGenerator.forward", more)
    image = picture(0, 8, 6)
    image.save(same / "x.png")
    out = same.parent / "out"
    assert infer(same.parent, "--input", same, "--output", out) == 0
    result = read_array(out / "x.png.tif").values
    assert np.array_equal(result, np.asarray(image)[..., [0, 1, 2, 0, 1]])


def test_what_other_channels_do_not_go_with(same: Path, capsys) -> None:
    np.save(same / "x.npy", stored("uint8"))
    words = ["--input", same, "--output", same.parent / "out", "--format", "jpg"]
    assert infer(same.parent, *words) == 2
    assert (
        "--format jpg holds 1 or 3 channels, and this generator makes 5" in capsys.readouterr().err
    )
    translate = load_generator(same.parent / "checkpoints/run", device="cpu")
    with pytest.raises(UserError, match="this generator takes 5 channels"):
        translate(picture(0, 8, 8))
