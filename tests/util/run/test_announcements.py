"""What a training says at its end: its files, and a command that its own options make."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from options.test_options import TestOptions
from util.checkpoints.best import BestEpoch
from util.options import Options
from util.run.announcements import inference_words, log_end

TWO = ["G_A", "G_B"]


def command(opt: Options, generators: list[str]) -> str:
    return " ".join(inference_words(opt, generators))


def test_the_command_translates_the_test_images_of_the_run(
    train_opt: Callable[..., Options], tmp_path: Path
) -> None:
    where = f"--name experiment_name --checkpoints_dir {tmp_path / 'runs'}"
    assert command(train_opt(), TWO) == (
        f"python 02_inference.py {where} --model test --model_suffix _A --gpu_ids -1"
    )
    assert command(train_opt("--ema", "0.9"), TWO).endswith("--model_suffix _A --ema --gpu_ids -1")
    pairs = train_opt("--model", "pix2pix")
    assert command(pairs, ["G"]) == (
        f"python 02_inference.py {where} --model pix2pix --dataroot FOLDER --gpu_ids -1"
    )
    (Path(pairs.dataroot) / "test").mkdir()
    assert "--dataroot" not in command(pairs, ["G"])


@pytest.mark.parametrize(("direction", "side"), [("AtoB", "testA"), ("BtoA", "testB")])
def test_without_test_images_it_asks_for_a_folder(
    train_opt: Callable[..., Options], direction: str, side: str
) -> None:
    opt = train_opt("--direction", direction)
    assert "--input" not in command(opt, TWO)
    (Path(opt.dataroot) / side).rename(Path(opt.dataroot) / "other")
    assert "--input FOLDER" in command(opt, TWO)


def test_inference_takes_every_flag_of_the_command(train_opt: Callable[..., Options]) -> None:
    for words, generators in (([], TWO), (["--model", "colorization", "--ema", "0.9"], ["G"])):
        opt = train_opt(*words)
        parsed = TestOptions().parse(inference_words(opt, generators)[2:])
        assert parsed.name == opt.name and parsed.checkpoints_dir == opt.checkpoints_dir


def ended(opt: Options, caplog: pytest.LogCaptureFixture, exit_code: int = 0, **best: Any) -> str:
    start = Namespace(total_iters=0)
    speed = Namespace(elapsed=lambda: 7200.0)
    progress: Any = Namespace(trained=True, total_iters=400, start=start, last_epoch=4, speed=speed)
    evaluator: Any = Namespace(best=best)
    with caplog.at_level(logging.INFO):
        log_end(opt, Namespace(model_names=[*TWO, "D_A"]), progress, evaluator, exit_code)
    return caplog.text


def test_the_end_names_weights_gallery_time_and_best_epochs(
    train_opt: Callable[..., Options], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = ended(train_opt("--name", "a b"), caplog, G_A=BestEpoch(3, "KID", 0.0312))
    folder = tmp_path / "runs" / "a b"
    assert "finished: epoch 4, 400 images in 2 h 0 min" in said
    assert f"{folder / 'latest_net_G_A.pth'}, {folder / 'latest_net_G_B.pth'}" in said
    assert "best epoch of G_A: 3 (KID 0.0312)" in said
    assert f"gallery: {folder / 'web' / 'index.html'}" in said
    assert "'a b'" in said or '"a b"' in said
    assert "--model_suffix _A --gpu_ids -1 --epoch best" in said


def test_a_run_that_did_not_end_well_has_said_so_itself(
    train_opt: Callable[..., Options], caplog: pytest.LogCaptureFixture
) -> None:
    assert not ended(train_opt(), caplog, exit_code=130)
    assert "gallery" not in ended(train_opt("--no_html"), caplog)
