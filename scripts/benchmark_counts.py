"""What PyTorch does in a step of training: operations, kernels, idle time. For benchmark_train."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def count_operations(step: Callable[[], object]) -> int:
    """Operations that a call of `step` dispatches, compiled or not.

    Those that an operation calls itself do not count, nor does what was compiled into a kernel.
    """
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    return sum(_is_operation(event) and not _is_part(event) for event in profiler.events())


def gpu_use(step: Callable[[], float]) -> dict[str, float | str]:
    """Launches of kernels and graphs in a step, and the share of its seconds in which none runs."""
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        seconds = step()
    events = profiler.events()
    on_gpu = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    kernels = [event for event in on_gpu if not getattr(event, "is_user_annotation", False)]
    busy = sum(event.device_time_total for event in kernels) / 1e6
    launches = sum("Launch" in event.name and event.name.startswith("cu") for event in events)
    return {"launches": launches, "GPU idle": f"{100 * max(0.0, 1 - busy / seconds):.0f} %"}


def _is_operation(event: Any) -> bool:
    return event.name.startswith("aten::")


def _is_part(event: Any) -> bool:
    """Whether an operation called this one."""
    caller = event.cpu_parent
    while caller is not None:
        if _is_operation(caller):
            return True
        caller = caller.cpu_parent
    return False
