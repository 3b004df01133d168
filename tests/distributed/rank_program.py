"""The real program as tests start it: in float64, with its losses in a file.

By torchrun, or in forks of a process that has imported it. Environment: RANK_RECORD, the file that
rank 0 writes the losses of all steps to; RANK_DO, what a process does after which step,
`rank:step:signal`; RANK_IN_SAVE, which process gets a signal during which save of the state,
`rank:save:signal`; RANK_MODELS, a folder of further models; RANK_1_WORDS, further flags of rank 1;
RANK_SCRIPT, a script to run instead.
"""

import atexit
import importlib
import json
import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

import models
from data import image_folder
from models import base_model
from models.base_model import BaseModel
from util import global_batch, ranks
from util.checkpoints import training_state
from util.run.health import Health
from util.run.session import run_program
from util.visualizer import Visualizer

train = importlib.import_module("01_train")


def in_float64() -> None:
    torch.set_default_dtype(torch.float64)
    to_device = BaseModel.to_device
    BaseModel.to_device = lambda self, images: to_device(self, images).double()
    base_model.read_scalars = lambda scalars, _: {k: float(v) for k, v in scalars.items()}


def record_losses(path: str) -> None:
    losses = Visualizer.losses

    def recorded(self: Any, record: Any) -> None:
        if ranks.is_main():
            with Path(path).open("a") as file:
                position = [record.epoch, record.iters, record.total_iters]
                file.write(json.dumps([position, dict(record.losses)]) + "\n")
        losses(self, record)

    Visualizer.losses = recorded


def record_images() -> None:
    """Write the paths of A that each process trains on to `<record>.<rank>.images`."""
    watch = Health.watch

    def watched(self: Any, losses: Any, batch: Any, progress: Any) -> None:
        with Path(f"{os.environ['RANK_RECORD']}.{ranks.rank()}.images").open("a") as file:
            own = batch["A_paths"] if global_batch.has_images() else []
            file.write(json.dumps([progress.epoch, list(own)]) + "\n")
        watch(self, losses, batch, progress)

    Health.watch = watched


def record_listings() -> None:
    """Write the folders that each process lists to `<record>.<rank>.listings`."""
    find_images = image_folder.find_images

    def found(folder: Path, max_count: float = float("inf")) -> list[str]:
        with Path(f"{os.environ['RANK_RECORD']}.{ranks.rank()}.listings").open("a") as file:
            file.write(f"{folder}\n")
        return find_images(folder, max_count)

    image_folder.find_images = found


def act_after(rank: int, step: int, number: int) -> None:
    """Send this process the signal `number` after a step, where it is that rank.

    -1: give it a loss that is NaN; -2: kill the processes that load its images.
    """
    watch = Health.watch

    def watched(self: Any, losses: Any, batch: Any, progress: Any) -> None:
        now = ranks.rank() == rank and progress.total_steps == step and not ranks.restarted()
        if now and number == -1:
            losses = {name: value * float("nan") for name, value in losses.items()}
        watch(self, losses, batch, progress)
        if now and number > 0:
            os.kill(os.getpid(), number)
        if now and number == -2:
            for worker in multiprocessing.active_children():
                worker.kill()

    Health.watch = watched


def signal_in_save(rank: int, save: int, number: int) -> None:
    """Signal a process while rank 0 has written a part of the state, in the first start."""
    Path(f"{os.environ['RANK_RECORD']}.{os.environ['RANK']}.pid").write_text(str(os.getpid()))
    write_atomically = training_state.write_atomically
    saves = count(1)

    def signalling(path: Path, write: Callable[[BinaryIO], object], durable: bool = False) -> None:
        if next(saves) != save or ranks.restarted():
            write_atomically(path, write, durable)
            return

        def half(file: BinaryIO) -> None:
            file.write(b"a part of the state")
            file.flush()
            pid = Path(f"{os.environ['RANK_RECORD']}.{rank}.pid").read_text()
            os.kill(int(pid), number)
            file.seek(0)
            file.truncate()
            write(file)

        write_atomically(path, half, durable)

    training_state.write_atomically = signalling


def main() -> int:
    torch.set_num_threads(1)
    if "--precision" in sys.argv:
        in_float64()
    if "RANK_RECORD" in os.environ:
        record_losses(os.environ["RANK_RECORD"])
        record_images()
        record_listings()
    if "RANK_DO" in os.environ:
        act_after(*map(int, os.environ["RANK_DO"].split(":")))
    if "RANK_IN_SAVE" in os.environ:
        signal_in_save(*map(int, os.environ["RANK_IN_SAVE"].split(":")))
    if os.environ.get("RANK") == "1":
        sys.argv += os.environ.get("RANK_1_WORDS", "").split()
    models.__path__.extend(os.environ.get("RANK_MODELS", "").split())
    if "RANK_SCRIPT" in os.environ:
        sys.path.insert(0, str(Path(os.environ["RANK_SCRIPT"]).parent))
        runpy.run_path(os.environ["RANK_SCRIPT"], run_name="__main__")
        return 0
    return run_program(train.main)


def fork(argv: list[str], environment: dict[str, str], log: str) -> None:
    """Be one process of a training, in a fork of a process that has imported this file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment)
    sys.argv = [__file__, *argv]
    try:
        sys.exit(main())
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing does not call


if __name__ == "__main__":
    sys.exit(main())
