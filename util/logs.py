"""Console output: one line per message, above the progress bar."""

import io
import logging
import sys

from tqdm import tqdm


class _Console(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(mark + self.format(record), file=sys.stdout)
        sys.stdout.flush()


def start_logging() -> None:
    """Send messages from INFO upwards to the console; safe to call again."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold what it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    root = logging.getLogger()
    if not any(isinstance(handler, _Console) for handler in root.handlers):
        root.addHandler(_Console())
    root.setLevel(logging.INFO)
