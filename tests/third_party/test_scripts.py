"""Scripts for the reference's packages run unchanged: they train, resume and translate as ours do.

Each script is a process of its own, started from the root of the repository.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import LOSSES, ROOT, TINY
from tiny_runs import make_run, names, pixels

SCRIPTS = Path(__file__).parent / "scripts"
FREQUENCIES = {"print_freq": 1, "display_freq": 2, "update_html_freq": 4, "save_latest_freq": 3}
FREQUENCIES |= {"save_epoch_freq": 1}
TRAINED = [word for name, value in FREQUENCIES.items() for word in (f"--{name}", str(value))]

WARNINGS = ("-Werror", "-Wignore:There is no current event loop", "-Wignore:unclosed event loop")
"""All are errors but those of dominate with Python 3.12."""


def run(program: Path, *words: object, code: int = 0) -> str:
    """Run a program from the root of the repository; return what it printed."""
    folders = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *WARNINGS, str(program), *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **folders},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    assert "Warning" not in output
    return output


@pytest.fixture
def train(pictures: Path, tmp_path: Path) -> Any:
    """train(script, "--name", "x"): a tiny training; returns what it printed."""

    def start(program: Path, *words: object, code: int = 0) -> str:
        where = ["--dataroot", pictures, "--checkpoints_dir", tmp_path / "runs"]
        return run(program, *where, *TINY, *TRAINED, *words, code=code)

    return start


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "loss_log.jsonl").read_text().splitlines()
    timed = {"time", "data", "images_per_second"}
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def weights(folder: Path, epoch: str) -> dict[str, torch.Tensor]:
    return {
        f"{path.name}.{key}": value
        for path in sorted(folder.glob(f"{epoch}_net_*.pth"))
        for key, value in torch.load(path, weights_only=True).items()
    }


def assert_equal_weights(one: Path, other: Path, epoch: str = "latest") -> None:
    first, second = weights(one, epoch), weights(other, epoch)
    assert first.keys() == second.keys() != set()
    assert all(torch.equal(first[key], second[key]) for key in first)


LENGTH = ("--n_epochs", 2, "--n_epochs_decay", 1)


@pytest.mark.parametrize("generation", ["2017", "2025"])
def test_a_script_trains_as_our_own_program(generation: str, train: Any, tmp_path: Path) -> None:
    train(SCRIPTS / f"train_{generation}.py", "--name", "theirs", *LENGTH)
    train(ROOT / "01_train.py", "--name", "ours", *LENGTH)
    theirs, ours = tmp_path / "runs/theirs", tmp_path / "runs/ours"
    assert records(theirs) == records(ours)  # one record for print and plot, equal to the last bit
    assert len(records(theirs)) == 3 * 5
    assert_equal_weights(theirs, ours)
    assert_equal_weights(theirs, ours, epoch="2")
    of_fixed_images = ("samples", "fixed")  # which scripts do not show
    ours_written = {n for n in names(ours) if not any(word in n for word in of_fixed_images)}
    assert ours_written <= set(names(theirs))  # options, logs, gallery and training state
    text = (theirs / "loss_log.txt").read_text().splitlines()
    assert all(f"{name}: " in text[1] for name in LOSSES)


def test_a_rate_that_is_updated_as_an_epoch_begins_is_that_of_the_reference(
    train: Any, tmp_path: Path
) -> None:
    """n_epochs 2 + n_epochs_decay 2: the rate of epoch e is lr * (1 - max(0, e + 1 - 2) / 3)."""
    words = ("--n_epochs", 2, "--n_epochs_decay", 2, "--name", "run")
    output = train(SCRIPTS / "train_2024.py", *words)
    printed = [float(line.split(": ")[1]) for line in output.splitlines() if "rate of ep" in line]
    assert printed == pytest.approx([2e-4 * (1 - max(0, e - 1) / 3) for e in range(1, 5)])
    logged = {r["epoch"]: r["learning_rate"] for r in records(tmp_path / "runs/run")}
    assert list(logged.values()) == printed


@pytest.mark.parametrize(
    ("generation", "accumulate"), [("2017", 1), ("2024", 1), ("2024", 3), ("2025", 1)]
)
def test_a_script_resumes_exactly_from_what_save_networks_stored(
    generation: str, accumulate: int, train: Any, tmp_path: Path
) -> None:
    """The first process dies in the third epoch, after it wrote `latest` at the second image."""
    length = (*LENGTH, "--accumulate", accumulate)
    script = SCRIPTS / f"train_{generation}.py"
    train(script, "--name", "whole", *length)
    dying = tmp_path / "dying.py"
    text = script.read_text()
    step = "        model.set_input(data)\n"
    assert step in text
    indent = text[text.index(step) - 4 :][:4] if "__main__" in text else ""
    text = text.replace(
        step,
        f"{step}{indent}        if epoch == 3 and i == 2:\n{indent}            raise SystemExit\n",
    )
    dying.write_text(text)
    train(dying, "--name", "parts", *length)
    stored = torch.load(tmp_path / "runs/parts/training_state.pth", weights_only=True)["progress"]
    output = train(script, "--name", "parts", *length, "--continue_train")
    assert f"resuming at epoch {stored['epoch']}/3" in output
    whole, parts = tmp_path / "runs/whole", tmp_path / "runs/parts"
    assert records(parts) == records(whole)  # no step is lost, none is done twice
    assert_equal_weights(parts, whole)
    finished = train(script, "--name", "parts", *length, "--continue_train")
    assert "finished" in finished
    assert records(parts) == records(whole)


def test_our_own_program_resumes_what_a_script_stored(train: Any, tmp_path: Path) -> None:
    script = SCRIPTS / "train_2025.py"
    train(script, "--name", "run", "--n_epochs", 1, "--n_epochs_decay", 0)
    train(ROOT / "01_train.py", "--name", "run", *LENGTH, "--continue_train")
    train(ROOT / "01_train.py", "--name", "ours", *LENGTH)
    assert_equal_weights(tmp_path / "runs/run", tmp_path / "runs/ours")


def test_a_script_writes_over_no_older_run(train: Any, tmp_path: Path) -> None:
    script = SCRIPTS / "train_2024.py"
    for _ in range(2):
        train(script, "--name", "run", "--n_epochs", 1, "--n_epochs_decay", 0)
    assert len(records(tmp_path / "runs/run")) == 5
    assert len(records(tmp_path / "runs/run.1")) == 5
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["run", "run.1"]


def test_a_mistake_ends_a_script_with_one_line_and_writes_nothing(
    train: Any, tmp_path: Path
) -> None:
    script = SCRIPTS / "train_2025.py"
    wrong = train(script, "--name", "run", "--crop_size", 33, code=2)
    assert len(wrong.splitlines()) == 1
    missing = train(script, "--name", "run", "--dataroot", tmp_path / "none", code=1)
    assert [line for line in missing.splitlines() if line.startswith("error: ")]
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("generation", ["2017", "2024", "2025"])
@pytest.mark.parametrize("model", ["test", "cycle_gan"])
def test_a_script_translates_as_our_own_program(
    generation: str, model: str, pictures: Path, tmp_path: Path
) -> None:
    """The images are 40 x 48 and 41 x 48: no network takes 41 as it is."""
    if model == "cycle_gan" and generation == "2017":
        pytest.skip("that script saves the single image `fake`")
    make_run(tmp_path, "_A", "_B")
    where = ["--checkpoints_dir", tmp_path / "checkpoints", "--name", "run", "--gpu_ids", -1]
    where += ["--dataroot", pictures / "testA" if model == "test" else pictures, "--model", model]
    script = SCRIPTS / f"translate_{generation}.py"
    run(script, *where, "--results_dir", tmp_path / "theirs")
    run(ROOT / "02_inference.py", *where, "--results_dir", tmp_path / "ours")
    theirs = tmp_path / "theirs/run/test_latest"
    ours = tmp_path / "ours/run/test_latest"
    assert (theirs / "index.html").is_file()
    ours_written = {path.name: path for path in ours.rglob("*.png")}
    theirs_written = {path.name: path for path in theirs.glob("images/*.png")}
    assert ours_written.keys() == theirs_written.keys()
    assert len(ours_written) == (4 if model == "test" else 2 * 6)
    for name, path in ours_written.items():
        np.testing.assert_array_equal(pixels(path), pixels(theirs_written[name]))
    if generation == "2017":
        assert len(list(theirs.glob("single/*.png"))) == 2
