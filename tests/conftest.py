"""Fixtures: tiny images, tiny options, a visdom server that ends with its test.

No test measures time, which scripts/benchmark.py does. Tests wait for what must happen, for up to
PATIENCE seconds; that a call does not block is shown by what has not happened when it returns.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from options.train_options import TrainOptions
from util.options import Options
from util.sinks.background import Background
from util.sinks.sink import ImageRecord, LossRecord, SampleRecord

torch.set_num_threads(1)  # the gate runs two tests at a time
ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 600.0
"""Seconds to wait for an event, enough for a slow and loaded machine."""
LOSSES = ("D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B")

os.environ.setdefault("NO_VISDOM_SERVER", "1")  # a training in a test starts no server
TINY = ["--netG", "resnet_6blocks", "--ngf", "4", "--ndf", "4", "--load_size", "36"]
TINY += ["--crop_size", "32", "--gpu_ids", "-1", "--display_id", "-1", "--seed", "1"]


def wait_for(happened: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "did not happen"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def patient_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sinks in threads deliver their queue when they are closed, however long that takes."""
    pause, _patience = Background.__init__.__defaults__
    monkeypatch.setattr(Background.__init__, "__defaults__", (pause, PATIENCE))


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Random smooth RGB noise."""
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A data folder: 5 pictures in trainA, 3 in trainB (one in a sub-folder), 2 for each test."""
    root = tmp_path / "pictures"
    sizes = {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2}
    for number, (side, count) in enumerate(sizes.items()):
        (root / side / "deeper").mkdir(parents=True)
        for i in range(count):
            folder = root / side / "deeper" if i == 1 else root / side
            picture(10 * number + i, 40 + i, 48).save(folder / f"{side}_{i}.png")
    return root


@pytest.fixture
def train_opt(pictures: Path, tmp_path: Path) -> Callable[..., Options]:
    """Tiny, checked training options; further words are added to the command line."""

    def make(*words: str) -> Options:
        where = ["--dataroot", str(pictures), "--checkpoints_dir", str(tmp_path / "runs")]
        return TrainOptions().parse([*where, *TINY, *words])

    return make


@pytest.fixture
def switches_of_cuda() -> Iterator[None]:
    """Set the global switches back that a precision and fixed sizes set."""
    stored = (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.benchmark,
    )
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = stored[:2]
    torch.backends.cudnn.benchmark = stored[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class VisdomServer:
    """A real server that can be frozen, killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start on the port; on another where it was taken since it was found free."""
        for _ in range(3):
            self.launch()
            wait_for(lambda: self.answers() or self.process.poll() is not None)
            if self.process.poll() is None:
                return
            self.port = free_port()
        raise AssertionError((self.folder / "output.txt").read_text())

    def answers(self) -> bool:
        try:
            self.ask("env_state", {})
        except OSError:
            return False
        return True

    def launch(self) -> None:
        flags = ["-port", str(self.port), "-bind_local", "-env_path", f"{self.folder}/"]
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "scripts/serve_visdom.py"), *flags],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()

    def ask(self, endpoint: str, message: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{endpoint}", json.dumps(message).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def windows(self, env: str = "main") -> dict[str, Any]:
        return dict(self.ask("win_data", {"eid": env, "win": None}))

    def curves(self, window: str, env: str = "main") -> dict[str, list[float]]:
        """name -> x of the curves of a window."""
        found = self.windows(env).get(window)
        return {} if found is None else {t["name"]: t["x"] for t in found["content"]["data"]}

    def memory(self) -> float:
        """Resident MB."""
        assert self.process is not None
        return resident(self.process.pid)


def resident(pid: int) -> float:
    """MB of memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


@pytest.fixture
def visdom_server(tmp_path: Path) -> Iterator[VisdomServer]:
    folder = tmp_path / "visdom"
    folder.mkdir()
    server = VisdomServer(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def point() -> Any:
    """point(3): the record of the third step."""

    def make(step: int, **changes: Any) -> LossRecord:
        losses = {name: (number + 1) / (1 + step) for number, name in enumerate(LOSSES)}
        values = {"learning_rate": 2e-4, "time": 0.1, "data": 0.01, "images_per_second": 9.0}
        record = {"epoch": 1, "iters": step, "total_iters": step, "losses": losses, **values}
        return LossRecord(**{**record, **changes})

    return make


@pytest.fixture
def frame() -> Any:
    """frame(2): images of the second epoch."""

    def make(epoch: int, store: bool = True, size: int = 8) -> ImageRecord:
        image = np.full((size, size, 3), epoch % 256, np.uint8)
        return ImageRecord(epoch, 10 * epoch, {"real_A": image, "fake_B": image}, store)

    return make


@pytest.fixture
def sample() -> Any:
    """sample(2): the fixed images in the second epoch."""

    def make(epoch: int, store: bool = True) -> SampleRecord:
        image = np.full((16, 16, 3), epoch % 256, np.uint8)
        rows = [{"real_A": image, "fake_B": image}] * 2
        return SampleRecord(epoch, 10 * epoch, rows, store)

    return make
