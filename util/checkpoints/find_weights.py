"""The search for weight files: by the folder of a run, by its name, or by the file itself."""

import re
from argparse import Namespace
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from ..errors import UserError
from ..files import list_folder
from .weights import epoch_label, weights_path

GENERATORS = "*_net_G*.pth"


def find_weights(folder: Path, epoch: str, names: Sequence[str]) -> dict[str, Path]:
    """Return name -> `<folder>/<epoch>_net_<name>.pth`, for those of `names` whose file exists."""
    paths = {name: weights_path(folder, epoch, name) for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def find_all_weights(folder: Path, epoch: str, names: Sequence[str]) -> dict[str, Path]:
    """Return what `find_weights` returns. Raises UserError where a file is missing."""
    paths = find_weights(folder, epoch, names)
    for name in names:
        if name not in paths:
            raise UserError(none_found(folder, epoch, [name]) + _flags_that_choose(folder, [name]))
    return paths


def none_found(folder: Path, epoch: str, names: Sequence[str], among: str = "*_net_*.pth") -> str:
    """Return what is missing and what the folder holds of `among`, as part of an error message."""
    name = names[0] if len(names) == 1 else f"{{{','.join(names)}}}"
    reason = " (a training with --eval_freq writes it)" if epoch == "best" else ""
    return f"there is no {epoch}_net_{name}.pth{reason}; {list_folder(folder, among)}"


def _flags_that_choose(folder: Path, names: Sequence[str]) -> str:
    """Return a hint at the flags of the epoch, "" where the folder has no epoch of these names."""
    others = any(any(folder.glob(f"*_net_{escape(name)}.pth")) for name in names)
    return ". Choose with --epoch or --load_iter" if others else ""


def find_start_weights(opt: Namespace, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return network name -> weight file, for those of `names` whose file exists.

    --continue_train reads from `folder`, the run's own; --start_from takes a folder, the name of a
    run, or one file `<epoch>_net_<name>.pth`. Raises UserError where no file exists.
    """
    epoch, source = epoch_label(opt), folder
    if not opt.continue_train:
        source = _resolve_run(opt.start_from, Path(opt.checkpoints_dir))
        if source.is_file():
            return {_network_of(source, names): source}
    paths = find_weights(source, epoch, names)
    alone = weights_path(source, epoch, "G")  # of a published model, or of a run of another model
    if not opt.continue_train and "G_A" in names and "G_A" not in paths and alone.is_file():
        paths["G_A"] = alone
    if not paths:
        flag = "--continue_train" if opt.continue_train else f"--start_from {opt.start_from}"
        if not source.is_dir():
            raise UserError(f"{flag}: there is no run {source}; {list_folder(source.parent)}")
        hint = _flags_that_choose(source, names)
        raise UserError(f"{flag}: {none_found(source, epoch, names)}{hint}")
    return paths


def find_generator(
    run: str | Path, checkpoints_dir: str | Path, epoch: str, model_suffix: str | None
) -> Path:
    """Return the weight file of a generator; `run` is the file, the name of a run, or its folder.

    Raises UserError, which says what exists, where there is no such file.
    """
    source = _resolve_run(run, Path(checkpoints_dir))
    if source.is_file():
        return source
    if not source.is_dir():
        raise UserError(f"there is no run {source}; {list_folder(source.parent)}")
    names = ["G", "G_A"] if model_suffix is None else [f"G{model_suffix}"]
    paths = find_weights(source, epoch, names)
    if not paths:
        raise UserError(none_found(source, epoch, names, GENERATORS))
    return next(iter(paths.values()))


def _resolve_run(run: str | Path, checkpoints: Path) -> Path:
    """Return the weight file or folder that `run` names; a run of that name precedes a folder."""
    path, run_of_name = Path(run), checkpoints / run
    return path if path.is_file() or (path.is_dir() and not run_of_name.is_dir()) else run_of_name


def _network_of(path: Path, names: Sequence[str]) -> str:
    """Return which of `names` a weight file is for, by its name. Raises UserError for others."""
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
