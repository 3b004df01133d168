"""What torchrun, or a launcher like it, tells a process in its environment."""

import os

TIMEOUT = "RANKS_TIMEOUT"
"""The environment variable with the seconds that a process waits for the others."""
DEFAULT_TIMEOUT = 600.0


def launched() -> bool:
    """Return whether torchrun, or a launcher like it, has started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def restarted() -> bool:
    """Return whether torchrun has started this process anew, as `--max_restarts` asks for."""
    return launched() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def job() -> str:
    """Return a name of what torchrun has started that is the same after a restart, or ""."""
    if not launched():
        return ""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return name if name != "none" else f"{os.environ['MASTER_ADDR']}/{os.getppid()}"


def timeout() -> float:
    """Return how many seconds a process waits for the others before it ends the run."""
    return float(os.environ.get(TIMEOUT, DEFAULT_TIMEOUT))
