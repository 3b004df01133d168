"""load_generator gives the pixels of the command; the documented snippet runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tiny_runs import infer, make_run, pixels

from data.image_folder import read_deep
from models import load_generator
from util.errors import UserError
from util.images import Pixels

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("netG", "norm"),
    [("resnet_6blocks", "instance"), ("resnet_6blocks", "batch"), ("unet_128", "none")],
)
@pytest.mark.parametrize("name", ["turned.jpg", "gray.png", "deep.png", "clear.png"])
def test_same_pixels_as_the_command(name: str, netG: str, norm: str, tmp_path: Path) -> None:
    make_run(tmp_path, "", netG=netG, norm=norm)
    source = tmp_path / name
    drawn = picture(3, 45, 38)
    if name == "turned.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6
        drawn.save(source, exif=exif)
    elif name == "gray.png":
        drawn.convert("L").save(source)
    elif name == "deep.png":
        levels = np.asarray(drawn.convert("L")).astype(np.uint16) * 257
        Image.fromarray(levels).save(source)
    else:
        drawn.convert("RGBA").save(source)
    words = ["--input", source, "--output", tmp_path / "out", "--format", "png", "--eval"]
    assert infer(tmp_path, *words) == 0
    translate = load_generator(tmp_path / "checkpoints" / "run", device="cpu", eval=True)
    with Image.open(source) as image:
        result = np.asarray(translate(image)).astype(int)
    assert result.std() > 1
    assert np.array_equal(result, pixels(tmp_path / "out" / f"{source.stem}.png"))


def test_the_range_and_the_background_are_those_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "")
    stored = {"value_range": "0,4095", "background": "white", "model": "cycle_gan"}
    (run / "train_opt.json").write_text(json.dumps(stored))
    gray = np.asarray(picture(3, 45, 38).convert("L"))
    Image.fromarray(gray.astype(np.uint16) * 16).save(tmp_path / "deep.png")
    clear = picture(4, 45, 38).convert("RGBA")
    clear.putalpha(Image.fromarray(gray[:38, :45]))
    clear.save(tmp_path / "clear.png")
    translate = load_generator(run, device="cpu")
    for name in ("deep.png", "clear.png"):
        words = ["--input", tmp_path / name, "--output", tmp_path / "out", "--format", "png"]
        assert infer(tmp_path, *words) == 0
        with Image.open(tmp_path / name) as image:
            result = np.asarray(translate(image)).astype(int)
        expected = np.asarray(read_deep(str(tmp_path / "out" / name), None, Pixels("0,4095")))
        assert result.std() > 1
        assert np.abs(result - expected).max() <= 1


def test_a_generator_of_colours_alone_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "")
    (run / "train_opt.json").write_text(json.dumps({"model": "colorization"}))
    with pytest.raises(UserError, match=r"without its lightness; use .* --model colorization"):
        load_generator(run, device="cpu")


def test_a_run_is_found_by_name_folder_or_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "_A", "_B")
    by_name = load_generator("run", checkpoints_dir=tmp_path / "checkpoints", device="cpu")
    by_file = load_generator(folder / "latest_net_G_A.pth", device="cpu")
    drawn = picture(0, 20, 20)
    assert by_name(drawn).tobytes() == by_file(drawn).tobytes()
    with pytest.raises(UserError, match=r"no latest_net_G_C\.pth; .* holds: latest_net_G_A\.pth"):
        load_generator(folder, model_suffix="_C")
    with pytest.raises(UserError, match="there is no run"):
        load_generator("other", checkpoints_dir=tmp_path / "checkpoints")


@pytest.mark.parametrize(
    ("page", "run", "result"),
    [("README.md", "NAME", "painting.png"), ("docs/inference.md", "photo2monet", "monet.png")],
)
def test_the_documented_snippets_run(
    page: str, run: str, result: str, tmp_path: Path, monkeypatch
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(snippets) == 1
    make_run(tmp_path, "_A").rename(tmp_path / "checkpoints" / run)
    picture(0, 50, 33).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(snippets[0], {})
    assert pixels(tmp_path / result).shape == (33, 50, 3)
