"""What a step and an inference dispatch on a GPU stays small; counted without one."""

import pytest
import torch
from script_modules import script

counts_of, fake_cuda, count = map(script, ("benchmark_counts", "fake_cuda", "benchmark_count"))
needs_cuda_build = pytest.mark.skipif(
    not fake_cuda.can_imitate(), reason="this PyTorch is built without CUDA"
)
HALF = ("bf16", "fp16")
pytestmark = pytest.mark.usefixtures("switches_of_cuda")


@needs_cuda_build
@pytest.mark.parametrize("precision", count.PRECISIONS)
def test_a_step_of_cycle_gan(precision: str) -> None:
    found = count.count_step(precision, [])
    assert found.by_name["convolution"] == found.by_name["convolution_backward"] == 116
    assert found.operations <= (1300 if precision in HALF else 1100)
    assert found.traffic <= (8e9 if precision in HALF else 13e9)
    assert found.layout_copies < 20
    assert found.casts <= (180 if precision in HALF else 0)
    assert found.waits == 0
    assert "copy_" not in found.by_name  # as of a view that is overwritten (CopySlices)


@needs_cuda_build
@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_a_step_of_pix2pix(precision: str) -> None:
    found = count.count_step(precision, ["--model", "pix2pix"])
    assert found.operations <= 500
    assert found.layout_copies < 20
    assert found.waits == 0


@needs_cuda_build
@pytest.mark.parametrize("precision", count.PRECISIONS)
def test_an_image_of_inference(precision: str) -> None:
    found = count.count_inference(precision)
    assert found.operations <= 110
    assert found.traffic <= (0.7e9 if precision in HALF else 1.3e9)
    assert found.layout_copies == 0
    assert found.casts <= 2


def test_counts_see_what_they_are_to_bound() -> None:
    x = torch.rand(1, 3, 8, 8)
    with counts_of.Counts() as counts:
        x.to(memory_format=torch.channels_last)
        x.half()
        float(x.sum())
        x[:, :1].view(-1)
    assert (counts.layout_copies, counts.casts, counts.waits) == (1, 1, 1)
    assert counts.operations == 4
