"""Finding the weights that a training starts from."""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import list_folder
from .weights import weights_path


def find_start_weights(opt: Namespace, names: Sequence[str]) -> dict[str, Path]:
    """Network name -> weight file, for those of `names` that there are.

    --continue_train looks in the run's own folder; --start_from takes a folder, the name of a run,
    or one file `<epoch>_net_<name>.pth`. Raises UserError where there is none at all.
    """
    epoch = f"iter_{opt.load_iter}" if opt.load_iter > 0 else opt.epoch
    place = Path(opt.checkpoints_dir) / opt.name
    if not opt.continue_train:
        place = Path(opt.start_from)
        if place.is_file():
            return {_network_of(place, names): place}
        if not place.is_dir():
            place = Path(opt.checkpoints_dir) / opt.start_from
    paths = {name: weights_path(place, epoch, name) for name in names}
    found = {name: path for name, path in paths.items() if path.is_file()}
    if not found:
        flag = "--continue_train" if opt.continue_train else f"--start_from {opt.start_from}"
        raise UserError(
            f"{flag}: no {epoch}_net_{{{','.join(names)}}}.pth; "
            f"{list_folder(place, '*_net_*.pth')}. Choose with --epoch or --load_iter"
        )
    return found


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
