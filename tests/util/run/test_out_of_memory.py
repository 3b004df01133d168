"""Out of memory: what was in use, and what helps, the cheapest first."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from util.errors import UserError
from util.run.out_of_memory import out_of_memory_advice
from util.run.session import run_program

ROOT = Path(__file__).resolve().parents[3]
TRAINING = {
    **{"isTrain": True, "precision": "tf32", "batch_size": 4, "accumulate": 2},
    **{"grad_checkpoint": False, "crop_size": 512, "ngf": 64, "netG": "resnet_9blocks"},
    **{"preprocess": "resize_and_crop", "resume": "", "name": "run"},
}
RUN_OUT = """
import importlib, resource, sys, torch
from util.run.session import run_program
train = importlib.import_module("01_train")
torch.zeros(1).sum()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000,) * 2)
sys.exit(run_program(lambda: train.main(sys.argv[1:])))
"""


def message(error: Exception, **changes: object) -> str:
    opt = Namespace(**{**TRAINING, **changes})
    with pytest.raises(UserError) as caught, out_of_memory_advice(opt, torch.device("cpu")):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        MemoryError(),
    ],
)
def test_three_flags_in_the_order_of_their_cost(error: Exception) -> None:
    text = message(error)
    assert "GB in use at the peak, with --crop_size 512 --batch_size 4" in text
    flags = ["--precision bf16", "--batch_size 1 --accumulate 8", "--grad_checkpoint"]
    places = [text.index(flag) for flag in flags]
    assert places == sorted(places)
    assert "--ngf" not in text


@pytest.mark.parametrize(
    "words",
    [
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_a_disguised_lack_of_memory_is_quoted(words: str) -> None:
    text = message(RuntimeError(f"{words}\nmore lines"))
    assert text.startswith(f"out of memory ({words!r} mostly means that): ")
    assert "--batch_size 1" in text and "\n" not in text


def test_flags_already_in_use_are_not_advised() -> None:
    text = message(MemoryError(), precision="bf16", batch_size=1, grad_checkpoint=True)
    for flag in ("--precision", "--accumulate", "--grad_checkpoint"):
        assert flag not in text
    assert text.index("--crop_size 256") < text.index("--ngf 32")


def test_only_what_the_run_can_follow_is_advised() -> None:
    assert "--crop_size 128" not in message(MemoryError(), netG="unet_256", crop_size=256, **USED)
    assert "--preprocess crop" in message(MemoryError(), preprocess="none", **USED)
    assert "(sees less" not in message(MemoryError(), crop_size=64, **USED)


INFERENCE = {"isTrain": False, "tile": None, "max_size": None, "preprocess": "keep"}
USED = {"precision": "bf16", "batch_size": 1, "grad_checkpoint": True}


def test_a_resumed_run_cannot_change_its_networks_nor_its_sizes() -> None:
    text = message(MemoryError(), resume="state", **USED)
    assert text.endswith(
        "--name NEW --start_from run --crop_size 256 (sees less of an image at once)"
    )
    whole = message(MemoryError(), resume="state", preprocess="none", **USED)
    assert "cheapest first: --name NEW --start_from run --preprocess crop" in whole
    assert "--ngf" not in text + whole
    weights = message(MemoryError(), resume="weights", **USED)
    assert "cheapest first: --crop_size 256" in weights
    assert "--ngf" not in weights


def test_where_no_flag_helps_no_flag_is_advised() -> None:
    text = message(MemoryError(), resume="state", crop_size=64, **USED)
    assert text.endswith("cheapest first: ending other programs that use the memory")


def test_inference_advises_tiles() -> None:
    text = message(MemoryError(), together=8, **INFERENCE)
    assert text.index("--batch_size 1") < text.index("--precision bf16") < text.index("--tile 256")


def test_inference_advises_smaller_sizes_than_those_in_use() -> None:
    used = {**INFERENCE, "together": 1, "precision": "bf16"}
    whole = message(MemoryError(), **used)
    assert whole.endswith("--tile 256 (the same images, slower); --max_size 1024 (smaller images)")
    small = message(MemoryError(), **{**used, "tile": 256, "max_size": 512})
    assert small.endswith("--tile 128 (the same images, slower); --max_size 256 (smaller images)")
    least = message(MemoryError(), **{**used, "tile": 64, "preprocess": "resize"})
    assert least.endswith("cheapest first: ending other programs that use the memory")


def test_other_errors_pass() -> None:
    advice = out_of_memory_advice(Namespace(**TRAINING), torch.device("cpu"))
    with pytest.raises(RuntimeError, match="shapes"), advice:
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            "CUDA out of memory. Tried",
        ),
        (MemoryError(), "no memory"),
    ],
)
def test_programs_end_with_one_line(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        raise error

    assert run_program(main) == 1
    expected = f"error: out of memory ({said}); end other programs, or use smaller images\n"
    assert capsys.readouterr().err == expected


def test_programs_raise_other_errors() -> None:
    def main() -> int:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        run_program(main)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc")
def test_a_training_that_runs_out_of_memory(pictures: Path) -> None:
    words = ["--dataroot", str(pictures), "--checkpoints_dir", str(pictures.parent / "runs")]
    words += ["--load_size", "512", "--crop_size", "512", "--num_threads", "0", "--gpu_ids", "-1"]
    words += ["--display_id", "0", "--no_html"]
    command = [sys.executable, "-c", RUN_OUT, *words]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}  # the stacks of many would need the memory
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=one)
    assert run.returncode == 1, run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("error: out of memory: "), run.stderr
    assert "--crop_size 512 --batch_size 1" in last
    assert last.index("--precision bf16") < last.index("--grad_checkpoint")
