"""Trainings whose images are damaged or do not fit: exact resume, and nothing trained is lost."""

import json
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, picture
from PIL import Image

from models.networks import define_G
from util.checkpoints.training_state import read_state
from util.checkpoints.weights import save_weights
from util.run.health import Health
from util.run.session import run_program

FLAGS = [*TINY, "--print_freq", "1", "--display_freq", "1000", "--no_html"]
FLAGS += ["--n_epochs", "2", "--n_epochs_decay", "1", "--max_bad_images", "0.4"]


def train(pictures: Path, name: str, *words: str) -> int:
    """The exit code of the real program, in this process."""
    where = ["--dataroot", str(pictures), "--checkpoints_dir", str(pictures.parent / "runs")]
    argv = [*where, "--name", name, *FLAGS, *words]
    return run_program(lambda: import_module("01_train").main(argv))


def run_of(pictures: Path, name: str) -> Path:
    return pictures.parent / "runs" / name


def losses(folder: Path) -> list[Any]:
    records = [json.loads(line) for line in (folder / "loss_log.jsonl").read_text().splitlines()]
    return [(r["total_iters"], r["learning_rate"], r["losses"]) for r in records]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.name}/{key}": value
        for path in sorted(folder.glob("latest_net_*.pth"))
        for key, value in torch.load(path, weights_only=True).items()
    }


def assert_runs_equal(one: Path, other: Path) -> None:
    assert losses(one) == losses(other) != []
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys() != set()
    assert all(torch.equal(first[key], second[key]) for key in first)
    states = [read_state(folder / "training_state.pth")["progress"] for folder in (one, other)]
    assert states[0] == states[1]


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """at_step(3, act): call `act` once, when the process has computed its third step."""
    watch = Health.watch

    def plan(number: int, act: Callable[[], object]) -> None:
        steps = iter(range(1, 10**6))

        def watch_and_act(self: Health, *args: Any) -> None:
            watch(self, *args)
            if next(steps) == number:
                act()

        monkeypatch.setattr(Health, "watch", watch_and_act)

    return plan


@pytest.fixture
def two_bad(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder with one damaged image on each side."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    (pictures / "trainA" / "trainA_3.png").write_bytes(b"")
    cut = pictures / "trainB" / "trainB_2.png"
    cut.write_bytes(cut.read_bytes()[:500])
    return pictures


@pytest.mark.slow
def test_a_run_with_unreadable_images_resumes_exactly(
    two_bad: Path, at_step: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with other workers than it began with; each file is named once in each process."""
    assert train(two_bad, "whole", "--num_threads", "0") == 0
    out = capsys.readouterr().out
    for name in ("trainA_3", "trainB_2"):
        assert out.count(f"{name}.png (") == 1
    assert "warning: 2 unreadable images were skipped in this training" in out
    for first, second in (("0", "2"), ("2", "0"), ("2", "2")):
        name = f"stopped{first}{second}"
        at_step(7, lambda: signal.raise_signal(signal.SIGINT))
        assert train(two_bad, name, "--num_threads", first) == 130
        at_step(10**5, lambda: None)
        assert train(two_bad, name, "--num_threads", second, "--continue_train") == 0
        assert_runs_equal(run_of(two_bad, "whole"), run_of(two_bad, name))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("step", [5, 6])
def test_a_folder_that_disappears_ends_the_run_saved_and_it_resumes_exactly(
    step: int, pictures: Path, at_step: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when a disk is unplugged after the first epoch, or in the second, and plugged in again."""
    words = ["--num_threads", "0", "--serial_batches"]
    assert train(pictures, "whole", *words) == 0
    capsys.readouterr()
    folder = pictures / "trainA"
    at_step(step, lambda: folder.rename(pictures / "away"))
    assert train(pictures, "run", *words) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: 3 of 5 images cannot be read, and --max_bad_images 0.4 allows 2")
    assert "trainA_2.png (No such file or directory)" in err
    assert err.count("\n") == 1
    assert "saved; the same command with --continue_train resumes from here" in out
    assert "skipped" not in out
    run = run_of(pictures, "run")
    assert read_state(run / "training_state.pth")["progress"]["total_iters"] == step
    at_step(10**5, lambda: None)
    (pictures / "away").rename(folder)
    assert train(pictures, "run", *words, "--continue_train") == 0
    assert_runs_equal(run_of(pictures, "whole"), run)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_was_trained_is_saved_before_any_error_of_an_item(
    workers: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One image is too small for the crop; the run resumes bit for bit once it is replaced."""
    words = ["--preprocess", "crop", "--serial_batches", "--num_threads", workers]
    assert train(pictures, "whole", *words) == 0
    path = pictures / "trainA" / "trainA_3.png"
    whole = path.read_bytes()
    picture(1, 20, 20).save(path)
    assert train(pictures, "run", *words) == 1
    out, err = capsys.readouterr()
    assert f"{path} (20x20) is too small for it" in err
    assert err.count("\n") == 1
    assert "saved; the same command" in out
    assert (
        read_state(run_of(pictures, "run") / "training_state.pth")["progress"]["total_iters"] == 3
    )
    path.write_bytes(whole)
    assert train(pictures, "run", *words, "--continue_train") == 0
    assert_runs_equal(run_of(pictures, "whole"), run_of(pictures, "run"))


def test_an_error_before_the_first_step_saves_nothing(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (pictures / "trainA").rglob("*.png"):
        path.write_bytes(b"")
    assert train(pictures, "run", "--num_threads", "0") == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: 3 of 5 images cannot be read")
    assert "saved" not in out
    assert not list(run_of(pictures, "run").glob("*.pth"))


def test_a_size_that_does_not_fit_is_an_error_before_its_step(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("trainA", "trainB", "testA", "testB"):
        for path in (pictures / side).rglob("*.png"):
            picture(1, 256, 128).save(path)
    bad = pictures / "trainA" / "trainA_3.png"
    picture(2, 200, 128).save(bad)
    words = ["--netG", "unet_128", "--preprocess", "none", "--num_threads", "0"]
    assert train(pictures, "run", *words, "--serial_batches") == 1
    out, err = capsys.readouterr()
    assert err == (
        f"error: {bad} has 200x128 pixels with --preprocess none, but --netG unet_128 takes sides "
        "that are multiples of 128 pixels: scale the image, or train with "
        "--preprocess resize_and_crop --load_size --crop_size\n"
    )
    assert "saved; the same command with --continue_train" in out
    assert (
        read_state(run_of(pictures, "run") / "training_state.pth")["progress"]["total_iters"] == 3
    )


def test_fixed_images_whose_size_does_not_fit_are_reported_and_left_out(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("trainA", "trainB"):
        for path in (pictures / side).rglob("*.png"):
            picture(1, 128, 128).save(path)
    words = ["--netG", "unet_128", "--preprocess", "none", "--num_threads", "0"]
    flags = ["--n_epochs", "1", "--n_epochs_decay", "0", "--max_dataset_size", "2"]
    where = ["--dataroot", str(pictures), "--checkpoints_dir", str(pictures.parent / "runs")]
    argv = [*where, *TINY, *words, *flags]  # with the gallery, which shows them
    assert run_program(lambda: import_module("01_train").main(argv)) == 0
    out = capsys.readouterr().out
    assert "the fixed images are no longer shown (" in out
    assert "pixels with --preprocess none, but --netG unet_128 takes sides that are" in out


@pytest.mark.parametrize("preprocess", ["none", "scale_width", "keep"])
def test_at_inference_pairs_of_any_size_go_through_a_unet(preprocess: str, tmp_path: Path) -> None:
    """They are padded, and the results have their size again."""
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    save_weights(define_G(3, 3, 4, "unet_128", "batch"), run / "latest_net_G.pth")
    (tmp_path / "data" / "test").mkdir(parents=True)
    picture(1, 200, 60).save(tmp_path / "data" / "test" / "x.png")
    argv = [
        "--dataroot",
        tmp_path / "data",
        "--checkpoints_dir",
        tmp_path / "runs",
        "--name",
        "run",
    ]
    argv += ["--model", "pix2pix", "--dataset_mode", "aligned", "--gpu_ids", "-1"]
    argv += ["--preprocess", preprocess, "--load_size", "100", "--crop_size", "32"]
    argv = [*map(str, argv), "--results_dir", str(tmp_path / "results")]
    assert run_program(lambda: import_module("02_inference").main(argv)) == 0
    for label in ("real_A", "fake_B", "real_B"):
        with Image.open(next((tmp_path / "results").rglob(f"x_{label}.png"))) as image:
            assert image.size == (100, 60)
