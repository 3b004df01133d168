"""Trainings and translations on an Apple GPU, which the CPU stands for, are those on the CPU.

PyTorch is asked for the device `mps` and answers with the CPU, so that all branches for it run.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from equality import assert_same
from tiny_runs import pixels
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from models.compute.forward import ForwardPass, best_memory_format
from models.compute.precision import use_precision
from models.parts.patch_nce import PatchSampler
from models.parts.spectral_norm import SpectralNorm
from util.checkpoints.training_state import read_state
from util.devices import fast_precision
from util.errors import UserError
from util.evaluation.extractors import Extractor
from util.random_streams import own_random_streams

MPS, CPU = torch.device("mps"), torch.device("cpu")
FLAGS = [*TINY, "--num_threads", "0", "--n_epochs", "1", "--pool_size", "2"]
FLAGS += ["--n_epochs_decay", "0", "--print_freq", "2", "--display_freq", "2"]


class CpuForMps(TorchFunctionMode):
    """Calls PyTorch with the CPU in the place of the Apple GPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._device, (args, kwargs or {}))
        return func(*args, **kwargs)

    @staticmethod
    def _device(value: Any) -> Any:
        return CPU if isinstance(value, torch.device) and value == MPS else value


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An Apple GPU; what its random stream was set to."""
    states = [7]
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "manual_seed", states.append)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.tensor(states[-1]))
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: states.append(int(state)))
    return states


@pytest.fixture
def apple(stream: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with CpuForMps():
        yield


def argv(pictures: Path, name: str, *words: str) -> list[str]:
    runs = ["--checkpoints_dir", str(pictures.parent / "runs"), "--name", name]
    return ["--dataroot", str(pictures), *runs, *words]


def without_devices(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "random": {**state["random"], "mps": None}}


def test_a_run_is_that_on_the_cpu(
    pictures: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    train, translate = (importlib.import_module(name) for name in ("01_train", "02_inference"))
    where = FLAGS.index("--gpu_ids")
    anywhere = FLAGS[:where] + FLAGS[where + 2 :]
    runs = pictures.parent / "runs"
    results = ["--results_dir", str(pictures.parent / "results")]
    assert train.main(argv(pictures, "cpu", *FLAGS)) == 0
    assert translate.main(argv(pictures, "cpu", "--gpu_ids", "-1", *results)) == 0
    stream = request.getfixturevalue("stream")
    request.getfixturevalue("apple")
    capsys.readouterr()
    assert train.main(argv(pictures, "mps", *anywhere)) == 0
    assert translate.main(argv(pictures, "mps", *results)) == 0
    assert capsys.readouterr().out.count("computing on the Apple GPU (MPS)") == 2
    states = [read_state(runs / name / "training_state.pth") for name in ("cpu", "mps")]
    assert int(states[1]["random"]["mps"]) == 1  # that of --seed
    assert_same(*map(without_devices, states))
    made = [
        sorted((pictures.parent / "results" / name).rglob("*fake*.png")) for name in ("cpu", "mps")
    ]
    assert made[0]
    for paths in zip(*made, strict=True):
        one, other = map(pixels, paths)
        assert abs(one - other).max() <= 1  # of 255: another memory layout rounds otherwise
    stream.append(5)
    assert train.main(argv(pictures, "mps", "--continue_train", "--n_epochs", "2")) == 0
    assert stream[-1] != 5


def test_dropout_cannot_be_recomputed_there(train_opt: Any) -> None:
    flags = ("--grad_checkpoint", "--model", "pix2pix")
    with pytest.raises(
        UserError, match=r"^--grad_checkpoint: on an Apple GPU dropout .*; add --no"
    ):
        ForwardPass(train_opt(*flags), MPS)
    ForwardPass(train_opt(*flags, "--no_dropout"), MPS)


def test_what_is_fast_there() -> None:
    assert fast_precision(MPS) == ("tf32", "float32 on this device")
    for half in (False, True):
        assert best_memory_format(MPS, half, compiled=True) == torch.contiguous_format


def test_a_pytorch_without_autocast_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 2.4, in which torch.autocast("mps") is an error even where it is to be left."""

    class OnApple(torch.Tensor):
        device = MPS

    autocast = torch.autocast

    def strict(device_type: str, *args: Any, **more: Any) -> Any:
        assert device_type != "mps", "unsupported autocast device_type 'mps'"
        return autocast(device_type, *args, **more)

    monkeypatch.setattr(torch, "autocast", strict)
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda device: device != "mps")
    maps, place = torch.rand(1, 3, 4, 4).as_subclass(OnApple), torch.tensor([2, 5])
    (features,) = PatchSampler([3], 8)([maps], [place])
    assert features.shape == (1, 2, 8)
    weight = torch.rand(4, 3, 2, 2)
    norm = SpectralNorm(weight)
    torch.testing.assert_close(
        norm(weight.as_subclass(OnApple)).as_subclass(torch.Tensor), norm(weight)
    )
    with pytest.raises(UserError, match=r"--precision bf16: PyTorch .* on an Apple GPU; leave"):
        use_precision("bf16", MPS)
    assert use_precision("tf32", MPS).half is None


def test_its_random_stream_is_set_back(stream: list[int]) -> None:
    with own_random_streams(3):
        assert stream[-1] == 3
    assert stream[-1] == 7


def test_features_are_computed_on_the_cpu() -> None:
    class Network(torch.nn.Module):
        def get_name(self) -> str:
            return "own"

    assert Extractor(Network(), MPS).device == CPU
