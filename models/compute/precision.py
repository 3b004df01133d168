"""The numeric precision of networks, by the names that `--precision` takes."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from util.devices import AUTO, fast_precision, lacks_autocast, lacks_bfloat16
from util.errors import UserError


@dataclass(frozen=True)
class Precision:
    """The precision of convolutions; weights, losses and statistics of norms stay float32."""

    half: torch.dtype | None = None
    """The type of autocast; None: float32."""
    tf32: bool = True
    """Whether GPUs may round the factors of float32 products to 10 bits (TensorFloat-32)."""
    scaled: bool = False
    """Whether gradients underflow unless the loss is scaled (arXiv 1710.03740, section 3.2)."""


PRECISIONS = {
    "fp32": Precision(tf32=False),
    "tf32": Precision(),
    "bf16": Precision(half=torch.bfloat16),
    "fp16": Precision(half=torch.float16, scaled=True),
}


def use_precision(name: str, device: torch.device) -> Precision:
    """Return the precision of that name, and set PyTorch's switches for TensorFloat-32 by it.

    "auto" is one of the others, by the device; the options of both programs hold that one already.
    Raises UserError if the device has no units for bfloat16 and would emulate it slowly, or this
    PyTorch no autocast for it.
    """
    precision = PRECISIONS[fast_precision(device)[0] if name == AUTO else name]
    if precision.half == torch.bfloat16 and lacks_bfloat16(device):
        raise UserError(
            f"--precision bf16: {torch.cuda.get_device_name(device)} has no bfloat16 units; "
            "use --precision fp16"
        )
    if precision.half is not None and lacks_autocast(device):
        raise UserError(
            f"--precision {name}: PyTorch {torch.__version__} cannot compute in it on an Apple "
            "GPU; leave the flag out, or install a newer PyTorch"
        )
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision.tf32
        torch.backends.cuda.matmul.allow_tf32 = precision.tf32
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context to call networks in; convert their outputs with `to_float32`."""
    if precision.half is None:
        return nullcontext()
    return torch.autocast(device.type, precision.half)


def round_weights(net: nn.Module, precision: Precision) -> None:
    """Round the weights of convolutions to half precision once; autocast does it at each call.

    For inference only: training needs weights in float32.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and precision.half is not None:
            layer.weight.data = layer.weight.data.to(precision.half)


def check_loss_scaling(device: torch.device) -> None:
    """Raise UserError where this PyTorch cannot scale losses on an Apple GPU, as older ones."""
    if device.type == "mps" and not _scales_losses(device):
        raise UserError(
            f"--precision fp16: PyTorch {torch.__version__} cannot train in it on an Apple GPU; "
            "leave the flag out, or install a newer PyTorch"
        )


def _scales_losses(device: torch.device) -> bool:
    """Return whether a step with a scaled loss of a single weight is that of the loss."""
    weight = torch.ones(1, device=device, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    try:
        scaler = torch.amp.GradScaler(device.type, init_scale=4.0)
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
    except (RuntimeError, TypeError):  # no operator, or no float64 on the device
        return False
    return weight.item() == 0.5
