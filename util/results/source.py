"""What results come from: the run, its weights and the direction; other results stay untouched."""

import itertools
import json
import logging
import os
from argparse import Namespace
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

from ..checkpoints.find_weights import find_weights
from ..checkpoints.run_folder import read_training_options, run_folder
from ..checkpoints.weights import AVERAGED, epoch_label
from ..files import make_folder, write_text_atomically
from .results import results_folder

log = logging.getLogger(__name__)

SOURCE = "source.json"
"""The file in a folder of results that tells what they come from."""
AND_BACK = " and back"


@dataclass(frozen=True)
class Source:
    """The generators that made some results."""

    run: str
    """The folder of the run, relative to --results_dir, so that both can be moved together."""
    model: str
    direction: str
    """`A to B`, `B to A`, either followed by `and back`, or empty where nothing tells it."""
    weights: tuple[str, ...]
    """The names of the weight files, sorted."""


def source_of(opt: Namespace) -> Source:
    """Return what the results of an inference come from.

    Raises UserError where the options of the run are damaged.
    """
    folder, epoch = run_folder(opt), epoch_label(opt)
    averaged = AVERAGED if opt.ema else ""
    if opt.model == "test":
        files = [*find_weights(folder, epoch, [f"G{opt.model_suffix}{averaged}"]).values()]
    else:
        files = sorted(folder.glob(f"{escape(epoch)}_net_G*{averaged}.pth"))
        files = [file for file in files if opt.ema or not file.stem.endswith(AVERAGED)]
    return Source(
        _relative(folder, Path(opt.results_dir)),
        opt.model,
        _direction(opt, len(files)),
        tuple(file.name for file in files),
    )


def own_folder(opt: Namespace) -> Path:
    """Make and return the folder of these results: `results_folder(opt)` where that is free.

    Where it holds results of another source, `_2`, `_3`, ... is appended, and that is logged. One
    without `source.json`, as older versions wrote it, is free. Raises UserError where a folder
    cannot be made.
    """
    source, first = source_of(opt), results_folder(opt)
    for number in itertools.count(1):
        folder = first if number == 1 else first.with_name(f"{first.name}_{number}")
        owner = _owner(folder)
        if owner is None or owner == source:
            break
        run = Path(os.path.normpath(Path(opt.results_dir) / owner.run))
        model = [] if owner.model == source.model else [f"--model {owner.model}"]
        what = ", ".join([*filter(None, [owner.direction]), *model, *owner.weights])
        log.info("%s is left as it is: it holds results of %s (%s)", folder, run, what)
    make_folder(folder)
    write_text_atomically(folder / SOURCE, json.dumps(asdict(source), indent=1) + "\n")
    return folder


def _owner(folder: Path) -> Source | None:
    """Return what the results in a folder come from, None where there are none or it is unknown."""
    try:
        stored = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        owner = Source(**{**stored, "weights": tuple(stored["weights"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    others = (file for file in folder.rglob("*") if file.is_file() and file.name != SOURCE)
    return owner if any(others) else None


def _direction(opt: Namespace, generators: int) -> str:
    """Return what is translated into what, as the run and the options say."""
    if opt.model == "colorization":
        return ""
    if opt.model == "test":
        trained = read_training_options(run_folder(opt))
        if trained.get("model") == "colorization":
            return ""
        first_generator = not opt.model_suffix.startswith("_B")
        a_to_b = (trained.get("direction", "AtoB") == "AtoB") == first_generator
    else:
        a_to_b = opt.direction == "AtoB"
    both = opt.model != "test" and generators > 1
    return ("A to B" if a_to_b else "B to A") + (AND_BACK if both else "")


def _relative(folder: Path, results: Path) -> str:
    try:
        return Path(os.path.relpath(folder.resolve(), results.resolve())).as_posix()
    except ValueError:  # another drive
        return folder.resolve().as_posix()
