"""Large tensors reuse memory that was freed."""

import platform
import subprocess
import sys

import pytest

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
    for what in ("keep", "leave"):
        command = [sys.executable, "-c", PROGRAM, what]
        faults[what] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert faults["keep"] < 0.5 * faults["leave"]
