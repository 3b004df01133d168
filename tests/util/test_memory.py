"""Large tensors reuse memory that was freed."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import resource, sys, torch
from util.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory(2**29)
def write():
    torch.ones(16_000_000)
for _ in range(12):
    write()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    write()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt of glibc")
def test_pages_are_cleared_once() -> None:
    faults = {}
    own = ("LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES")  # another allocator, other settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    for what in ("keep", "leave"):
        command = [sys.executable, "-c", PROGRAM, what]
        run = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment)
        faults[what] = int(run.stdout)
    assert faults["keep"] < 0.5 * faults["leave"]
