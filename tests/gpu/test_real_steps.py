"""Steps on a real GPU are those of the reference, and a run on it resumes exactly.

The same functions run on the CPU: here, where that is cheap, or in tests/models.
"""

import importlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from golden_steps import CASES, FIRST, TOLERANCES, assert_close_steps, assert_golden_steps

from models.compute.compilation import CUDA_GRAPH_MODES
from util.checkpoints.training_state import read_state
from util.errors import UserError
from util.run.out_of_memory import out_of_memory_advice

pytestmark = pytest.mark.usefixtures("switches_of_cuda")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
GPU = pytest.param("cuda", marks=on_gpu)
DEVICES = ["cpu", GPU]


@pytest.fixture
def deterministic_switches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set what --deterministic sets back."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    fills = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fills


@pytest.mark.parametrize("device", [GPU])
@pytest.mark.parametrize("words", [(), ("--separate_passes",), ("--grad_checkpoint",)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_losses_and_weights_of_every_step(name: str, words: tuple[str, ...], device: str) -> None:
    assert_golden_steps(CASES[name], *words, device=device)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(
    ("name", "device"),
    [(FIRST, "cpu"), *(pytest.param(name, "cuda", marks=on_gpu) for name in CASES)],
)
def test_losses_in_every_precision_are_close(name: str, device: str, precision: str) -> None:
    assert_close_steps(CASES[name], precision, device=device)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize("device", [GPU])
@pytest.mark.parametrize("mode", ["default", *CUDA_GRAPH_MODES])
@pytest.mark.parametrize("name", [FIRST, "pix2pix"])
def test_compiled_steps(name: str, mode: str, device: str) -> None:
    """With CUDA graphs the third step of a network replays what the second has recorded."""
    assert len(CASES[name]["losses"]) >= 3
    assert_golden_steps(CASES[name], "--compile", mode, device=device)
    assert_close_steps(CASES[name], "bf16", "--compile", mode, device=device)


def train(pictures: Path, name: str, device: str, *words: str) -> Path:
    """Train two epochs by the real program; return the folder of the run."""
    runs = pictures.parent / "runs"
    argv = ["--dataroot", str(pictures), "--checkpoints_dir", str(runs), "--name", name, *TINY]
    argv += ["--gpu_ids", "-1" if device == "cpu" else "0", "--num_threads", "0", "--no_html"]
    argv += ["--n_epochs", "1", "--n_epochs_decay", "1", "--pool_size", "2", "--deterministic"]
    assert importlib.import_module("01_train").main([*argv, *words]) in (0, 143)
    return runs / name


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.filterwarnings("ignore:.*deterministic:UserWarning")
@pytest.mark.usefixtures("deterministic_switches")
@pytest.mark.parametrize("precision", ["tf32", "fp16"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_run_resumes_bit_for_bit(
    device: str, precision: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--precision", precision)
    whole = train(pictures, "whole", device, *more)
    stopping = importlib.import_module("util.run.stopping").StopRequest
    with monkeypatch.context() as patch:
        steps = iter([None, None])  # it stops in the middle of the first epoch
        patch.setattr(stopping, "exit_code", property(lambda _: next(steps, 143)))
        stopped = train(pictures, "stopped", device, *more)
    assert read_state(stopped / "training_state.pth")["progress"]["total_iters"] == 3
    train(pictures, "stopped", device, *more, "--continue_train")
    states = [read_state(folder / "training_state.pth") for folder in (whole, stopped)]
    assert same(*states)
    assert bool(states[0]["random"]["cuda"]) == torch.cuda.is_available()


@pytest.mark.parametrize("device", DEVICES)
def test_too_little_memory_is_one_line(device: str) -> None:
    sizes = {"tile": None, "max_size": None, "preprocess": "keep"}
    opt = Namespace(isTrain=False, precision="bf16", together=1, **sizes)
    where = torch.device(device)
    with pytest.raises(UserError) as error, out_of_memory_advice(opt, where):
        torch.empty(2**50, device=where)
    of = r" of [\d.]+ GB" if device == "cuda" else ""
    assert error.match(rf"^out of memory: [\d.]+ GB in use at the peak{of}, with --batch_size 1")
