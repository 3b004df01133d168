"""The start and the end of both entry scripts, and the console: messages above progress bars."""

import io
import logging
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from .. import ranks
from ..devices import choose_device
from ..errors import UsageError, UserError, printable_lines
from ..memory import FOR_INFERENCE, FOR_TRAINING, keep_freed_memory
from ..options import Options
from ..programs import escape_on_stdout
from ..random_streams import draw_seed
from .launch import complete_on_main, join
from .out_of_memory import is_out_of_memory

log = logging.getLogger(__name__)

IN_USE = (32, 33)
"""The numbers by which Windows says that another program uses a file."""


def begin(opt: Options, complete: Callable[[Options], Options], shares: bool = True) -> Options:
    """Start logging, join other processes, complete the options, seed the random streams.

    Without `shares` the program does all the work in this process, and joins no other.
    The options are completed from the run that they name. A seed that was not given is drawn, and
    logged in training. Returns the completed options.
    """
    start_logging()
    opt = complete_on_main(join(opt) if shares else opt, lambda opt: _with_seed(complete(opt)))
    opt = choose_device(opt)
    keep_freed_memory(FOR_TRAINING if opt.isTrain else FOR_INFERENCE)
    seed_random_streams(opt)
    if opt.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        # all memory is written to before it is read, so filling it only costs time
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return opt


def seed_random_streams(opt: Options) -> None:
    """Seed the random streams of Python, NumPy and PyTorch with `opt.seed`."""
    random.seed(opt.seed)
    np.random.seed(opt.seed % 2**32)
    torch.manual_seed(opt.seed)


def _with_seed(opt: Options) -> Options:
    if opt.seed is not None:
        return opt
    opt = opt.replace(seed=draw_seed())
    if opt.isTrain:
        log.info("--seed %d was drawn", opt.seed)
    return opt


def run_program(main: Callable[[], int]) -> int:
    """Call `main` and return its exit code.

    A UserError, and a lack of memory or of a permission that nothing has explained, are one line on
    stderr.
    """
    together = False
    outlast_console()
    try:
        code = main()
        together = True
        return code
    except UserError as error:
        together = error.everywhere
        if ranks.is_main() or not error.everywhere:
            tell_error(error, everywhere=together)
        return 2 if isinstance(error, UsageError) else 1
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        said = (str(error).splitlines() or ["no memory"])[0]
        tell_error(f"out of memory ({said}); end other programs, or use smaller images")
        return 1
    except PermissionError as error:
        if error.filename is None:
            raise
        in_use = getattr(error, "winerror", None) in IN_USE
        remedy = "close what uses it" if in_use else "change its permissions or choose another"
        tell_error(f"{error.filename}: {error.strerror}; {remedy}")
        return 1
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    finally:
        ranks.leave(together)


def tell_error(text: object, everywhere: bool = False) -> None:
    """Write an error to stderr, naming this process unless all processes have the same."""
    name = f"process {ranks.rank()}: " if ranks.world() > 1 and not everywhere else ""
    tell(f"error: {name}{text}")


def tell(text: str) -> None:
    """Write a line to stderr, where that is possible."""
    with suppress(OSError, ValueError):  # ValueError: it is closed
        sys.stderr.write(f"{printable_lines(text)}\n")
        sys.stderr.flush()


def start_logging() -> None:
    """Send messages from INFO upwards to the console; calling it again changes nothing."""
    outlast_console()
    root = logging.getLogger()
    if not any(isinstance(handler, _Console) for handler in root.handlers):
        root.addHandler(_Console())
    root.setLevel(logging.INFO)


YELLOW, PLAIN = "\033[33m", "\033[0m"


def _in_colour() -> bool:
    """Return whether the console shows colours: a terminal, unless NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    old_windows = os.name == "nt" and "WT_SESSION" not in os.environ
    return sys.stdout.isatty() and not plain and not old_windows


class _Console(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        if mark and _in_colour():
            mark = f"{YELLOW}{mark}{PLAIN}"
        if not ranks.is_main():
            if not mark:
                return
            mark = f"process {ranks.rank()}: {mark}"
        # of streams that are not ours; RuntimeError: a signal came while the stream was written
        with suppress(OSError, ValueError, RuntimeError):
            tqdm.write(mark + printable_lines(self.format(record)), file=sys.stdout)
            sys.stdout.flush()


def outlast_console() -> None:
    """Let stdout and stderr drop what they cannot write: a full disk, a pipe that was closed.

    Otherwise such a write, or flushing at the end of the program or before a fork, would be an
    error. Streams that something else has put in their place stay. What the encoding of stdout
    lacks is printed as escapes.
    """
    escape_on_stdout()
    for name in ("stdout", "stderr"):
        stream, original = getattr(sys, name), getattr(sys, f"__{name}__")
        if stream is None:  # closed when the program was started, or pythonw.exe
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif stream is original and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _outlasting(stream))


def _outlasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = getattr(stream.buffer, "raw", stream.buffer)  # python -u: not buffered
    if type(raw) is not io.FileIO:  # the console of Windows, which needs a class of its own
        return stream
    with suppress(OSError, ValueError):
        stream.flush()
    file = _OutlastingFile(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _OutlastingFile(io.FileIO):
    """An open file that drops what it cannot write."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError:
            return memoryview(content).nbytes
