"""Stop requests, and workers that outlive a signal but not their main process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

from util.run.stopping import RaiseOnTerminate, StopRequest

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


def test_a_lost_terminal_is_a_request_that_may_come_twice() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with StopRequest() as stop:
            for _ in range(2):  # the shell and the system send it
                os.kill(os.getpid(), signal.SIGHUP)
                assert stop.exit_code == 129
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.exit_code is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_termination_is_an_exit_that_closes_what_is_open() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, RaiseOnTerminate():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 1)
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


PROGRAM = """
import os, signal, sys
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
for _ in range(20):  # more than are prefetched
    next(batches)
print(worker, flush=True)
alive = batches  # until the interpreter ends
"""


def test_a_worker_survives_signals_and_ends_with_its_main_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
