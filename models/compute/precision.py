"""The precision that networks are computed in, by the name that `--precision` takes."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from util.devices import lacks_bfloat16
from util.errors import UserError


@dataclass(frozen=True)
class Precision:
    """What convolutions compute in; weights, losses and statistics of norms stay float32."""

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
    """The precision of that name, with PyTorch's switches for TensorFloat-32 set by it.

    Raises UserError where the device computes it by detours only.
    """
    precision = PRECISIONS[name]
    if precision.half == torch.bfloat16 and lacks_bfloat16(device):
        raise UserError(
            f"--precision bf16: {torch.cuda.get_device_name(device)} has no bfloat16 units; "
            "use --precision fp16"
        )
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision.tf32
        torch.backends.cuda.matmul.allow_tf32 = precision.tf32
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context that networks compute in; what they return is to be taken `full`."""
    if precision.half is None:
        return nullcontext()
    return torch.autocast(device.type, precision.half)


def round_weights(net: nn.Module, precision: Precision) -> None:
    """Round the weights of convolutions once, which autocast would do at each call.

    For inference: what trains needs them in float32.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and precision.half is not None:
            layer.weight.data = layer.weight.data.to(precision.half)
