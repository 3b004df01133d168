"""Count what a step dispatches, and the kernels and idle time of a GPU, for the benchmarks."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CONVOLUTIONS = ("convolution", "convolution_backward")
COPIES = ("clone", "_to_copy", "copy_")
READS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero")
"""Operations for whose result the CPU waits."""


class Counts(TorchDispatchMode):
    """A context that counts what is dispatched on tensors, real or fake.

    `operations` are those that compute or copy, without views; `traffic` the bytes that they read
    and write, without convolutions; `layout_copies` copies into another order of the dimensions in
    memory, with those that a convolution makes of an input that has not the layout of its weights;
    `casts` conversions to another type; `waits` results that the CPU waits for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.traffic = self.layout_copies = self.casts = self.waits = 0
        self.by_name: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        output = func(*args, **(kwargs or {}))
        if func.namespace == "aten" and not func.is_view:
            inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            outputs = [x for x in tree_leaves(output) if isinstance(x, Tensor)]
            self._count(func.name().split("::")[1].split(".")[0], inputs, outputs)
        return output

    def row(self) -> dict[str, float | str]:
        """Return the counts as a row of the benchmark."""
        return {
            "operations": self.operations,
            "other traffic GB": self.traffic / 1e9,
            "layout copies": self.layout_copies,
            "casts": self.casts,
            "waits": self.waits,
        }

    def _count(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.by_name[name] = self.by_name.get(name, 0) + 1
        if name == "detach":
            return
        self.operations += 1
        self.waits += name in READS
        if name in CONVOLUTIONS:
            big = [x for x in inputs if x.dim() == 4]
            layouts = [_order(x[:1]) for x in big]  # of the weight last
            self.layout_copies += sum(
                len(one) == len(layouts[-1]) and one != layouts[-1] for one in layouts[:-1]
            )
        else:
            self.traffic += sum(x.numel() * x.element_size() for x in (*inputs, *outputs))
        if name in COPIES and outputs:
            source = inputs[-1] if name == "copy_" else inputs[0]
            self.casts += outputs[0].dtype != source.dtype
            self.waits += outputs[0].device.type == "cpu" != source.device.type
            self.layout_copies += _order(outputs[0]) != _order(source)


def _order(x: Tensor) -> tuple[int, ...]:
    """Return the dimensions of a tensor in the order in which they lie in memory."""
    moving = [d for d in range(x.dim()) if x.shape[d] > 1]
    return tuple(sorted(moving, key=lambda d: -x.stride(d)))


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
