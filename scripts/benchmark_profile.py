"""Where the time of a step goes, by kinds of operations, for `benchmark.py train --profile`."""

import re
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "convolutions": r"conv",
    "matrix products": r"aten::(add|b)?mm$|linear",
    "norms": r"(group|batch|layer)_norm|sync_batch",
    "padding": r"pad[123]d|_pad",
    "activations": r"relu|threshold|tanh|sigmoid|clamp",
    "casts, copies": r"copy|aten::(to|cat|clone|contiguous)|memcpy",
    "optimizer": r"adam|optimizer|foreach",
}
"""A kind of operation -> a pattern of the names that belong to it, of which the first counts."""
FUSED = "compiled kernels"
OTHER = "other"


def kind_of(name: str) -> str:
    """Return the kind of an operation or a kernel by its name in PyTorch's profiler.

    A kernel that torch.compile generated carries the names of what it fuses.
    """
    if re.search(r"(cpp|triton)_.*fused|Compiled", name):
        return FUSED
    for kind, pattern in KINDS.items():
        if re.search(pattern, name, re.IGNORECASE):
            return kind
    return OTHER


def milliseconds_by_kind(step: Callable[[], object], steps: int, on_gpu: bool) -> dict[str, float]:
    """Return the milliseconds of a step by kinds of operations, each without those that it calls.

    Of a GPU these are the times of the kernels that operations launch. Operations take longer under
    the profiler than without it: compare the kinds, not the sum with other measurements.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            step()
    shares = dict.fromkeys((*KINDS, FUSED, OTHER), 0.0)
    for event in profiler.key_averages():
        if event.device_type != torch.autograd.DeviceType.CPU:
            continue  # a kernel, whose time is that of its operation too
        own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        shares[kind_of(event.key)] += own / 1e3 / steps
    return shares
