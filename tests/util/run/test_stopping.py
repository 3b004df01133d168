"""Stop requests, and workers that outlive a signal but not their main process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from util.run.stopping import StopRequest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_a_request_and_the_handlers_come_back(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.exit_code is None
        os.kill(os.getpid(), number)
        assert stop.exit_code == code
        assert signal.getsignal(number) == signal.SIG_DFL  # a second one stops at once
    assert signal.getsignal(number) == before


PROGRAM = """
import os, signal, sys, time
import torch.utils.data
sys.path.insert(0, sys.argv[1])
from util.run.stopping import WorkerStops

class Numbers(torch.utils.data.Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i): return i

loader = torch.utils.data.DataLoader(Numbers(), num_workers=1, persistent_workers=True,
                                     worker_init_fn=WorkerStops())
batches = iter(loader)
next(batches)
worker = batches._workers[0].pid
os.kill(worker, signal.SIGTERM)
os.kill(worker, signal.SIGINT)
time.sleep(0.2)
for _ in range(20):
    next(batches)
print(worker, flush=True)
kept = batches  # still there when the interpreter ends
"""


def test_a_worker_survives_signals_and_ends_with_its_main_process() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
