"""torch.compile, as `--compile` asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from util.errors import UserError

COMPILE_MODES = ("off", "default", "reduce-overhead", "max-autotune")
CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")
"""Modes that use CUDA graphs: a call overwrites the outputs of the call before."""


def compile_network(net: nn.Module, mode: str, fixed_shapes: bool) -> None:
    """Compile the calls of `net` in place, so that its class, keys and weights stay.

    `fixed_shapes`: all images have one size, so the compiler need not provide for others.
    """
    if mode == "off":
        return
    import torch._dynamo.config  # slow to import
    import torch._inductor.config

    # 64, not 8: networks share code, of which each size, batch size and mode is compiled anew
    torch._dynamo.config.cache_size_limit = max(64, torch._dynamo.config.cache_size_limit)
    if not fixed_shapes:  # one CUDA graph per size would fill the memory of a GPU
        torch._inductor.config.triton.cudagraph_skip_dynamic_graphs = True
    net.compile(mode=mode, dynamic=False if fixed_shapes else None)


@contextmanager
def compiler_errors_for_users(mode: str) -> Iterator[None]:
    """Raise UserError if torch.compile fails inside, as it does without a C++ compiler."""
    try:
        yield
    except RuntimeError as error:
        if mode == "off" or not _is_compiler_error(error):
            raise
        first, *more = str(error).strip().splitlines()
        reason = f"{first} {more[0]}" if first.endswith("raised:") and more else first
        raise UserError(
            f"--compile: torch.compile cannot compile here ({reason}); leave the flag out, or "
            "update PyTorch"
        ) from error


def _is_compiler_error(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    return isinstance(error, TorchDynamoException)
