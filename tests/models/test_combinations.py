"""Options that are rarely used together, in the programs, for models of one generator."""

import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import TINY, picture
from script_modules import script
from tiny_runs import infer, names

from util.checkpoints.training_state import read_state
from util.checkpoints.weights import read_weights
from util.run.session import run_program

FLAGS = ["--num_threads", "0", "--no_html", "--n_epochs_decay", "0", "--max_dataset_size", "3"]
TOGETHER = ["--precision", "bf16", "--ema", "0.5", "--grad_checkpoint", "--accumulate", "2"]
TOGETHER += ["--d_steps", "2", "--recipe", "better", "--spectral_norm", "--gan_mode", "wgangp"]
MODELS = {
    "CUT": ["--model", "cut", "--num_patches", "16"],
    "FastCUT": ["--model", "cut", "--num_patches", "16", "--CUT_mode", "FastCUT"],
    "pix2pix": ["--model", "pix2pix"],
    "colorization": ["--model", "colorization"],
}


@pytest.fixture
def data(pictures: Path) -> Path:
    """A folder for every kind of data set."""
    for side in ("train", "test"):
        (pictures / side).mkdir()
        for number in range(3):
            picture(number, 80, 40).save(pictures / side / f"{number}.png")
    return pictures


def train(data: Path, *words: str) -> int:
    where = ["--name", "run", "--checkpoints_dir", str(data.parent / "checkpoints")]
    argv = ["--dataroot", str(data), *where, *TINY, *FLAGS, *words]
    return run_program(lambda: import_module("01_train").main(argv))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_run_trains_resumes_translates_and_is_exported(model: str, data: Path, capsys) -> None:
    words, folder = MODELS[model], data.parent / "checkpoints" / "run"
    assert train(data, *words, *TOGETHER, "--n_epochs", "1") == 0
    before = read_weights(folder / "latest_net_G.pth")
    assert train(data, "--continue_train", "--n_epochs", "3") == 0
    state = read_state(folder / "training_state.pth")
    # epochs of three batches: an update of two, and one of the last
    assert [optimizer["updates"] for optimizer in state["model"]["descent"]] == [3, 6]
    weights = read_weights(folder / "latest_net_G.pth")
    assert any(not torch.equal(weights[name], before[name]) for name in weights)
    averages = read_weights(folder / "latest_net_G_ema.pth")
    assert any(not torch.equal(weights[name], averages[name]) for name in weights)
    assert infer(data.parent, *words[:2], "--ema", "--self_ensemble", "2") == 0
    shown = names(data.parent / "results/run/test_latest_ema_ensemble2/images")
    ending = f"0_fake_B{'_rgb' * (model == 'colorization')}.png"
    assert any(name.endswith(ending) for name in shown)
    export = ["--name", str(folder), "--to", "torchscript"]
    assert script("export").main(export) == 0
    extra = {"metadata.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(str(folder / "latest_net_G.pt"), _extra_files=extra)
    assert ("CIELAB" in str(extra["metadata.json"])) == (model == "colorization")


def test_colours_without_lightness_are_no_images(data: Path, capsys) -> None:
    assert train(data, *MODELS["colorization"], "--n_epochs", "1") == 0
    assert infer(data.parent, "--model", "test", "--input", data / "test") == 2
    assert "use --model colorization" in capsys.readouterr().err
