"""The report of scripts/doctor.py, on an installation and runs that are well or are not."""

import builtins
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from script_modules import script
from tiny_runs import make_run

from data.image_folder import find_images
from util.checkpoints.training_state import write_state


def report(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, str]]:
    """Run the program; return its exit code, and its lines by their marks and labels."""
    code = script("doctor").main([str(word) for word in words])
    lines = capsys.readouterr().out.splitlines()
    return code, {line[:15].strip(): line[16:] for line in lines if line}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with weights, options, a state and losses."""
    folder = make_run(tmp_path, "_A", "_B")
    (folder / "train_opt.json").write_text(json.dumps({"model": "cycle_gan", "ngf": 4}))
    write_state(folder / "training_state.pth", {"progress": {"epoch": 7}})
    write_losses(folder, 0.25)
    return folder


def write_losses(folder: Path, value: float) -> None:
    record = {"epoch": 6, "iters": 10, "total_iters": 60, "losses": {"D_A": value, "G_A": 0.5}}
    record |= {"learning_rate": 0.0002, "time": 0.1, "data": 0.0, "images_per_second": 10.0}
    (folder / "loss_log.jsonl").write_text(f"{json.dumps(record)}\n" * 20)


def test_it_names_versions_and_every_device_that_computes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("doctor"), "LITTLE_MEMORY", 0)
    monkeypatch.setattr(script("doctor"), "LITTLE_DISK", 0)
    monkeypatch.setattr(script("doctor"), "LITTLE_SHARED", 0)
    code, lines = report(capsys)
    assert torch.__version__ in lines["PyTorch"]
    assert f"torch {torch.__version__.split('+')[0]}" in lines["packages"]
    assert lines["cpu"].endswith("; computes")
    assert code == 0 and "no problem foun" in lines


def test_a_run_that_is_well(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    _, lines = report(capsys, "--name", "run", "--checkpoints_dir", run.parent)
    assert lines["run"] == f"{run}: --model cycle_gan --ngf 4"
    assert lines["weights"] == "latest_net_G_A.pth, latest_net_G_B.pth"
    assert lines["state"] == "reads; --continue_train resumes in epoch 7"
    assert lines["losses"].startswith("(epoch: 6, iters: 10")
    (run / "train_opt.json").write_text(json.dumps({"n_epochs": 4, "n_epochs_decay": 2}))
    _, lines = report(capsys, "--name", "run", "--checkpoints_dir", run.parent)
    assert lines["state"] == "reads; the run is finished"


def test_a_run_that_patience_ended_says_what_the_training_says(
    capsys: pytest.CaptureFixture[str], run: Path
) -> None:
    best = {"G_A": {"epoch": 5, "metric": "L1", "value": 4.0}}
    state = {"progress": {"epoch": 7, "epoch_iters": 0}, "evaluation": {"best": best, "waited": 2}}
    write_state(run / "training_state.pth", state)
    for patience, said in (
        (
            2,
            "--patience 2: 2 evaluations improved nothing; best: G_A epoch 5 (L1 4.000); "
            "this run is finished; a larger --patience extends it",
        ),
        (3, "--continue_train resumes in epoch 7"),
    ):
        options = {"n_epochs": 9, "n_epochs_decay": 0, "eval_freq": 1, "patience": patience}
        (run / "train_opt.json").write_text(json.dumps(options))
        _, lines = report(capsys, "--name", "run", "--checkpoints_dir", run.parent)
        assert lines["state"] == f"reads; {said}"


def test_a_run_that_is_not(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    (run / "training_state.pth").write_bytes(b"PK\x03\x04 cut off")
    write_losses(run, 0.0001)
    code, lines = report(capsys, "--name", "run", "--checkpoints_dir", run.parent)
    assert code == 1
    assert "cannot resume" in lines["!! state"]
    assert "D_A is near zero" in lines["!! losses"]
    shutil.rmtree(run)
    code, lines = report(capsys, "--name", "run", "--checkpoints_dir", run.parent)
    assert code == 1 and "there is no folder" in lines["!! run"]


def test_images_that_do_not_read_are_named(
    capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    _, lines = report(capsys, "--dataroot", pictures)
    count = len(find_images(pictures / "trainA"))
    assert lines["trainA"].startswith(f"{count} images; {count} decoded: ")
    broken = Path(find_images(pictures / "trainB")[0])
    broken.write_bytes(b"no image")
    code, lines = report(capsys, "--dataroot", pictures)
    assert code == 1 and broken.name in lines["!! trainB"]


def test_missing_packages_are_findings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_without_torch(name: str, *rest: Any, **more: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'")
        return imported(name, *rest, **more)

    imported = builtins.__import__
    doctor = script("doctor")
    version = importlib.import_module("importlib.metadata").version

    def of_package(name: str) -> str:
        if name == "torch":
            raise doctor.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(builtins, "__import__", import_without_torch)
    monkeypatch.setattr(doctor.metadata, "version", of_package)
    code, lines = report(capsys)
    assert code == 1
    assert lines["!! missing"].startswith("torch: pip install -r requirements.txt")
    assert "No module named 'torch'" in lines["!! devices"]
    assert "dashboard" in lines
