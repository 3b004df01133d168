"""Runs models on CUDA tensors that have no values, without a GPU, to count what they dispatch.

PyTorch's FakeTensorMode gives tensors that claim to be on a GPU, but autograd looks for streams of
that GPU. So its C++ code is told `meta` where it records the device of a new tensor, and `cuda`
where autocast asks whether to cast; Python code always sees `cuda`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch._subclasses.fake_tensor as fake
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA, META = torch.device("cuda", 0), torch.device("meta")
ASKED_DEVICE = torch.ops.prim.device.default
CAPABILITY = (9, 0)
"""Compute capability of the GPU that is imitated, an H100."""


def can_imitate() -> bool:
    """Return whether this PyTorch is built with CUDA, which is needed even without a GPU."""
    return torch.backends.cuda.is_built() and hasattr(fake, "_DISPATCH_META_HANDLERS")


class Devices:
    """Says which device C++ code is told of each tensor."""

    def __init__(self) -> None:
        self.new: set[int] = set()
        """Ids of the tensors made since Python last called PyTorch."""
        self.autocasts = False

    def answer(self, x: Any) -> torch.device:
        """Return the device of a fake tensor for C++ code."""
        if x.fake_mode.in_kernel_invocation:
            return META
        if x.fake_device.type != "cuda":
            return x.fake_device
        return CUDA if self.autocasts and id(x) not in self.new else META

    def add(self, x: Tensor) -> None:
        """Note a new tensor, and what it is a view of."""
        self.new.add(id(x))
        if x._base is not None:
            self.new.add(id(x._base))


class Calls(TorchFunctionMode):
    """Notes that Python calls PyTorch: all tensors so far are recorded by autograd."""

    def __init__(self, devices: Devices) -> None:
        super().__init__()
        self.devices = devices

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of PyTorch."""
        self.devices.new.clear()
        self.devices.autocasts = torch.is_autocast_enabled("cuda")
        return func(*args, **(kwargs or {}))


class Results(TorchDispatchMode):
    """Notes the results of operations."""

    def __init__(self, devices: Devices) -> None:
        super().__init__()
        self.devices = devices

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation."""
        results = func(*args, **(kwargs or {}))
        for x in tree_leaves(results):
            if isinstance(x, fake.FakeTensor):
                self.devices.add(x)
        return results


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Let tensors be without values in this context, and `cuda` be a GPU."""
    devices = Devices()
    with ExitStack() as stack:
        for patch in _patches(devices):
            stack.enter_context(patch)
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(fake.FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(Results(devices))
        stack.enter_context(Calls(devices))
        yield


def record_weights(nets: list[nn.Module]) -> list[Any]:
    """Let autograd record the devices of all weights; store the result as long as they are used."""
    return [weight.view_as(weight).grad_fn for net in nets for weight in net.parameters()]


def _patches(devices: Devices) -> Iterator[Any]:
    dispatch = fake.FakeTensor.__dict__["__torch_dispatch__"].__func__
    make = fake.FakeTensor.__new__

    def answer_or_dispatch(
        cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is ASKED_DEVICE:
            return devices.answer(args[0])
        return dispatch(cls, func, types, args, kwargs or {})

    def make_on_cuda(cls: Any, mode: Any, elem: Any, device: Any, *args: Any, **kwargs: Any) -> Any:
        on = CUDA if torch.device(device).type == "meta" else device
        made = make(cls, mode, elem, on, *args, **kwargs)
        devices.new.add(id(made))
        return made

    tensor = fake.FakeTensor
    yield mock.patch.object(tensor, "__torch_dispatch__", classmethod(answer_or_dispatch))
    yield mock.patch.object(tensor, "__new__", staticmethod(make_on_cuda))
    handlers = {ASKED_DEVICE: lambda args: devices.answer(args[0])}
    yield mock.patch.dict(fake._DISPATCH_META_HANDLERS, handlers)
    yield mock.patch.object(nn.Module, "_apply", _apply)
    yield mock.patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    yield mock.patch("torch.cuda.get_device_capability", lambda _device=None: CAPABILITY)
    yield mock.patch("torch.cuda.is_bf16_supported", lambda *_: True)
    yield mock.patch("torch.cuda.is_current_stream_capturing", lambda: False)


def _apply(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """Convert the tensors of a module as PyTorch's does, which cannot swap fake ones."""
    for child in self.children():
        _apply(child, fn)
    for tensors in (self._parameters, self._buffers):
        for name, old in tensors.items():
            if old is None:
                continue
            with torch.no_grad():
                new = fn(old)
            if new.device == old.device:
                old.data = new
            elif isinstance(old, nn.Parameter):
                tensors[name] = nn.Parameter(new, old.requires_grad)
            else:
                tensors[name] = new
    return self
