"""The benchmark measures every way that it lists."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--ngf", "4", "--ndf", "4", "--netG", "resnet_6blocks", "--crop_size", "32"]


def rows(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "scripts/benchmark.py", *words, "--json", str(tmp_path / "rows")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "rows").read_text())
    for row in found:
        assert next(iter(row.values())) in run.stdout
    return found


@pytest.mark.slow
def test_steps_of_training(tmp_path: Path) -> None:
    ways = ["--ways", "fp32", "fp32 + checkpoint", "--rounds", "2", "--device", "cpu"]
    plain, fused, checkpointed = rows(tmp_path, "train", *ways, *TINY)
    assert [row["way"] for row in (plain, fused)] == ["plain", "fp32"]
    assert plain["speed"] == plain["memory"] == "1.00x"
    assert fused["operations"] < 0.75 * plain["operations"]
    assert checkpointed["operations"] > fused["operations"]
    for row in (plain, fused, checkpointed):
        assert row["s/step"] > 0
        assert row["peak GB"] > 0.1
        assert 0 < float(row["of conv rate"].rstrip(" %")) < 100


@pytest.mark.slow
def test_pictures_of_inference(tmp_path: Path) -> None:
    few = ["--pictures", "2", "--size", "32", "--ngf", "4", "--ways", "fp32", "bf16"]
    found = rows(tmp_path, "infer", *few)
    assert [row["way"] for row in found] == ["plain loop", "fp32", "bf16"]
    assert all(row["pictures/s"] == pytest.approx(2 / row["s"]) for row in found)


@pytest.mark.slow
def test_pairs_of_the_loader(tmp_path: Path) -> None:
    found = rows(tmp_path, "load", "--pictures", "3", "--rounds", "1")
    names = [row["way"] for row in found]
    assert names[0] == "plain"
    assert {"full decode", "draft", "cache ram", "cache disk"} <= set(names)
    assert all(row["pairs/s"] > 0 for row in found)


def test_a_flag_that_is_none_ends_with_two() -> None:
    command = [sys.executable, "scripts/benchmark.py", "load", "--what"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "unrecognized arguments: --what" in run.stderr
