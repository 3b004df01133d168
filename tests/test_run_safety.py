"""No existing file is overwritten or moved by mistake; a refused command changes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY

from options.train_options import TrainOptions
from util.errors import UserError
from util.options import Options
from util.run.lock import RunLock

FLAGS = [*TINY, "--no_html", "--num_threads", "0", "--n_epochs", "1", "--n_epochs_decay", "0"]
FLAGS += ["--print_freq", "1"]


def words(pictures: Path, name: str, *more: str) -> list[str]:
    runs = str(pictures.parent / "runs")
    return ["--dataroot", str(pictures), "--checkpoints_dir", runs, "--name", name, *FLAGS, *more]


def train(argv: list[str]) -> int:
    """The real program, in this process."""
    return import_module("01_train").main(argv)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and every folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "./", "..", "../x", "a/../../x", "/tmp/x", "C:\\x", "..\\x", "C:x", "é" * 101],
)
def test_a_name_is_a_folder_below_the_checkpoints(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        TrainOptions().parse(["--dataroot", "x", "--name", name])
    assert stop.value.code == 2
    assert "--name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "same_as"), [("a", "a"), ("./a/", "a"), ("group//run", "group/run"), ("a b", "a b")]
)
def test_a_name_without_what_means_nothing(name: str, same_as: str) -> None:
    assert TrainOptions().parse(["--dataroot", "x", "--name", name]).name == same_as


def test_a_folder_that_is_no_run_is_left_alone(pictures: Path) -> None:
    foreign = pictures.parent / "runs" / "mine"
    foreign.mkdir(parents=True)
    (foreign / "thesis.txt").write_text("years")
    before = contents(pictures.parent)
    with pytest.raises(UserError, match=r"--name mine: .* is not a run .*; choose another --name"):
        train(words(pictures, "mine"))
    assert contents(pictures.parent) == before


def test_a_group_of_runs_is_no_run_and_runs_do_not_nest(pictures: Path) -> None:
    runs = pictures.parent / "runs"
    assert train(words(pictures, "group/one")) == 0
    before = contents(runs)
    with pytest.raises(UserError, match=r"--name group: .* is not a run"):
        train(words(pictures, "group"))
    with pytest.raises(UserError, match=r"--name group/one/two: .*group/one is a run"):
        train(words(pictures, "group/one/two"))
    assert contents(runs) == before
    (runs / "group" / "train_opt.txt").write_text("of an older toolkit")
    with pytest.raises(UserError, match=r"holds another run, .*one, which would be moved"):
        train(words(pictures, "group"))
    (runs / "group" / "1_net_G_A.pth").write_bytes(
        (runs / "group" / "one" / "latest_net_G_A.pth").read_bytes()
    )
    with pytest.raises(UserError, match=r"holds another run, .*one, which would be moved"):
        train(words(pictures, "group", "--continue_train", "--epoch", "1"))
    assert (runs / "group" / "one" / "latest_net_G_A.pth").is_file()


def test_a_run_of_the_first_reference_is_a_run(pictures: Path) -> None:
    old = pictures.parent / "runs" / "old"
    old.mkdir(parents=True)
    (old / "opt.txt").write_text("------------ Options -------------\n")
    assert train(words(pictures, "old")) == 0
    assert (pictures.parent / "runs" / "old.1" / "opt.txt").is_file()


@pytest.mark.parametrize("start", [["--epoch", "1"], ["--load_iter", "2"]])
def test_a_start_from_older_weights_overwrites_nothing(
    start: list[str], pictures: Path, capsys
) -> None:
    runs = pictures.parent / "runs"
    often = ["--n_epochs", "2", "--save_epoch_freq", "1", "--save_by_iter"]
    often += ["--save_latest_freq", "2"]
    assert train(words(pictures, "run", *often)) == 0
    before = contents(runs / "run")
    assert {"1_net_G_A.pth", "2_net_G_A.pth", "iter_2_net_G_A.pth"} <= before.keys()
    capsys.readouterr()
    assert train(words(pictures, "run", "--continue_train", *often, *start, "--lr", "1e-12")) == 0
    out = capsys.readouterr().out
    assert f"the older run of that name is now {runs / 'run.1'}" in out
    assert contents(runs / "run.1") == before
    name = "1_net_G_A.pth" if "--epoch" in start else "iter_2_net_G_A.pth"
    old = torch.load(runs / "run.1" / name, weights_only=True)
    new = torch.load(runs / "run" / "latest_net_G_A.pth", weights_only=True)
    assert all(torch.allclose(new[key], old[key], atol=1e-8) for key in old)


def test_a_run_can_start_from_its_own_weights_under_its_own_name(pictures: Path) -> None:
    assert train(words(pictures, "run")) == 0
    assert train(words(pictures, "run", "--start_from", "run")) == 0
    assert (pictures.parent / "runs" / "run.1" / "latest_net_G_A.pth").is_file()


def too_small(pictures: Path) -> list[str]:
    return ["--preprocess", "crop", "--crop_size", "64"]


def no_such_weights(pictures: Path) -> list[str]:
    return ["--continue_train", "--epoch", "7"]


@pytest.mark.parametrize("refused", [too_small, no_such_weights])
def test_a_refused_command_changes_nothing(
    refused: Callable[[Path], list[str]], pictures: Path
) -> None:
    runs = pictures.parent / "runs"
    assert train(words(pictures, "run")) == 0
    before = contents(runs)
    with pytest.raises(UserError):
        train(words(pictures, "run", *refused(pictures)))
    assert contents(runs) == before


def test_a_run_that_fails_at_its_first_image_leaves_nothing(pictures: Path) -> None:
    with pytest.raises(UserError, match="--crop_size 64"):
        train(words(pictures, "new", *too_small(pictures)))
    assert not (pictures.parent / "runs").exists()


def test_a_run_that_fails_in_its_first_step_leaves_nothing(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.cycle_gan_model import CycleGANModel

    def fail(self: CycleGANModel) -> None:
        raise RuntimeError("Cannot allocate memory")

    monkeypatch.setattr(CycleGANModel, "optimize_parameters", fail)
    with pytest.raises(UserError, match="out of memory"):
        train(words(pictures, "new"))
    assert not (pictures.parent / "runs").exists()


def test_an_option_that_is_given_again_is_stored_once_the_run_trains(pictures: Path) -> None:
    stored = pictures.parent / "runs" / "run" / "train_opt.txt"
    assert train(words(pictures, "run")) == 0
    assert train(words(pictures, "run", "--continue_train", "--keep_last", "3")) == 0
    assert "[default: 0]" not in stored.read_text().split("keep_last")[1].split("\n")[0]
    more = ["--continue_train", "--keep_last", "3", "--n_epochs", "2"]
    assert train(words(pictures, "run", *more)) == 0
    assert "[default: 0]" in stored.read_text().split("keep_last")[1].split("\n")[0]


HOLD = """
import sys, time
from options.train_options import TrainOptions
from util.run.lock import RunLock
with RunLock(TrainOptions().parse(sys.argv[1:])):
    print("locked", flush=True)
    time.sleep(600)
"""
FORK = "import os; worker = os.fork(); worker and print(worker, flush=True)"


@pytest.fixture
def lock_opt(tmp_path: Path) -> Options:
    where = ["--dataroot", "x", "--checkpoints_dir", str(tmp_path / "runs")]
    return TrainOptions().parse([*where, "--name", "group/run"])


def test_a_second_training_of_that_name_is_refused_until_the_first_dies(
    lock_opt: Options, tmp_path: Path
) -> None:
    argv = ["--dataroot", "x", "--checkpoints_dir", str(tmp_path / "runs"), "--name", "group/run"]
    command = [sys.executable, "-c", HOLD, *argv]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=f"--name group/run: .*process {first.pid} on"):
            RunLock(lock_opt).__enter__()
        with RunLock(lock_opt.replace(name="group/another")):
            pass
        first.kill()
        first.wait(60)
    with RunLock(lock_opt):  # what the killed one left behind locks nothing
        pass
    assert not (tmp_path / "runs" / ".group+run.lock").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_worker_that_outlives_the_training_does_not_hold_its_lock(
    lock_opt: Options, tmp_path: Path
) -> None:
    argv = ["--dataroot", "x", "--checkpoints_dir", str(tmp_path / "runs"), "--name", "group/run"]
    forks = HOLD.replace('print("locked", flush=True)', FORK)
    command = [sys.executable, "-c", forks, *argv]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        first.kill()
        first.wait(60)
        try:
            with RunLock(lock_opt):
                pass
        finally:
            os.kill(worker, signal.SIGKILL)


def test_the_names_of_locks_are_not_listed_as_runs(lock_opt: Options, tmp_path: Path) -> None:
    from util.files import list_folder

    with RunLock(lock_opt):
        assert list_folder(tmp_path / "runs").endswith("is empty")
