"""Forward passes of training: precision, compilation, gradient checkpointing, fused batches.

A model says which images go through which network (`BaseModel.apply`); nothing in this file
changes the mathematics.
"""

import warnings
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from util.errors import UserError

from ..parts.layers import to_float32
from .compilation import CUDA_GRAPH_MODES, compile_network, compiler_errors_for_users
from .precision import autocast, use_precision

Context = AbstractContextManager[None]
Call = Callable[..., Any]


class ForwardPass:
    """Applies networks as `--precision`, `--compile` and `--grad_checkpoint` say.

    A network that is prepared computes so too where a model calls it itself, `net(images)`.
    Batches for one network are concatenated to one, for fewer and larger kernels, if that gives
    the same results (`processes_images_independently`). Raises UserError if the device cannot
    compute as asked.
    """

    def __init__(self, opt: Namespace, device: torch.device) -> None:
        self.device = device
        self.precision = use_precision(opt.precision, device)
        self.compile_mode: str = opt.compile if opt.isTrain else "off"
        self.uses_cuda_graphs = self.compile_mode in CUDA_GRAPH_MODES
        self.checkpoints: bool = opt.grad_checkpoint
        if self.checkpoints and device.type == "mps" and not opt.no_dropout:
            raise UserError(
                "--grad_checkpoint: on an Apple GPU dropout cannot be recomputed alike; "
                "add --no_dropout, or compute with --gpu_ids -1"
            )
        if self.checkpoints:  # PyTorch 2.4 warns of a deprecated call in its own code
            warnings.filterwarnings("ignore", message=r"`torch\.cpu\.amp\.autocast")
        # a fused pass needs the memory of all its batches at once, which checkpointing is to save
        self.fuses_batches = not (opt.separate_passes or self.checkpoints)
        self.fixed_shapes = "crop" in opt.preprocess
        self.memory_format = best_memory_format(
            device, self.precision.half is not None, self.compile_mode != "off"
        )
        self._changes_calls = (
            self.precision.half is not None
            or self.checkpoints
            or self.compile_mode != "off"
            or self.memory_format != torch.contiguous_format
        )
        self._is_inside = False
        self._batch_size: int = opt.batch_size
        self._is_short = False
        # compiled networks cast inside their graphs, and checkpointed ones cast again to recompute
        eager = self.compile_mode == "off" and not self.checkpoints
        self.stores_cast_weights = eager and self.precision.half is not None
        self._cast_versions: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
        if device.type == "cuda" and self.fixed_shapes and not opt.deterministic:
            torch.backends.cudnn.benchmark = True  # tries all kernels at the first step

    def prepare(self, net: nn.Module) -> None:
        """Move a network to the device and into its memory layout; have it compiled."""
        net.to(self.device).to(memory_format=self.memory_format)
        compile_network(net, self.compile_mode, self.fixed_shapes)
        if self._changes_calls:
            # where torch.compile puts its own call: copies and pickles of the network lack it
            inner = net._compiled_call_impl or net._call_impl
            net._compiled_call_impl = partial(self._direct_call, net, inner)

    def follow(self, optimizers: Iterable[Optimizer]) -> None:
        """Cast weights anew from now on after each step of the optimizers.

        A fused step changes weights without PyTorch's counter of their changes.
        """
        if self.stores_cast_weights:
            for optimizer in optimizers:
                optimizer.register_step_post_hook(lambda *_: self.drop_cast_weights())

    def begin_step(self, images: int) -> None:
        """Begin a step with a batch of so many images.

        CUDA graphs may overwrite the results of the step before, and weights are cast anew.
        """
        self._is_short = images < self._batch_size
        self.drop_cast_weights()
        if self.uses_cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """Return the output of `net` for each batch (N, C, H, W), float32 (or float64)."""
        sizes = [len(batch) for batch in batches]
        same_size = len({batch.shape[1:] for batch in batches}) == 1
        fusible = len(batches) > 1 and same_size and self.fuses_batches
        if fusible and processes_images_independently(net):
            return self._call(net, torch.cat(batches)).split(sizes)
        return tuple(self._call(net, batch) for batch in batches)

    @contextmanager
    def _autocast(self, net: nn.Module) -> Iterator[None]:
        """Autocast that stores cast weights for the next call of a network in the same step.

        PyTorch drops them at the end of the outermost autocast. They are dropped here once a weight
        has changed, and after calls without gradients, whose cast weights have no graph.
        """
        version = sum(weight._version for weight in net.parameters())
        if self._cast_versions.setdefault(net, version) != version:
            self.drop_cast_weights()
            self._cast_versions[net] = version
        stores = self.stores_cast_weights and torch.is_grad_enabled()
        if stores:
            torch.autocast_increment_nesting()  # the cache lives while this is not zero
        try:
            with autocast(self.precision, self.device):
                yield
        finally:
            if stores:
                torch.autocast_decrement_nesting()

    def drop_cast_weights(self) -> None:
        """Drop weights that were cast to half precision, so that they are cast anew."""
        if self.stores_cast_weights:
            torch.clear_autocast_cache()
        self._cast_versions.clear()

    def _call(self, net: nn.Module, images: Tensor) -> Tensor:
        return self._compute(net, net, images)

    def _direct_call(self, net: nn.Module, inner: Call, *args: Any, **more: Any) -> Any:
        """Do as `_call` for a call by the model, of any arguments."""
        if self._is_inside:
            return inner(*args, **more)
        return self._compute(net, inner, *args, **more)

    def _compute(self, net: nn.Module, call: Call, *args: Any, **more: Any) -> Any:
        args = tuple(self._in_layout(value) for value in args)
        if self._would_compile_anew():
            call = net._call_impl
        errors = compiler_errors_for_users(self.compile_mode)
        with self._inside(), self._autocast(net), errors:
            if self.checkpoints and torch.is_grad_enabled():
                contexts = partial(self._checkpoint_contexts, net)
                output = checkpoint(call, *args, use_reentrant=False, context_fn=contexts, **more)
            else:
                output = call(*args, **more)
            return self._finished(output)

    def _would_compile_anew(self) -> bool:
        """Return whether a compiled call would be compiled in mid-run, for a minute, for few calls.

        That is so for monitors, without gradients, and for a batch at the end of an epoch.
        """
        return self.compile_mode != "off" and (self._is_short or not torch.is_grad_enabled())

    def _checkpoint_contexts(self, net: nn.Module) -> tuple[Context, Context]:
        """Return the contexts of a forward pass and of its recomputation in the backward pass."""
        return nullcontext(), self._recomputation(net)

    @contextmanager
    def _recomputation(self, net: nn.Module) -> Iterator[None]:
        with self._inside(), batch_norm_statistics_frozen(net):
            yield

    @contextmanager
    def _inside(self) -> Iterator[None]:
        before, self._is_inside = self._is_inside, True
        try:
            yield
        finally:
            self._is_inside = before

    def _in_layout(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() == 4:
            return value.contiguous(memory_format=self.memory_format)
        return value

    def _finished(self, output: Any) -> Any:
        """Return the output of a network, a tensor or containers of tensors, in float32."""
        if isinstance(output, Tensor):
            # CUDA graphs overwrite their outputs at the next call, and some are shown later
            return to_float32(output.clone() if self.uses_cuda_graphs else output)
        if isinstance(output, dict):
            return {key: self._finished(value) for key, value in output.items()}
        if type(output) in (list, tuple):
            return type(output)(self._finished(value) for value in output)
        return output


def best_memory_format(
    device: torch.device, half: bool, compiled: bool, trains: bool = True
) -> torch.memory_format:
    """Return the memory layout in which networks with instance norm are fastest.

    On CPUs that is channels_last, except in training without compilation, where PyTorch's backward
    pass of instance norm is several times slower in it. On CUDA GPUs it is channels_last in half
    precision, the layout of their matrix units, with compilation: without, reflection padding and
    instance norm return contiguous tensors, and each convolution would copy its input.
    """
    if device.type == "cpu":
        fast = compiled or not trains
    else:
        fast = device.type == "cuda" and half and compiled
    return torch.channels_last if fast else torch.contiguous_format


def processes_images_independently(net: nn.Module) -> bool:
    """Return whether an output depends on its image alone, which batch norm and dropout prevent.

    In evaluation mode they do not.
    """
    return not any(
        layer.training
        and (isinstance(layer, _BatchNorm) or (isinstance(layer, _DropoutNd) and layer.p > 0))
        for layer in net.modules()
    )


@contextmanager
def batch_norm_statistics_frozen(net: nn.Module) -> Iterator[None]:
    """Let batch norm compute as before but leave its running statistics within this context."""
    layers = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    stored = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        # a count of its own: without any, PyTorch's synchronised batch norm fails
        count = layer.num_batches_tracked
        layer.momentum, layer.num_batches_tracked = 0.0, count if count is None else count.clone()
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, stored, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
