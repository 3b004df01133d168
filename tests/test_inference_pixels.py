"""Images of every type of pixels are read with the right values, and translated to their like."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image, ImageCms
from tiny_runs import infer, make_run, names, optional_package
from torch import nn

from data.image_folder import read_image
from data.single_dataset import SingleDataset
from models.networks import define_G
from options.test_options import TestOptions
from util.checkpoints.weights import save_weights
from util.deep_images import encode
from util.errors import UnreadableImageError

RAMP = np.arange(64, dtype=np.float64).reshape(8, 8) / 63
"""From black to white."""


def item(path: Path, *words: str) -> np.ndarray:
    """Return what a network sees of a file, (C, H, W) in [-1, 1]."""
    opt = TestOptions().parse(["--input", str(path), "--dataset_mode", "single", *words])
    return SingleDataset(opt)[0]["A"].numpy()


@pytest.mark.parametrize(
    ("ending", "dtype", "white", "words"),
    [
        ("png", np.uint8, 255, []),
        ("png", np.uint16, 65535, []),
        ("tiff", np.uint16, 65535, []),
        ("tiff", np.float32, 1, []),
        ("tiff", np.int32, 65535, []),
        ("tiff", np.uint16, 4095, ["--value_range", "0,4095"]),
        ("tiff", np.float32, 300, ["--value_range", "0,300"]),
        ("tiff", np.float32, 7, ["--value_range", "auto"]),
        ("tiff", np.int32, 10**6, ["--value_range", "auto"]),
    ],
)
@pytest.mark.parametrize("input_nc", [1, 3])
def test_every_type_goes_from_black_to_white(
    ending: str, dtype: type, white: float, words: list[str], input_nc: int, tmp_path: Path
) -> None:
    values = RAMP * white
    values = (values if dtype == np.float32 else values.round()).astype(dtype)
    Image.fromarray(values).save(tmp_path / f"x.{ending}")
    seen = item(tmp_path / f"x.{ending}", "--input_nc", str(input_nc), *words)
    assert seen.shape == (input_nc, 8, 8)
    step = 0 if dtype == np.float32 else 1 / white  # of rounding
    assert np.abs(seen - (RAMP * 2 - 1)).max() <= step + 1e-6
    opt = {"value_range": words[1]} if words else {}
    assert (
        opt
        or np.abs(np.asarray(read_image(str(tmp_path / f"x.{ending}")))[..., 0] / 255 - RAMP).max()
        <= 0.5 / 255 + step
    )


def test_values_beyond_the_range_are_told(tmp_path: Path, caplog, monkeypatch) -> None:
    monkeypatch.setattr("util.deep_images._told", set())
    values = np.array([[-1, 0, 0.5], [1, 2, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "x.tiff")
    for _ in range(2):
        seen = item(tmp_path / "x.tiff", "--input_nc", "1")[0]
    assert seen.tolist() == [[-1, -1, 0], [1, 1, -1]]
    Image.fromarray(values * 3).save(tmp_path / "y.tiff")  # with other values, told no more
    item(tmp_path / "y.tiff", "--input_nc", "1")
    assert caplog.text.count("x.tiff has values from -1 to 2, beyond 0 to 1") == 1
    assert caplog.text.count("beyond 0 to 1") == 1
    assert caplog.text.count("x.tiff has values that are no finite numbers") == 1


def test_colours_of_16_bits_are_read_in_full(tmp_path: Path) -> None:
    levels = (np.stack([RAMP, RAMP.T, 1 - RAMP], axis=2) * 65535).round().astype(np.uint16)
    (tmp_path / "x.png").write_bytes(encode(levels, "PNG"))
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(np.asarray(image), levels >> 8)
    expected = levels.transpose(2, 0, 1) / 32767.5 - 1
    assert np.abs(item(tmp_path / "x.png") - expected).max() < 1e-6
    (tmp_path / "x.tif").write_bytes(encode(levels, "TIFF"))
    assert np.abs(item(tmp_path / "x.tif") - expected).max() < 1e-6


BACKGROUNDS = [([], 0), (["--background", "white"], 255), (["--background", "#0a0a0a"], 10)]


@pytest.mark.parametrize(("words", "behind"), BACKGROUNDS)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "deep", "deep gray"])
def test_transparent_pixels_show_the_background(
    mode: str, words: list[str], behind: int, tmp_path: Path
) -> None:
    alpha = Image.fromarray(np.array([[0, 51, 255]], np.uint8))
    image = Image.new("RGB", (3, 1), (100, 100, 100)).convert("L").convert("LA")
    image.putalpha(alpha)
    expected = [behind, round(behind * 0.8 + 20), 100]
    if mode == "P":
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
        image.putpalette([200, 0, 0, 100, 100, 100, 7, 7, 7])
        image.info["transparency"] = 0
        expected = [behind, 100, 7]
    if mode.startswith("deep"):
        channels = {"deep": "RGBA", "deep gray": "LA"}[mode]
        levels = np.asarray(image.convert(channels)).astype(np.uint16) * 257
        (tmp_path / "x.png").write_bytes(encode(levels, "PNG"))
    else:
        (image if mode in ("LA", "P") else image.convert(mode)).save(tmp_path / "x.png")
    path = next(tmp_path.glob("x.*"))
    seen = (item(path, *words)[:, 0] + 1) * 127.5
    assert np.abs(seen - np.array([expected] * 3)).max() <= 1


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_no_part_of_the_range_of_a_file(
    ending: str, channels: int, tmp_path: Path
) -> None:
    values = np.full((8, 8, channels), 65535, np.uint16)
    values[..., :-1] = (1000 + 2000 * RAMP).round()[..., None]
    if ending == "png":
        (tmp_path / "x.png").write_bytes(encode(values, "PNG"))
    else:
        how: dict[str, Any] = {"photometric": "rgb" if channels == 4 else "minisblack"}
        how |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
        optional_package("tifffile").imwrite(tmp_path / "x.tif", values, **how)
    seen = item(tmp_path / f"x.{ending}", "--value_range", "auto")
    assert np.abs(seen - (RAMP * 2 - 1)).max() < 2 / 2000 + 1e-6


def test_cmyk_is_converted_by_its_profile(tmp_path: Path, monkeypatch) -> None:
    image = picture(0, 8, 8).convert("CMYK")
    image.save(tmp_path / "x.jpg", icc_profile=b"damaged")
    plain = np.asarray(read_image(str(tmp_path / "x.jpg")))  # a damaged profile is left out
    with Image.open(tmp_path / "x.jpg") as stored:
        assert np.array_equal(plain, np.asarray(stored.convert("RGB")))
    calls = []

    def convert(image: Image.Image, source: object, target: object, **more: object) -> Image.Image:
        calls.append(more)
        return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda file: file.read())
    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    assert read_image(str(tmp_path / "x.jpg")).getpixel((0, 0)) == (1, 2, 3)
    assert calls == [{"outputMode": "RGB"}]


class Same(nn.Module):
    """Returns what it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.clone()


@pytest.fixture
def same(tmp_path: Path, monkeypatch) -> Path:
    """A run whose generators return their input; returns the folder of inputs."""
    make_run(tmp_path, "")
    gray = define_G(1, 1, 4, "resnet_6blocks", "instance")
    save_weights(gray, tmp_path / "checkpoints/run/latest_net_G_gray.pth")
    monkeypatch.setattr("models.parts.resnet_generator.ResnetGenerator.forward", Same.forward)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("suffix", ["", "_gray"])
@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bits_stay_16_bits(ending: str, suffix: str, same: Path) -> None:
    levels = (RAMP[..., None] * 65535).round().astype(np.uint16)
    (same / f"gray.{ending}").write_bytes(encode(levels, ending.upper()))
    colours = np.concatenate([levels, levels[::-1], levels[:, ::-1]], axis=2)
    (same / f"colours.{ending}").write_bytes(encode(colours, ending.upper()))
    out = same.parent / "out"
    words = ["--input", same, "--output", out, "--model_suffix", suffix]
    assert infer(same.parent, *words) == 0
    assert names(out) == names(same)
    expected = levels if suffix else np.repeat(levels, 3, axis=2)
    results = {"gray": expected} if suffix else {"gray": expected, "colours": colours}
    for name, result in results.items():
        path = out / f"{name}.{ending}"
        stored = read_in_full(path)
        assert np.array_equal(stored.reshape(8, 8, -1), result)


def read_in_full(path: Path) -> np.ndarray:
    """Return the 16 bits of a file, (H, W, 1 or 3)."""
    with Image.open(path) as image:
        channels = len(image.getbands())
    seen = item(path, "--input_nc", str(channels)).transpose(1, 2, 0)
    return ((seen.astype(np.float64) + 1) * 32767.5).round().astype(np.uint16)


@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "webp"])
def test_one_channel_stays_one(ending: str, same: Path) -> None:
    picture(0, 16, 12).convert("L").save(same / f"x.{ending}")
    out = same.parent / "out"
    assert infer(same.parent, "--input", same, "--output", out, "--model_suffix", "_gray") == 0
    with Image.open(out / f"x.{ending}") as image:
        assert image.mode == ("RGB" if ending == "webp" else "L")  # WebP has no gray
        assert image.size == (16, 12)


def test_a_run_remembers_how_its_images_are_read(same: Path) -> None:
    (same.parent / "checkpoints/run/train_opt.json").write_text('{"value_range": "0,4095"}')
    Image.fromarray((RAMP * 4095).round().astype(np.uint16)).save(same / "x.png")
    words = ["--input", same, "--output", same.parent / "out", "--model_suffix", "_gray"]
    for more in ([], ["--value_range", "0,65535"]):
        assert infer(same.parent, *words, *more) == 0
        assert read_in_full(same.parent / "out/x.png").max() == 4095
    assert infer(same.parent, *words, "--value_range", "0,2047") == 0
    assert read_in_full(same.parent / "out/x.png").max() == 2047
    assert infer(same.parent, *words, "--value_range", "auto") == 0
    assert read_in_full(same.parent / "out/x.png").max() == 65535


def test_floating_point_stays_so_in_tiff(same: Path) -> None:
    values = np.linspace(-2, 3, 64, dtype=np.float32)[::-1].reshape(8, 8)
    Image.fromarray(values).save(same / "x.tif")
    words = ["--input", same, "--output", same.parent / "out", "--model_suffix", "_gray"]
    assert infer(same.parent, *words, "--value_range=-2,3") == 0
    with Image.open(same.parent / "out/x.tif") as image:
        assert np.abs(np.asarray(image) - values).max() < 1e-5


@pytest.mark.parametrize(
    "words",
    [["--value_range", text] for text in ("1", "1,0", "a,b", "0,inf", "nan,1", "0,1,2", "0,0")]
    + [["--background", "whitish"]],
)
def test_wrong_flags_of_pixels_are_one_line(words: list[str], same: Path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        infer(same.parent, "--input", same, *words)
    err = capsys.readouterr().err
    assert (err.count("\n"), words[0] in err) == (1, True)


def test_a_damaged_deep_image_is_named(tmp_path: Path) -> None:
    content = encode(np.full((8, 8, 3), 7, np.uint16), "PNG")
    (tmp_path / "x.png").write_bytes(content[:60] + bytes(20) + content[80:])
    with pytest.raises(UnreadableImageError, match=r"x\.png"):
        item(tmp_path / "x.png")
    assert Image.open(io.BytesIO(content)).size == (8, 8)
