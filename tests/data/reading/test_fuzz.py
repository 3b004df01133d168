"""Mutated image files are read, or refused with their names: no traceback, no hang, no crash."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT

COUNT = 2000


@pytest.mark.slow
def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/fuzz_images.py"), str(tmp_path), "1", str(COUNT)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    read, refused = map(int, re.findall(r"\d+", done.stdout.splitlines()[-1]))
    assert read + refused == COUNT
    assert min(read, refused) > COUNT / 10  # the mutations are neither too strong nor too weak
