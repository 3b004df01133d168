"""The start of several processes by this program itself."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from conftest import PATIENCE

from util.run.launch import needs_launch

ROOT = Path(__file__).parents[3]
WORKER = """
import os, sys
from pathlib import Path
Path(sys.argv[1], os.environ["RANK"]).write_text(os.environ["WORLD_SIZE"])
sys.exit(int(sys.argv[2]))
"""
LAUNCHER = """
import sys
sys.path.insert(0, sys.argv[1])
from util.run.launch import launch
sys.exit(launch(sys.argv[2], sys.argv[3:], 2))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="not tried elsewhere")
@pytest.mark.parametrize("code", [0, 143])
def test_a_program_starts_itself_in_several_processes(code: int, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    words = [str(ROOT), str(tmp_path / "worker.py"), str(tmp_path), str(code)]
    found = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *words], timeout=PATIENCE, capture_output=True, text=True
    )
    assert found.returncode == code, found.stderr
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["2", "2"]


@pytest.mark.parametrize(
    ("gpus", "available", "needed"), [([0, 1], 2, True), ([0], 2, False), ([0, 2], 2, False)]
)
def test_only_several_gpus_that_exist_are_launched(
    gpus: list[int], available: int, needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: available)
    assert needs_launch(Namespace(gpu_ids=gpus)) == needed
