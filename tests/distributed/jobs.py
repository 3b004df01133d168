"""Trainings on several processes, as tests start them: in forks, or by the real torchrun."""

import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import rank_program
import torch
import torch.distributed as dist
from conftest import PATIENCE, TINY

HERE = Path(__file__).parent
PROGRAM = str(HERE / "rank_program.py")
TORCHRUN = ["-m", "torch.distributed.run", "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
SHORT = ["--no_html", "--print_freq", "1", "--num_threads", "0", "--pool_size", "2"]
FLOAT64 = ["--precision", "fp32"]
ONE_CORE = {"OMP_NUM_THREADS": "2"}
"""Not torchrun's 1, with which processes divide the cores: results are equal bit for bit."""


def fork_server() -> Any:
    """A process that has imported the program, and forks: importing it takes longer than a job."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rank_program"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        patch.setenv("OMP_NUM_THREADS", "1")  # sums are in the same order everywhere
        forkserver.ensure_running()
    return context


class Job:
    """One training on a number of processes, below its own folder."""

    def __init__(self, where: Path, data: Path) -> None:
        where.mkdir(exist_ok=True)
        self.where, self.data, self.log = where, data, where / "output.txt"
        self.environment: dict[str, str] = {"RANK_RECORD": str(where / "losses")}

    def argv(self, *words: str) -> list[str]:
        where = ["--dataroot", str(self.data), "--checkpoints_dir", str(self.where)]
        return [*where, "--name", "run", *TINY, *SHORT, *words]

    def fork(self, processes: int, *words: str) -> list[ForkServerProcess]:
        """Start the processes in forks, with the store and the variables that torchrun has."""
        each: list[dict[str, str]] = [{}]
        if processes > 1:
            self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
            where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.store.port)}
            where |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "WORLD_SIZE": str(processes)}
            where |= {"LOCAL_WORLD_SIZE": str(processes)}
            each = [where | {"RANK": str(n), "LOCAL_RANK": str(n)} for n in range(processes)]
        started = []
        for own in each:
            arguments = (self.argv(*words), self.environment | own, str(self.log))
            started.append(fork_server().Process(target=rank_program.fork, args=arguments))
            started[-1].start()
        return started

    def codes(self, processes: int, *words: str) -> list[int]:
        """Train in forks; return the exit codes, of which those of signals are negative."""
        started = self.fork(processes, *words)
        for process in started:
            process.join(PATIENCE)
        assert all(process.exitcode is not None for process in started), self.output()
        return [process.exitcode for process in started]

    def run(self, processes: int, *words: str, code: int = 0) -> "Job":
        """Train in forks, which all exit with a code."""
        assert self.codes(processes, *words) == [code] * processes, self.output()
        return self

    def start(self, *words: str, torchrun: list[str]) -> Any:
        """Start the program by torchrun."""
        # one core for each process, however many there are: sums are in the same order
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.environment
        with self.log.open("a") as output:
            return subprocess.Popen(
                [sys.executable, *torchrun, PROGRAM, *self.argv(*words)],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def tracebacks(self) -> bool:
        """Whether there is one of the program; torchrun shows its own where a process fails."""
        return '01_train.py", line' in self.output()

    def losses(self) -> dict[tuple[int, ...], dict[str, float]]:
        lines = (self.where / "losses").read_text().splitlines()
        return {tuple(position): values for position, values in map(json.loads, lines)}

    def images(self) -> dict[int, list[str]]:
        """epoch -> the sorted paths that all processes trained on."""
        images: dict[int, list[str]] = {}
        for file in self.where.glob("losses.*.images"):
            for line in file.read_text().splitlines():
                epoch, paths = json.loads(line)
                images.setdefault(epoch, []).extend(paths)
        return {epoch: sorted(paths) for epoch, paths in images.items()}

    def listings(self) -> dict[int, int]:
        """rank -> the number of folders that it listed."""
        files = self.where.glob("losses.*.listings")
        return {int(f.name.split(".")[1]): len(f.read_text().splitlines()) for f in files}

    def state(self) -> dict[str, Any]:
        return dict(torch.load(self.where / "run" / "training_state.pth", weights_only=True))

    def weights(self) -> dict[str, torch.Tensor]:
        folder = self.where / "run"
        files = sorted(folder.glob("latest_net_*.pth"))
        assert files, self.output()
        return {
            f"{file.name} {key}": value
            for file in files
            for key, value in torch.load(file, weights_only=True).items()
        }


class Program(Job):
    """A script on a number of processes, with its own command line."""

    def __init__(self, where: Path, script: Path) -> None:
        super().__init__(where, where)
        self.environment |= {"RANK_SCRIPT": str(script)} | ONE_CORE

    def argv(self, *words: str) -> list[str]:
        return list(words)


def assert_close(one: Job, other: Job, tolerance: float = 1e-8) -> None:
    ours, theirs = one.losses(), other.losses()
    assert ours.keys() == theirs.keys()
    for position, values in ours.items():
        assert values == pytest.approx(theirs[position], rel=tolerance, abs=tolerance), position
    for (name, mine), yours in zip(one.weights().items(), other.weights().values(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=tolerance, atol=tolerance, msg=name)


def epochs(number: int) -> list[str]:
    return ["--n_epochs", str(number), "--n_epochs_decay", "0"]
