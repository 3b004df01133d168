"""What a run can translate: its stored epochs, its generators, and the images of each direction."""

import dataclasses
import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

from data.inference.held_out import held_out_directions
from models import load_generator
from models.inference.translator import InferenceSettings, on_rgb
from util.checkpoints.run_folder import read_training_options, stored_dataroot
from util.checkpoints.weights import AVERAGED, weights_path
from util.errors import UsageError, UserError
from util.evaluation.direction import Direction
from util.evaluation.translated import Translate
from util.files import list_folder

log = logging.getLogger(__name__)


def add_ema_flag(parser: ArgumentParser) -> None:
    """Add --ema, which all functions here obey."""
    parser.add_argument(
        "--ema", action="store_true", help="take the averaged weights of a run trained with --ema"
    )


def check_numbers(args: Namespace, *positive: str) -> None:
    """Raise UsageError where one of these flags is given and not above 0, or --seed is no seed."""
    for flag in positive:
        if getattr(args, flag) is not None and getattr(args, flag) < 1:
            raise UsageError(f"--{flag} {getattr(args, flag)}: give a number above 0")
    if not 0 <= args.seed < 2**32:
        raise UsageError(f"--seed {args.seed}: give a number from 0 to {2**32 - 1}")


def run_folder_of(args: Namespace) -> Path:
    """Raises UserError where there is no such run."""
    folder = Path(args.checkpoints_dir) / args.name
    if not folder.is_dir():
        raise UserError(
            f"--name {args.name}: there is no run {folder}; {list_folder(folder.parent)}"
        )
    return folder


def chosen_epochs(args: Namespace, folder: Path, flag: str) -> list[str]:
    """`120,200` -> ["120", "200"]; `all` -> every epoch that has a number, in order.

    `flag` is the one that names them. Raises UserError where one is not stored.
    """
    words: str = getattr(args, flag)
    found = folder.glob(f"*_net_G*{_ending(args)}.pth")
    names = [path.name for path in found if args.ema or not path.stem.endswith(AVERAGED)]
    if args.ema and not names:
        raise UserError(
            f"--ema: {folder} holds no averaged weights. Leave out --ema, or train with it"
        )
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
            f"--{flag} {words}: {f'epoch {missing[0]}' if missing else 'nothing'} is not stored in "
            f"{folder} (there are: {', '.join([*map(str, numbers), *others]) or 'none'})"
        )
    return epochs


def generators(args: Namespace, folder: Path, epochs: list[str]) -> list[str]:
    """The suffixes of the generators that are stored for all of these epochs."""
    found = []
    for suffix in ("_A", "_B", ""):
        stored = [_weights(args, folder, epoch, suffix).is_file() for epoch in epochs]
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
    root = args.dataroot or stored_dataroot(saved, folder)
    kind = saved.get("dataset_mode", "unaligned")
    if kind not in ("unaligned", "aligned"):
        flags = "--output DIR, then give --real and --fake DIR"
        if kind == "colorization":  # its generator alone makes no RGB images
            flags = "--model colorization, then give --real, --fake RESULTS --label fake_B_rgb"
        raise UserError(
            f"--name {args.name}: it was trained on {kind} data, which this program cannot pair; "
            f"translate with 02_inference.py {flags}"
        )
    options = {**saved, "dataroot": root}
    how = (args.phase, args.load_size, args.max, args.seed)
    ways = held_out_directions(options, suffixes, *how)
    return [dataclasses.replace(way, ending=_ending(args)) for way in ways]


def generator(
    args: Namespace,
    folder: Path,
    epoch: str,
    suffix: str,
    device: torch.device,
    settings: InferenceSettings | None = None,
) -> Translate:
    """A stored generator at work, for images (1, 3, H, W), the channels of gray ones equal."""
    path = _weights(args, folder, epoch, suffix)
    loaded = load_generator(path, device=device, eval=args.eval, settings=settings)
    return on_rgb(loaded.translator, loaded.input_nc)


def _weights(args: Namespace, folder: Path, epoch: str, suffix: str) -> Path:
    return weights_path(folder, epoch, f"G{suffix}{_ending(args)}")


def _ending(args: Namespace) -> str:
    return AVERAGED if args.ema else ""
