"""The one search for weight files: by the folder of a run, by its name, or by the file itself."""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import list_folder
from .weights import epoch_label, weights_path

GENERATORS = "*_net_G*.pth"


def find_weights(folder: Path, epoch: str, names: Sequence[str]) -> dict[str, Path]:
    """Network name -> `<folder>/<epoch>_net_<name>.pth`, for those of `names` that there are."""
    paths = {name: weights_path(folder, epoch, name) for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def find_all_weights(folder: Path, epoch: str, names: Sequence[str]) -> dict[str, Path]:
    """As `find_weights`. Raises UserError, saying what there is, where one is missing."""
    found = find_weights(folder, epoch, names)
    for name in names:
        if name not in found:
            raise UserError(
                f"{none_found(folder, epoch, [name])}. Choose with --name, --epoch or --load_iter"
            )
    return found


def none_found(folder: Path, epoch: str, names: Sequence[str], among: str = "*_net_*.pth") -> str:
    """What was looked for, and what the folder holds `among`: the phrase of an error message."""
    name = names[0] if len(names) == 1 else f"{{{','.join(names)}}}"
    return f"there is no {epoch}_net_{name}.pth; {list_folder(folder, among)}"


def find_start_weights(opt: Namespace, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Network name -> weight file, for those of `names` that there are.

    --continue_train looks in `folder`, the run's own; --start_from takes a folder, the name of a
    run, or one file `<epoch>_net_<name>.pth`. Raises UserError where there is none at all.
    """
    epoch, place = epoch_label(opt), folder
    if not opt.continue_train:
        place = _place_of(opt.start_from, Path(opt.checkpoints_dir))
        if place.is_file():
            return {_network_of(place, names): place}
    found = find_weights(place, epoch, names)
    if not found:
        flag = "--continue_train" if opt.continue_train else f"--start_from {opt.start_from}"
        raise UserError(
            f"{flag}: {none_found(place, epoch, names)}. Choose with --epoch or --load_iter"
        )
    return found


def find_generator(
    run: str | Path, checkpoints_dir: str | Path, epoch: str, model_suffix: str | None
) -> Path:
    """The weight file that is meant: `run` is a file, a run's name, or a run's folder.

    Raises UserError where there is none, saying what there is.
    """
    place = _place_of(run, Path(checkpoints_dir))
    if place.is_file():
        return place
    if not place.is_dir():
        raise UserError(f"there is no run {place}; {list_folder(place.parent)}")
    names = ["G", "G_A"] if model_suffix is None else [f"G{model_suffix}"]
    found = find_weights(place, epoch, names)
    if not found:
        raise UserError(none_found(place, epoch, names, GENERATORS))
    return next(iter(found.values()))


def _place_of(run: str | Path, checkpoints: Path) -> Path:
    """A weight file or a folder: of the run of that name where there is none of that path."""
    path, of_run = Path(run), checkpoints / run
    return path if path.is_file() or (path.is_dir() and not of_run.is_dir()) else of_run


def _network_of(path: Path, names: Sequence[str]) -> str:
    match = re.search(r"_net_(\w+)\.pth$", path.name)
    name = match[1] if match else ""
    if name not in names and name == "G":
        name = "G_A"
    if name not in names:
        raise UserError(
            f"--start_from {path}: the name must tell which network it is, "
            f"<epoch>_net_<X>.pth with X one of {', '.join(names)}"
        )
    return name
