"""What a user can do where the memory does not suffice."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..devices import lacks_bfloat16
from ..errors import UserError, new_run_from
from ..memory import peak_bytes

MESSAGES = (
    *("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory"),
    *("CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED"),
    *("DEVICE_ALLOCATION_FAILED", "HOST_ALLOCATION_FAILED"),
)
"""What allocators and the libraries of GPUs say in a plain RuntimeError."""
DISGUISES = (
    *("unable to find an engine to execute this computation", "find a valid cuDNN algorithm"),
    *("CUBLAS_STATUS_NOT_INITIALIZED", "CUDNN_STATUS_NOT_INITIALIZED"),
)
"""What cuDNN and cuBLAS say where no memory is left for their workspace, and seldom otherwise."""
ONEDNN_MESSAGES = ("could not create a primitive", "could not create a memory object")
"""The whole messages of the CPU's convolutions where they cannot allocate memory."""
SMALLEST_SIDE = 64
"""Pixels; smaller crops, tiles and images are not advised."""
NO_FLAG = "ending other programs that use the memory"


@contextmanager
def out_of_memory_advice(opt: Namespace, device: torch.device) -> Iterator[None]:
    """Raise UserError that names the peak, the sizes and three flags where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        text = str(error)
        disguised = any(phrase in text for phrase in DISGUISES)
        quoted = f" ({text.splitlines()[0]!r} mostly means that)" if disguised else ""
        half = "fp16" if lacks_bfloat16(device) else "bf16"
        advice = _advice_for_training if opt.isTrain else _advice_for_inference
        raise UserError(
            f"out of memory{quoted}: {_peak(device)}, with {_sizes(opt)}. What helps, "
            f"the cheapest first: {'; '.join(advice(opt, half)[:3])}"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that an allocation failed."""
    by_type = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
    message = str(error)
    by_text = any(text in message for text in MESSAGES + DISGUISES)
    return by_type or by_text or message in ONEDNN_MESSAGES


def _peak(device: torch.device) -> str:
    used = f"{peak_bytes(device) / 1e9:.1f} GB in use at the peak"
    if device.type == "cuda":
        return f"{used} of {torch.cuda.get_device_properties(device).total_memory / 1e9:.1f} GB"
    return used


def _sizes(opt: Namespace) -> str:
    if opt.isTrain:
        return f"--crop_size {opt.crop_size} --batch_size {opt.batch_size}"
    return f"--batch_size {opt.together}, {opt.precision}"


def _advice_for_training(opt: Namespace, half: str) -> list[str]:
    advice = []
    if opt.precision in ("fp32", "tf32"):
        advice.append(f"--precision {half} (about two thirds of the memory, and faster)")
    if opt.batch_size > 1:
        batches = opt.accumulate * opt.batch_size
        text = f"--batch_size 1 --accumulate {batches}"
        advice.append(f"{text} (the same effective batch size, somewhat slower)")
    if not opt.grad_checkpoint:
        advice.append("--grad_checkpoint (half the memory or less, a third slower)")
    smaller = opt.crop_size // 2 // 4 * 4
    # --continue_train cannot change the sizes of a run, and no weights that exist fit another --ngf
    new_run = f"{new_run_from(opt.name)} " if opt.resume == "state" else ""
    if "crop" in opt.preprocess and smaller >= SMALLEST_SIDE and not opt.netG.startswith("unet"):
        advice.append(f"{new_run}--crop_size {smaller} (sees less of an image at once)")
    elif "crop" not in opt.preprocess:
        advice.append(f"{new_run}--preprocess crop (parts of --crop_size pixels, not whole images)")
    if not opt.resume:
        advice.append(f"--ngf {max(8, opt.ngf // 2)} (a weaker generator)")
    return advice or [NO_FLAG]


def _advice_for_inference(opt: Namespace, half: str) -> list[str]:
    advice = ["--batch_size 1 (as fast, or nearly)"] if opt.together > 1 else []
    if opt.precision in ("fp32", "tf32"):
        advice.append(f"--precision {half} (faster; colours differ by some levels)")
    # without --tile it has been 512 already, where the need was known
    tile, size = min(256, (opt.tile or 512) // 2), min(1024, (opt.max_size or 2048) // 2)
    if tile >= SMALLEST_SIDE:
        advice.append(f"--tile {tile} (the same images, slower)")
    if opt.preprocess == "keep" and size >= SMALLEST_SIDE:
        advice.append(f"--max_size {size} (smaller images)")
    return advice or [NO_FLAG]
