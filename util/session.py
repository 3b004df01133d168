"""What both entry scripts do first and last."""

import logging
import sys
from collections.abc import Callable

import torch

from .errors import UsageError, UserError
from .frozen_options import Options
from .logs import start_logging
from .random_streams import draw_seed

log = logging.getLogger(__name__)


def begin(opt: Options) -> Options:
    """Start logging and the random streams; a seed that was not given is drawn and said."""
    start_logging()
    if opt.seed is None:
        opt = opt.replace(seed=draw_seed())
        if opt.isTrain:
            log.info("--seed %d was drawn", opt.seed)
    torch.manual_seed(opt.seed)
    return opt


def run_program(main: Callable[[], int]) -> int:
    """The exit code of `main`; a mistake that the user can mend is one line, not a traceback."""
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the program's last word
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        return 130
