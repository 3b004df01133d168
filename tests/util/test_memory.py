"""How much memory there is, and that large tensors reuse what was freed."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from util import memory

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


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 bytes free; returns the folder that tells the limits of containers."""
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory").mkdir()
    return tmp_path


def available() -> int:
    return memory.available_bytes(torch.device("cpu"))


def limit(cgroup: Path, version: int, maximum: str, used: int, cached: int) -> None:
    files = memory.CGROUP_V2 if version == 2 else memory.CGROUP_V1
    (cgroup / files[0]).write_text(f"{maximum}\n")
    (cgroup / files[1]).write_text(f"{used}\n")
    (cgroup / files[2]).write_text(f"anon 7\n{files[3]} {cached}\nactive_file 8\n")


def test_without_a_container_a_share_of_what_the_system_has_is_available(machine: Path) -> None:
    assert available() == 800


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts_without_its_file_cache(
    version: int, machine: Path
) -> None:
    limit(machine, version, "700", used=300, cached=100)
    assert available() == 400
    limit(machine, version, "9223372036854771712", used=300, cached=100)
    assert available() == 800


def test_a_container_without_a_limit_leaves_what_the_system_has(machine: Path) -> None:
    limit(machine, 2, "max", used=300, cached=100)
    assert available() == 800


def test_the_peak_is_that_of_this_process() -> None:
    now = psutil.Process().memory_info().rss
    assert now / 2 < memory.peak_bytes(torch.device("cpu")) < psutil.virtual_memory().total
