"""How networks are computed in training: what makes a step fast or small, beside the step.

A model says what goes through which network (`BaseModel.apply`) and what descends
(`BaseModel.descend`); all that is here leaves the mathematics as they are.
"""

import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.checkpoint import checkpoint

from util.errors import UserError

from ..parts.layers import to_float32
from .compilation import CUDA_GRAPH_MODES, compile_network, compiler_errors_for_users
from .precision import autocast, use_precision


class ForwardPass:
    """Computes networks as `--precision`, `--compile`, `--grad_checkpoint` say.

    Batches for one network go through it together, in fewer and larger kernels, where that gives
    the same numbers (`treats_images_alone`).
    """

    def __init__(self, opt: Namespace, device: torch.device) -> None:
        self.device = device
        self.precision = use_precision(opt.precision, device)
        self.compile_mode: str = opt.compile if opt.isTrain else "off"
        self.graphs = self.compile_mode in CUDA_GRAPH_MODES
        self.checkpoints: bool = opt.grad_checkpoint
        if self.checkpoints and device.type == "mps" and not opt.no_dropout:
            raise UserError(
                "--grad_checkpoint: on an Apple GPU dropout cannot be drawn twice alike; "
                "add --no_dropout, or compute with --gpu_ids -1"
            )
        if self.checkpoints:  # the checkpoint of PyTorch 2.4 warns of a call of its own
            warnings.filterwarnings("ignore", message=r"`torch\.cpu\.amp\.autocast")
        # computed together, the batches would also need their memory together
        self.together = not (opt.separate_passes or self.checkpoints)
        self.fixed_shapes = "crop" in opt.preprocess
        self.memory_format = best_memory_format(
            device, self.precision.half is not None, self.compile_mode != "off"
        )
        if device.type == "cuda" and self.fixed_shapes and not opt.deterministic:
            torch.backends.cudnn.benchmark = True  # the fastest kernels, tried at the first step

    def prepare(self, net: nn.Module) -> None:
        """Move a network to the device, in the layout and the way it will be called."""
        net.to(self.device).to(memory_format=self.memory_format)
        compile_network(net, self.compile_mode, self.fixed_shapes)

    def begin_step(self) -> None:
        """Let CUDA graphs write over the results of the step before."""
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """`net` of every batch (N, C, H, W), in full precision."""
        sizes = [len(batch) for batch in batches]
        same = len({batch.shape[1:] for batch in batches}) == 1
        if len(batches) > 1 and self.together and same and processes_images_independently(net):
            return self._call(net, torch.cat(batches)).split(sizes)
        return tuple(self._call(net, batch) for batch in batches)

    def _call(self, net: nn.Module, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=self.memory_format)
        precision = autocast(self.precision, self.device)
        with precision, compiler_errors_for_users(self.compile_mode):
            if self.checkpoints and torch.is_grad_enabled():
                contexts = partial(_contexts, net)
                output = checkpoint(net, images, use_reentrant=False, context_fn=contexts)
            else:
                output = net(images)
            # graphs write over their outputs, and some are shown later
            return to_float32(output.clone() if self.graphs else output)


def best_memory_format(
    device: torch.device, half: bool, compiled: bool, trains: bool = True
) -> torch.memory_format:
    """The layout that networks with instance norm are fastest in.

    On CPUs channels_last, but for the training of networks that are not compiled: PyTorch's own
    backward of instance norm is several times slower in it. On GPUs channels_last in half
    precision, the layout of their matrix units (not measured).
    """
    fast = (compiled or not trains) if device.type == "cpu" else device.type == "cuda" and half
    return torch.channels_last if fast else torch.contiguous_format


def processes_images_independently(net: nn.Module) -> bool:
    """Whether an image's output depends on that image only, and on no random choice."""
    return not any(
        layer.training
        and (isinstance(layer, _BatchNorm) or (isinstance(layer, _DropoutNd) and layer.p > 0))
        for layer in net.modules()
    )


def _contexts(net: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the pass forward, and of the same pass computed again for the gradients."""
    return nullcontext(), batch_norm_statistics_frozen(net)


@contextmanager
def batch_norm_statistics_frozen(net: nn.Module) -> Iterator[None]:
    """A context in which batch norm computes as ever, but does not count what it sees."""
    layers = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    kept = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, kept, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
