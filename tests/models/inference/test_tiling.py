"""Tiling does not change the result of a generator."""

import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import tiny_generator
from torch import Tensor, nn

from models.inference import tiling, translator
from models.inference.tile_cost import measure
from models.inference.tile_store import Canvas, Region, Statistics, Store
from models.inference.translator import InferenceSettings, Translator
from util.errors import UserError

CPU = torch.device("cpu")


def image(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear")


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize(
    ("netG", "height", "width"), [("resnet_6blocks", 100, 172), ("unet_128", 256, 128)]
)
def test_tiling_gives_the_result_of_the_whole_image(
    netG: str, height: int, width: int, norm: str, training: bool, in_files: bool, monkeypatch
) -> None:
    if in_files:
        monkeypatch.setattr(tiling, "available_bytes", lambda device: 1)
    net = tiny_generator(netG, norm).train(training)
    x = image(height, width)
    with torch.inference_mode():
        tiles = tiling.run_in_tiles(net, x, 32, CPU)
        whole = net(x)
    assert whole.std() > 1e-3
    assert float((tiles - whole).abs().max()) <= 2e-3 * min(1, float(whole.std()) * 10)


def test_files_of_activations_are_deleted_after_use(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tiling, "available_bytes", lambda device: 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    counts, files = [], weakref.WeakSet[Any]()
    make_file, write = tempfile.TemporaryFile, Canvas.write

    def make(**where: Any) -> Any:
        file = make_file(**where)
        files.add(file)
        return file

    def count(self: Canvas, region: Region, tile: Tensor) -> None:
        write(self, region, tile)
        counts.append(len(files))
        assert os.name == "nt" or list(tmp_path.iterdir()) == []  # they never have a name

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    monkeypatch.setattr(Canvas, "write", count)
    with torch.inference_mode():
        tiling.run_in_tiles(tiny_generator(), image(96, 96), 32, CPU)
    layers = 6 + 3 * 6
    assert 1 < max(counts) < layers / 2  # written, and not all at once
    assert len(files) == 0


def test_dropout_is_drawn_once_per_pixel() -> None:
    net = tiny_generator(use_dropout=True)
    with torch.inference_mode():
        output = tiling.run_in_tiles(net, image(64, 64), 32, CPU)
    assert output.isfinite().all()


def test_statistics_of_tiles_are_those_of_the_whole_image() -> None:
    values = torch.rand(1, 5, 40, 30, generator=torch.Generator().manual_seed(0)) + 1000
    statistics = Statistics(5)
    for rows in values.split(7, dim=2):
        statistics.add(rows)
    var, mean = torch.var_mean(values.double(), dim=(0, 2, 3), correction=0)
    assert torch.allclose(statistics.mean, mean, rtol=1e-7)
    assert torch.allclose(statistics.variance, var, rtol=1e-3)


@pytest.mark.parametrize("in_files", [False, True])
def test_a_canvas_returns_any_region(tmp_path: Path, in_files: bool) -> None:
    values = torch.rand(1, 2, 70, 101)
    canvas = Store(32, 70, tmp_path if in_files else None).canvas((2, 70, 101))
    for region in canvas.regions():
        canvas.write(region, values[region.within()])
    for region in (Region(0, 70, 0, 101), Region(31, 33, 63, 65), Region(69, 70, 100, 101)):
        assert torch.equal(canvas.read(region), values[region.within()])
    canvas.read(Region(0, 5, 0, 5)).zero_()
    assert torch.equal(canvas.read(Region(0, 5, 0, 5)), values[..., :5, :5])


def test_an_image_that_is_too_large_is_tiled_and_that_is_logged(monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(translator, "NEVER_TOO_LARGE", 0)
    net, x = tiny_generator(), image(72, 80)
    needed = measure(net, (1, 3, 72, 80)).peak_bytes
    whole = Translator(net, CPU, InferenceSettings())(x)
    assert "tiles" not in caplog.text
    monkeypatch.setattr(translator, "available_bytes", lambda device: needed - 1)
    calls = []
    run = translator.run_in_tiles
    monkeypatch.setattr(
        translator, "run_in_tiles", lambda *words: calls.append(words[2]) or run(*words)
    )
    assert float((Translator(net, CPU, InferenceSettings())(x) - whole).abs().max()) <= 1e-3
    assert calls == [512]
    assert "80 x 72 pixels need about" in caplog.text
    Translator(net, CPU, InferenceSettings(tile=0))(x)
    assert calls == [512]


def test_the_estimated_work_is_that_of_the_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    cost = measure(net, (1, 3, 10, 20))
    assert cost.multiply_adds == 200 * (8 * 9 * 3 + 4 * 8)
    assert cost.peak_bytes == 4 * 2 * 200 * (8 + 8)


def test_an_unknown_layer_is_refused_with_the_remedy() -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(UserError, match=r"--tile 32: Own has layers of its own.*--tile 0"):
        tiling.run_in_tiles(Own(), image(8, 8), 32, CPU)
