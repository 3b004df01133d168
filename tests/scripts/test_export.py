"""Exported generators compute what PyTorch computes, for any height and width."""

import importlib.util
import json
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from rounding import assert_near
from tiny_runs import make_run, optional_package, tiny_generator

from util.run.session import run_program

ROOT = Path(__file__).parent.parent.parent


def export(where: Path, *words: str) -> int:
    """The exit code of scripts/export.py on the run in `where`."""
    argv = ["--name", "run", "--checkpoints_dir", str(where / "checkpoints"), *words]
    return run_program(lambda: program().main(argv))


@lru_cache
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("export", ROOT / "scripts" / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def image(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width) * 2 - 1


@pytest.mark.slow
@pytest.mark.parametrize(("netG", "unit"), [("resnet_6blocks", 4), ("unet_128", 128)])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_onnx(netG: str, unit: int, norm: str, tmp_path: Path, capsys) -> None:
    optional_package("onnx")
    runtime = optional_package("onnxruntime")
    folder = make_run(tmp_path, "", netG=netG, norm=norm)
    assert export(tmp_path, "--to", "onnx") == 0
    assert "largest difference from PyTorch on two sizes" in capsys.readouterr().out
    session = runtime.InferenceSession(str(folder / "latest_net_G.onnx"))
    notes = session.get_modelmeta().custom_metadata_map
    assert (notes["netG"], notes["norm"], notes["size_multiple"]) == (netG, norm, str(unit))
    assert "127.5" in notes["preprocessing"]
    net = tiny_generator(netG, norm).eval()
    for height, width in ((3 * unit, 2 * unit), (2 * unit, 5 * unit)):
        x = image(height, width)
        with torch.inference_mode():
            expected = net(x)
        (got,) = session.run(None, {"image": x.numpy()})
        assert float((torch.from_numpy(got) - expected).abs().max()) < 1e-3


@pytest.mark.slow
def test_torchscript_and_safetensors(tmp_path: Path) -> None:
    safetensors = optional_package("safetensors")
    folder = make_run(tmp_path, "_A", use_dropout=True)
    for kind in ("torchscript", "safetensors"):
        assert export(tmp_path, "--to", kind, "--output", str(tmp_path / f"new/G.{kind}")) == 0
    extra = {"metadata.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.load(str(tmp_path / "new" / "G.torchscript"), _extra_files=extra)
    assert json.loads(extra["metadata.json"])["smallest_size"] == "8"
    net, x = tiny_generator(use_dropout=True).eval(), image(40, 60)
    with torch.inference_mode():
        assert_near(script(x), net(x))
    with safetensors.safe_open(str(tmp_path / "new" / "G.safetensors"), "pt") as file:
        assert file.metadata()["input_nc"] == "3"
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    stored = torch.load(folder / "latest_net_G_A.pth", weights_only=True)
    assert weights.keys() == stored.keys()
    assert all(torch.equal(weights[key], stored[key]) for key in stored)


def test_a_file_that_computes_something_else_is_an_error(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    make_run(tmp_path, "")
    wrong = (lambda net, path, notes: path.touch() or (lambda x: net(x) + 0.01), ".x")
    monkeypatch.setitem(program().FORMATS, "onnx", wrong)
    assert export(tmp_path, "--to", "onnx") == 1
    assert "differs by more than 0.001" in capsys.readouterr().err


def test_no_such_run_and_no_package_are_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    make_run(tmp_path, "")
    assert export(tmp_path, "--name", "other", "--to", "onnx") == 1
    assert "there is no run" in capsys.readouterr().err
    assert export(tmp_path, "--to", "safetensors", "--output", str(tmp_path)) == 1
    assert "is a folder; give a file" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert export(tmp_path, "--to", "safetensors", "--output", str(tmp_path / "file/G.st")) == 1
    assert "cannot make the folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert export(tmp_path, "--to", "onnx") == 1
    assert capsys.readouterr().err == "error: this needs the package onnx: pip install onnx\n"
