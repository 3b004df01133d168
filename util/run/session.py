"""The start and the end of both entry scripts, and the console: messages above progress bars."""

import io
import logging
import os
import random
import sys
from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from ..devices import choose_device
from ..errors import UsageError, UserError
from ..frozen_options import Options
from ..memory import FOR_INFERENCE, FOR_TRAINING, keep_freed_memory
from ..random_streams import draw_seed

log = logging.getLogger(__name__)


def begin(opt: Options, complete: Callable[[Options], Options]) -> Options:
    """Start logging, complete the options from the run and the device, seed the random streams.

    A seed that was not given is drawn, and logged in training. Returns the completed options.
    """
    start_logging()
    opt = complete(opt)
    if opt.seed is None:
        opt = opt.replace(seed=draw_seed())
        if opt.isTrain:
            log.info("--seed %d was drawn", opt.seed)
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


def run_program(main: Callable[[], int]) -> int:
    """Call `main` and return its exit code; a UserError is one line on stderr, not a traceback."""
    try:
        return main()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


def start_logging() -> None:
    """Send messages from INFO upwards to the console; calling it again changes nothing."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may contain what its encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    root = logging.getLogger()
    if not any(isinstance(handler, _Console) for handler in root.handlers):
        root.addHandler(_Console())
    root.setLevel(logging.INFO)


class _Console(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(mark + self.format(record), file=sys.stdout)
        sys.stdout.flush()
