"""torch.compile, as `--compile` asks for it."""

import re
import sys
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


NO_COMPILER = re.compile(
    r"No working C\+\+ compiler|Compiler: .+ is not found|Failed to find C(\+\+)? compiler"
)
"""What PyTorch and Triton say where there is none (Triton without an exception of its own)."""
NO_TRITON = re.compile(r"Cannot find a working triton installation")
COMPILERS = {
    "win32": "install the Build Tools of Visual Studio with C++, and start from their prompt",
    "darwin": "install one with xcode-select --install",
    "linux": "install one (on Debian and Ubuntu: apt-get install g++)",
}
TRITON = {"win32": "pip install triton-windows", "linux": "pip install triton"}


@contextmanager
def compiler_errors_for_users(mode: str) -> Iterator[None]:
    """Raise UserError if torch.compile fails inside, as it does without a C++ compiler."""
    try:
        yield
    except RuntimeError as error:
        if mode == "off" or not _is_compiler_error(error):
            raise
        raise UserError(
            f"--compile: torch.compile cannot compile here ({_reason(str(error))}); "
            f"{_remedy(str(error))}, or leave the flag out"
        ) from error


def _is_compiler_error(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    return isinstance(error, TorchDynamoException) or bool(NO_COMPILER.search(str(error)))


def _reason(message: str) -> str:
    if missing := NO_COMPILER.search(message) or NO_TRITON.search(message):
        return missing.group()  # it may be lines below, behind what processes and stages raised
    first, *more = message.strip().splitlines()
    return f"{first} {more[0]}" if first.endswith("raised:") and more else first


def _remedy(message: str) -> str:
    if NO_COMPILER.search(message):
        return COMPILERS.get(sys.platform, COMPILERS["linux"])
    if NO_TRITON.search(message) and sys.platform in TRITON:
        return TRITON[sys.platform]
    return "update PyTorch"
