"""What a run can translate: its stored epochs, its generators, and the images of each direction."""

import logging
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.inference.held_out import held_out_sides
from models import load_generator
from util.checkpoints.run_folder import read_training_options
from util.checkpoints.weights import weights_path
from util.errors import UserError
from util.evaluation import ImageSet
from util.evaluation.translated import Translate
from util.files import list_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Direction:
    """One generator of a run: which images it translates, and what they should look like."""

    inputs: ImageSet
    real: ImageSet
    forward: str
    """The suffix of the generator: `_A`, `_B` or none."""
    backward: str | None

    @property
    def title(self) -> str:
        """For the table."""
        source, target = (f"{len(s)} images of {place(s)}" for s in (self.inputs, self.real))
        return f"G{self.forward}: {source} translated, against {target}"


def place(images: ImageSet) -> str:
    """The folder, and the half of its images that is meant."""
    half = [word for word in ("left half", "right half") if word in images.how]
    return f"{images.folder}{f' ({half[0]})' if half else ''}"


def run_folder_of(args: Namespace) -> Path:
    """Raises UserError where there is no such run."""
    folder = Path(args.checkpoints_dir) / args.name
    if not folder.is_dir():
        raise UserError(
            f"--name {args.name}: there is no run {folder}; {list_folder(folder.parent)}"
        )
    return folder


def chosen_epochs(folder: Path, words: str) -> list[str]:
    """`120,200` -> ["120", "200"]; `all` -> every epoch that has a number, in order.

    Raises UserError where one is not stored.
    """
    names = (path.name for path in folder.glob("*_net_G*.pth"))
    stored = dict.fromkeys(name.split("_net_G")[0] for name in sorted(names))
    numbers = sorted(int(epoch) for epoch in stored if epoch.isdecimal())
    others = [epoch for epoch in stored if not epoch.isdecimal()]
    if words == "all":
        epochs = [str(number) for number in numbers] or others
    else:
        epochs = [word.strip() for word in words.split(",") if word.strip()]
    missing = [epoch for epoch in epochs if epoch not in stored]
    if missing or not epochs:
        raise UserError(
            f"--epoch {words}: {f'epoch {missing[0]}' if missing else 'nothing'} is not stored in "
            f"{folder} (there are: {', '.join([*map(str, numbers), *others]) or 'none'})"
        )
    return epochs


def generators(folder: Path, epochs: list[str]) -> list[str]:
    """The suffixes of the generators that are stored for all of these epochs."""
    found = []
    for suffix in ("_A", "_B", ""):
        stored = [weights_path(folder, epoch, f"G{suffix}").is_file() for epoch in epochs]
        if all(stored):
            found.append(suffix)
        elif any(stored):
            log.warning("G%s is left out: it is not stored for all of these epochs", suffix)
    if not found:
        raise UserError(
            f"no generator is stored for all of these epochs; {list_folder(folder, '*_net_G*.pth')}"
        )
    return found


def directions(args: Namespace, folder: Path, suffixes: list[str]) -> list[Direction]:
    """What each generator translates, from the options stored with the run and `args`.

    Raises UserError where the images are not there or the data set is of another kind.
    """
    saved = read_training_options(folder)
    forward = saved.get("direction", "AtoB") == "AtoB"
    first, second = _sides(args, folder, saved)
    if not forward:
        first, second = second, first
    found = []
    for suffix in suffixes:
        back = {"_A": "_B", "_B": "_A"}.get(suffix)
        inputs, real = (second, first) if suffix == "_B" else (first, second)
        found.append(Direction(inputs, real, suffix, back if back in suffixes else None))
    return found


def _sides(args: Namespace, folder: Path, saved: dict[str, Any]) -> tuple[ImageSet, ImageSet]:
    """The images of A and of B."""
    root = args.dataroot or saved.get("dataroot")
    if not root:
        raise UserError(f"give --dataroot: {folder} does not tell what the run was trained on")
    kind = saved.get("dataset_mode", "unaligned")
    if kind not in ("unaligned", "aligned"):
        raise UserError(
            f"--name {args.name}: it was trained on {kind} data, which this program cannot pair; "
            "translate with 02_inference.py --output DIR, then give --real and --fake"
        )
    forward = saved.get("direction", "AtoB") == "AtoB"
    names = ("input_nc", "output_nc") if forward else ("output_nc", "input_nc")
    gray = [saved.get(name, 3) == 1 for name in names]
    aligned = kind == "aligned"
    size = args.load_size or (saved.get("crop_size", 256) if aligned else None)
    first, second = held_out_sides(root, args.phase, aligned, size, gray)
    return first.limited(args.max, args.seed), second.limited(args.max, args.seed)


def generator(
    args: Namespace, folder: Path, epoch: str, suffix: str, device: torch.device
) -> Translate:
    """A stored generator at work, for images (1, 3, H, W), the channels of gray ones equal."""
    path = weights_path(folder, epoch, f"G{suffix}")
    loaded = load_generator(path, device=device, eval=args.eval)

    def translate(images: Tensor) -> Tensor:
        found = loaded.translator(images[:, : loaded.input_nc])
        return found if found.shape[1] == 3 else found[:, :1].expand(-1, 3, -1, -1)

    return translate
