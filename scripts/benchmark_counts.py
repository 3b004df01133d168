"""Count the operations, kernels and idle time of a training step for benchmark_train."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def count_operations(step: Callable[[], object]) -> int:
    """Return the number of operations that a call of `step` dispatches, compiled or not.

    Operations inside other operations or inside a compiled kernel do not count.
    """
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    return sum(_is_operation(event) and not _is_part(event) for event in profiler.events())


def gpu_use(step: Callable[[], float]) -> dict[str, float | str]:
    """Return the launches of kernels and graphs in a step, and the share of idle GPU time."""
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
    """Return whether another operation called this one."""
    caller = event.cpu_parent
    while caller is not None:
        if _is_operation(caller):
            return True
        caller = caller.cpu_parent
    return False
