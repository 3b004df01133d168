"""A run that is stopped or killed at any moment and resumed equals the run that never stopped."""

import json
import multiprocessing
import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PATIENCE, TINY, wait_for
from equality import assert_same
from training_processes import child, limited_child, train

from util.checkpoints.training_state import read_state
from util.checkpoints.weights import read_weights

IMAGES = 5
ACCESSES = 24
"""Files that are written or renamed until a training has saved for certain; 12 for each save."""
FLAGS = [*TINY, "--print_freq", "1", "--display_freq", "1000", "--no_html", "--num_threads", "0"]
FLAGS += ["--n_epochs", "2", "--n_epochs_decay", "1", "--save_latest_freq", "2"]
VARIANTS = {
    "plain": [],
    "two workers": ["--num_threads", "2"],
    "dropout": [
        "--model",
        "pix2pix",
        "--netG",
        "resnet_6blocks",
        "--norm",
        "instance",
        "--dataset_mode",
        "unaligned",
    ],
    "bf16": ["--precision", "bf16"],
    "fp16, gradients of two batches": ["--precision", "fp16", "--accumulate", "2"],
    "checkpointed, of three": ["--grad_checkpoint", "--accumulate", "3", "--norm", "batch"],
    "patches, mirrored": ["--model", "cut", "--CUT_mode", "FastCUT", "--d_steps", "3"],
    "full pool, averages": ["--pool_size", "2", "--ema", "0.9"],
    "wgangp, plateau": ["--gan_mode", "wgangp", "--lr_policy", "plateau"],
    "hinge, normed, R1, augmented": [
        *("--gan_mode", "hinge", "--spectral_norm", "--lambda_r1", "0.1", "--lr_D", "0.0004"),
        *("--diffaugment", "color,translation,cutout", "--accumulate", "2", "--d_steps", "2"),
    ],
    "batch norm, batch 2": ["--norm", "batch", "--batch_size", "2", "--save_by_iter"],
}


def words(pictures: Path, name: str, *more: str) -> list[str]:
    runs = str(pictures.parent / "runs")
    return ["--dataroot", str(pictures), "--checkpoints_dir", runs, "--name", name, *FLAGS, *more]


@pytest.fixture(scope="module")
def context() -> Any:
    """Processes that start at once, with torch imported, and no threads."""
    where = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if os.name == "posix":
        where.set_forkserver_preload(["torch", "pytest", "01_train"])
    return where


@pytest.fixture
def run(pictures: Path, context: Any) -> Iterator[Any]:
    """Start a training; returns its exit code, or the process itself."""

    def start(argv: list[str], *how: int, wait: bool = True) -> Any:
        process = context.Process(target=child, args=(argv, *how))
        process.start()
        if not wait:
            return process
        process.join(PATIENCE)
        assert process.exitcode is not None
        return process.exitcode

    return start


def losses(folder: Path) -> list[tuple[Any, ...]]:
    """Every log line without its times; the two logs must agree."""
    records = [json.loads(line) for line in (folder / "loss_log.jsonl").read_text().splitlines()]
    lines = [
        re.fullmatch(r"\(epoch: (\d+), iters: (\d+), .*\) (.*)", line)
        for line in (folder / "loss_log.txt").read_text().splitlines()
        if not line.startswith("=====")
    ]
    assert [(r["epoch"], r["iters"]) for r in records] == [
        (int(line[1]), int(line[2])) for line in lines if line
    ]
    return [
        (r["epoch"], r["iters"], r["total_iters"], r["learning_rate"], *r["losses"].items())
        for r in records
    ]


def assert_runs_equal(pictures: Path, one: str, other: str) -> None:
    first, second = pictures.parent / "runs" / one, pictures.parent / "runs" / other
    assert losses(first) == losses(second)
    assert_same(read_state(first / "training_state.pth"), read_state(second / "training_state.pth"))
    weights = sorted(path.name for path in first.glob("*_net_*.pth"))
    assert weights == sorted(path.name for path in second.glob("*_net_*.pth"))
    assert weights
    for name in weights:
        assert_same(read_weights(first / name), read_weights(second / name), name)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_run_resumes_bit_for_bit(variant: str, pictures: Path, run: Any) -> None:
    """Stopped three times, in the middle of an epoch, at its last step and at its first."""
    more = VARIANTS[variant]
    assert run(words(pictures, "whole", *more)) == 0
    stopped = words(pictures, "stopped", *more)
    stops = [2, 1, 1] if "2" in more and "--batch_size" in more else [3, 2, 1]
    assert run(stopped, stops[0], signal.SIGTERM) == 143
    assert run([*stopped, "--continue_train"], stops[1], signal.SIGINT) == 130
    assert run([*stopped, "--continue_train"], stops[2], signal.SIGTERM) == 143
    assert run([*stopped, "--continue_train"]) == 0
    assert_runs_equal(pictures, "whole", "stopped")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_kill_at_any_moment_loses_at_most_what_came_after_the_last_save(
    pictures: Path, run: Any
) -> None:
    """SIGKILL at a random access to a file, 20 times, during saves too; then the comparison."""
    more = ["--save_latest_freq", "1", "--n_epochs", "16", "--n_epochs_decay", "0"]
    more += ["--save_epoch_freq", "4"]
    assert run(words(pictures, "whole", *more)) == 0
    rng, during_save = random.Random(0), 0
    argv = words(pictures, "killed", *more)
    folder = pictures.parent / "runs" / "killed"
    for round_ in range(20):
        resume = ["--continue_train"] if round_ else []
        # ACCESSES: it has saved at least once, so that the run makes progress
        die_at = ACCESSES + rng.randrange(ACCESSES)
        assert run([*argv, *resume], 0, 0, die_at) == -signal.SIGKILL, round_
        during_save += bool(list(folder.glob(".*.tmp")))
        assert _position(folder) is not None
    assert run([*argv, "--continue_train"]) == 0
    assert_runs_equal(pictures, "whole", "killed")
    assert during_save >= 1
    assert not list(folder.glob(".*.tmp"))


def _position(folder: Path) -> Any:
    path = folder / "training_state.pth"
    return read_state(path)["progress"] if path.exists() else None


@pytest.mark.slow
def test_a_second_signal_stops_at_once_and_leaves_the_last_state(
    pictures: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = words(pictures, "run", "--n_epochs", "500")
    process = run(argv, wait=False)
    folder = pictures.parent / "runs" / "run"
    wait_for(lambda: _position(folder) or not process.is_alive())
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    process.join(PATIENCE)
    assert process.exitcode in (-signal.SIGTERM, 143)
    assert _position(folder)["total_iters"] >= 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE")
@pytest.mark.parametrize(("limit", "refused"), [(60_000, "net_G_A"), (400_000, "training_state")])
def test_a_full_disk_is_reported_and_loses_nothing(
    limit: int, refused: str, pictures: Path, context: Any
) -> None:
    argv = words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")
    process = context.Process(target=child, args=(argv,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    folder = pictures.parent / "runs" / "run"
    before = {path.name: path.read_bytes() for path in folder.glob("*.pth")}
    log = pictures.parent / "out.txt"
    argv = [*argv, "--n_epochs", "2", "--continue_train"]
    process = context.Process(target=limited_child, args=(argv, str(log), limit))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 1
    for path in folder.glob("*.pth"):
        if path.stat().st_size > limit:
            assert path.read_bytes() == before[path.name]
        elif path.name != "training_state.pth":
            read_weights(path)  # the new file or the old, but a whole one
    assert {path.name for path in folder.glob("*.pth")} >= set(before)
    assert not list(folder.glob(".*.tmp"))
    text = log.read_text()
    assert re.search(rf"warning: cannot write .*{refused}.*: .*is untouched", text), text
    assert "Traceback" not in text


def test_resuming_logs_the_position_and_a_finished_run_which_flag_extends_it(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words(pictures, "run")
    assert train(argv) == 0
    capsys.readouterr()
    assert train([*argv, "--continue_train"]) == 0
    out = capsys.readouterr().out
    assert "this run is finished (3 of 3 epochs); a larger --n_epochs or --n_epochs_decay" in out
    before = losses(pictures.parent / "runs" / "run")
    assert train([*argv, "--continue_train", "--n_epochs_decay", "2"]) == 0
    out = capsys.readouterr().out
    assert "changed since the run began: --n_epochs_decay 2, was 1" in out
    assert f"resuming at epoch 4/4, step {3 * IMAGES}, lr 0.000067" in out
    after = losses(pictures.parent / "runs" / "run")
    assert after[: len(before)] == before
    assert [record[:2] for record in after[len(before) :]] == [(4, i) for i in range(1, 6)]


def test_continue_train_alone_takes_the_options_of_the_run(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(words(pictures, "run", "--ngf", "6", "--lambda_A", "3", "--lr", "0.001")) == 0
    runs = str(pictures.parent / "runs")
    short = ["--dataroot", str(pictures), "--checkpoints_dir", runs, "--name", "run"]
    assert train([*short, "--continue_train", "--n_epochs_decay", "2"]) == 0
    stored = json.loads((pictures.parent / "runs" / "run" / "train_opt.json").read_text())
    assert (stored["ngf"], stored["lambda_A"], stored["lr"]) == (6, 3.0, 0.001)
    assert stored["seed"] == 1


def test_continue_train_finds_the_data_folder_of_the_run(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from util.errors import UserError

    assert train(words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")) == 0
    runs = pictures.parent / "runs"
    again = ["--checkpoints_dir", str(runs), "--name", "run", "--continue_train"]
    assert train([*again, "--n_epochs", "2"]) == 0
    stored = runs / "run" / "train_opt.json"
    assert json.loads(stored.read_text())["dataroot"] == str(pictures)
    assert train([*again, "--n_epochs", "3", "--dataroot", f"{pictures}/../pictures"]) == 0
    assert "--dataroot" not in capsys.readouterr().out  # another spelling is no change
    moved = pictures.rename(pictures.parent / "moved")
    with pytest.raises(UserError, match=r"^give --dataroot: .*pictures, does not exist any more"):
        train([*again, "--n_epochs", "4"])
    assert train([*again, "--n_epochs", "4", "--dataroot", str(moved)]) == 0
    out = capsys.readouterr().out
    assert f"changed since the run began: --dataroot {moved}, was {pictures}/../pictures" in out
    assert json.loads(stored.read_text())["dataroot"] == str(moved)


@pytest.mark.parametrize("text", ["", f"{'dataroot':>25}: None\n"])
def test_a_run_that_does_not_tell_its_data_folder(text: str, pictures: Path) -> None:
    from util.errors import UserError

    argv = words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")
    assert train(argv) == 0
    folder = pictures.parent / "runs" / "run"
    (folder / "train_opt.json").unlink()
    (folder / "train_opt.txt").write_text(text)
    with pytest.raises(UserError, match=r"^give --dataroot: .* does not tell what"):
        train([*argv[2:], "--continue_train"])


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--ngf", "8", "--ngf 8 (was 4)"),
        ("--netG", "resnet_9blocks", "--netG resnet_9blocks (was resnet_6blocks)"),
        ("--crop_size", "36", "--crop_size 36 (was 32)"),
    ],
)
def test_options_that_break_a_run_are_listed_with_what_to_do(
    flag: str, value: str, message: str, pictures: Path
) -> None:
    from util.errors import UsageError

    assert train(words(pictures, "run", "--n_epochs_decay", "0", "--n_epochs", "1")) == 0
    with pytest.raises(UsageError) as error:
        train(words(pictures, "run", "--continue_train", flag, value))
    assert message in str(error.value)
    assert "--start_from run" in str(error.value)


def test_an_earlier_epoch_count_overwrites_nothing(pictures: Path) -> None:
    argv = words(pictures, "run")
    assert train(argv) == 0
    assert train([*argv, "--continue_train", "--epoch_count", "2"]) == 0
    runs = pictures.parent / "runs"
    for name, epochs in (("run.1", (1, 2, 3)), ("run", (2, 3))):
        assert [record[:2] for record in losses(runs / name)] == [
            (epoch, i) for epoch in epochs for i in range(1, 6)
        ]


def test_a_later_epoch_count_stays_in_the_folder(pictures: Path) -> None:
    argv = words(pictures, "run")
    assert train([*argv, "--n_epochs", "1"]) == 0
    assert train([*argv, "--n_epochs_decay", "3", "--continue_train", "--epoch_count", "4"]) == 0
    assert [record[0] for record in losses(pictures.parent / "runs" / "run")][::5] == [1, 2, 4, 5]


def test_an_old_run_with_weights_alone_starts_from_them(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words(pictures, "run", "--n_epochs_decay", "0", "--n_epochs", "1")
    assert train(argv) == 0
    folder = pictures.parent / "runs" / "run"
    old = read_weights(folder / "latest_net_G_A.pth")
    for name in ("training_state.pth", "train_opt.json", "latest_net_D_B.pth"):
        (folder / name).unlink()
    capsys.readouterr()
    assert train([*argv, "--continue_train", "--lr", "1e-12"]) == 0
    out = capsys.readouterr().out
    assert "starting from weights alone (latest_net_G_A.pth, latest_net_G_B.pth" in out
    assert "D_B start fresh" in out
    new = read_weights(folder / "latest_net_G_A.pth")
    assert all(torch.allclose(new[key], old[key], atol=1e-8) for key in old)


def test_keep_last_bounds_the_snapshots(pictures: Path) -> None:
    flags = ["--keep_last", "2", "--save_epoch_freq", "1", "--n_epochs", "4"]
    assert train(words(pictures, "run", *flags)) == 0
    folder = pictures.parent / "runs" / "run"
    epochs = {path.name.split("_")[0] for path in folder.glob("*_net_*.pth")}
    assert epochs == {"4", "5", "latest"}


def test_two_runs_with_one_seed_are_equal_and_with_another_not(pictures: Path) -> None:
    for name in ("one", "two"):
        assert train(words(pictures, name, "--deterministic")) == 0
    torch.use_deterministic_algorithms(False)
    assert_runs_equal(pictures, "one", "two")
    assert train(words(pictures, "three", "--seed", "2")) == 0
    runs = pictures.parent / "runs"
    assert losses(runs / "one") != losses(runs / "three")


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_state(
    pictures: Path,
) -> None:
    from util.errors import UserError

    argv = words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")
    assert train(argv) == 0
    folder = pictures.parent / "runs" / "run"
    before = {path.name: path.read_bytes() for path in folder.glob("*.pth")}
    with pytest.raises(UserError, match=r"loss is not finite at step 6; .*not_finite\.json"):
        train([*argv, "--n_epochs", "2", "--continue_train", "--lambda_A", "1e39"])
    report = json.loads((folder / "not_finite.json").read_text())
    assert report["epoch"] == 2
    assert Path(report["files"]["A_paths"][0]).is_file()
    assert any(not torch.tensor(float(v)).isfinite() for v in report["losses"].values())
    assert {path.name: path.read_bytes() for path in folder.glob("*.pth")} == before


def test_weights_that_are_not_finite_are_never_saved(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.cycle_gan_model import CycleGANModel
    from util.errors import UserError

    argv = words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")
    assert train(argv) == 0
    path = pictures.parent / "runs" / "run" / "training_state.pth"
    before = path.read_bytes()
    step = CycleGANModel.optimize_parameters

    def step_and_break(self: CycleGANModel) -> None:
        step(self)
        with torch.no_grad():
            next(self.netD_B.parameters()).fill_(float("nan"))

    monkeypatch.setattr(CycleGANModel, "optimize_parameters", step_and_break)
    with pytest.raises(UserError, match=r"a weight is not finite after step 6"):
        train([*argv, "--n_epochs", "2", "--continue_train", "--save_latest_freq", "1"])
    assert path.read_bytes() == before


def test_the_state_loads_without_running_code_and_a_damaged_one_is_named(pictures: Path) -> None:
    from util.errors import UserError

    argv = words(pictures, "run", "--n_epochs", "1", "--n_epochs_decay", "0")
    assert train(argv) == 0
    path = pictures.parent / "runs" / "run" / "training_state.pth"
    state = torch.load(path, weights_only=True)
    assert state["format"] == 1
    assert set(state["versions"]) == {"torch", "python"}
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"training_state\.pth cannot be read"):
        train([*argv, "--continue_train", "--n_epochs", "2"])
