"""What a training says at its end: what there is now, and what to type next."""

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from ..checkpoints.run_folder import run_folder
from ..checkpoints.weights import weights_path
from ..durations import duration
from ..errors import command
from ..evaluation.report import number
from ..programs import words_of
from .evaluator import Evaluator
from .progress import Progress

log = logging.getLogger(__name__)

FOLDER = "FOLDER"
"""Stands for a folder of images, where the data of the run has none for testing."""
TEST_FOLDERS = {"aligned": "test", "colorization": "test"}
"""Data sets of pairs -> the folder in --dataroot that inference takes."""


def log_end(
    opt: Namespace, model: Any, progress: Progress, evaluator: Evaluator, exit_code: int
) -> None:
    """Log what a training has left behind, and the command that translates with it.

    A run that was stopped, or whose last save failed, has said so already.
    """
    if exit_code != 0:
        return
    folder = run_folder(opt)
    if progress.trained:
        images = progress.total_iters - progress.start.total_iters
        taken = duration(progress.speed.elapsed())
        log.info("finished: epoch %d, %d images in %s", progress.last_epoch, images, taken)
    generators = [name for name in model.model_names if name.startswith("G")]
    files = [weights_path(folder, "latest", name) for name in generators or model.model_names]
    log.info("  weights: %s", ", ".join(map(str, files)))
    for net, best in evaluator.best.items():
        log.info("  best epoch of %s: %d (%s %s)", net, best.epoch, best.metric, number(best.value))
    if not opt.no_html:
        log.info("  gallery: %s", folder / "web" / "index.html")
    words = inference_words(opt, generators)
    if {*generators[:1]} & evaluator.best.keys():
        words += ["--epoch", "best"]
    log.info("  translate: %s", command(words))


def inference_words(opt: Namespace, generators: list[str]) -> list[str]:
    """Return the command line that translates the test images of a run."""
    words = [*words_of("02_inference.py"), "--name", opt.name]
    if opt.checkpoints_dir != "./checkpoints":
        words += ["--checkpoints_dir", str(opt.checkpoints_dir)]
    if generators[:1] == ["G_A"]:
        words += ["--model", "test", "--model_suffix", "_A"]
        side = "testA" if opt.direction == "AtoB" else "testB"
        if opt.dataset_mode != "unaligned" or not _has(opt, side):
            words += ["--input", FOLDER]
    else:
        words += ["--model", opt.model]
        folder = TEST_FOLDERS.get(opt.dataset_mode)
        if opt.dataset_mode == "shards" or (folder and not _has(opt, folder)):
            words += ["--dataroot", FOLDER]
    if opt.ema:
        words += ["--ema"]
    if "gpu_ids" in opt.given:
        words += ["--gpu_ids", ",".join(map(str, opt.gpu_ids[:1])) or "-1"]
    return words


def _has(opt: Namespace, folder: str) -> bool:
    return (Path(str(opt.dataroot)) / folder).is_dir()
