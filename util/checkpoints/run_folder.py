"""The folder of a run: `<checkpoints_dir>/<name>`, and the options stored in it."""

import ast
import json
import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import sharing
from ..errors import UserError
from ..files import remove_half_written, replace_file, write_text_atomically
from ..old_names import with_current_names
from ..options import Options

log = logging.getLogger(__name__)

OPTION_FILES = ("train_opt.json", "train_opt.txt", "opt.txt")
"""The files that mark a training run; opt.txt is that of the reference before 2019."""
HEAD = "----------------- Options ---------------"
END = "----------------- End -------------------"


def run_folder(opt: Namespace) -> Path:
    """Return `<checkpoints_dir>/<name>`."""
    return Path(opt.checkpoints_dir) / opt.name


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a training run, which holds its options."""
    return any((folder / name).is_file() for name in OPTION_FILES)


def stored_dataroot(saved: Mapping[str, Any], folder: Path) -> str:
    """Return the data folder in the options of a run. Raises UserError where they have none."""
    if not saved.get("dataroot"):
        raise UserError(f"give --dataroot: {folder} does not tell what the run was trained on")
    return str(saved["dataroot"])


def check_run_folder(opt: Options) -> None:
    """Raise UserError where a training of that name would write into or move foreign files.

    These are a folder that is no run, a run that contains other runs, and a folder inside a run.
    """
    folder = run_folder(opt)
    outer_runs = [
        parent for parent in _parents_below(folder, opt.checkpoints_dir) if is_run(parent)
    ]
    if outer_runs:
        raise UserError(
            f"--name {opt.name}: {outer_runs[0]} is a run; a run inside it would be moved with it. "
            "Choose another --name"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--name {opt.name}: {folder} is a file; choose another --name")
    if opt.resume == "state" or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not opt.continue_train and not is_run(folder):  # --continue_train says that it is one
        raise UserError(
            f"--name {opt.name}: {folder} is not a run (it holds no {OPTION_FILES[1]}), so nothing "
            "is written there; choose another --name, or move that folder away"
        )
    _refuse_inner_runs(folder, opt.name)


def claim_run_folder(opt: Options, defaults: Mapping[str, Any], resumes: bool) -> None:
    """Make the folder of a training run and store its options; called after the first step.

    A run that `resumes` stays in its folder. Otherwise an older run of that name is moved aside to
    `<name>.1`, `<name>.2`, ... Raises UserError as `check_run_folder` does, and where the older run
    cannot be moved. Of several processes rank 0 does it.
    """
    sharing.on_main(lambda: _claim(opt, defaults, resumes))


def _claim(opt: Options, defaults: Mapping[str, Any], resumes: bool) -> None:
    check_run_folder(opt)
    folder = run_folder(opt)
    if resumes:
        remove_half_written(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        _refuse_inner_runs(folder, opt.name)  # also of a run that resumes at an earlier epoch
        _move_aside(folder)
    store_options(folder, opt, defaults)


def _refuse_inner_runs(folder: Path, name: str) -> None:
    """Raise UserError where moving a run aside would move others with it."""
    inner_runs = [path.parent for path in folder.glob("*/**/train_opt.txt")]
    if inner_runs:
        raise UserError(
            f"--name {name}: {folder} holds another run, {inner_runs[0]}, which would be moved "
            "with it; choose another --name"
        )


def _move_aside(folder: Path) -> None:
    aside = next(path for n in range(1, 10**6) if not (path := Path(f"{folder}.{n}")).exists())
    try:
        replace_file(folder, aside)
    except OSError as error:
        raise UserError(
            f"cannot move the older run {folder} aside ({error.strerror}): "
            "close what uses it, or choose another --name"
        ) from error
    log.info("the older run of that name is now %s", aside)


def _parents_below(folder: Path, checkpoints_dir: str) -> list[Path]:
    """Return the folders between a run and the folder of all runs, for names as `group/run`."""
    top = Path(checkpoints_dir)
    return [parent for parent in folder.parents if parent != top and parent.is_relative_to(top)]


def store_options(folder: Path, opt: Options, defaults: Mapping[str, Any]) -> None:
    """Write `<phase>_opt.txt` in the format of the reference, and `<phase>_opt.json` for programs.

    They hold the options that are flags of the program, which `defaults` names, and `isTrain`;
    what is derived from flags is not stored. `train_opt` belongs to training alone, whatever the
    phase: a run resumes with it.
    """
    kind = "train" if opt.isTrain else "test" if opt.phase == "train" else opt.phase
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--checkpoints_dir: cannot make {folder}: {error.strerror}") from error
    write_text_atomically(folder / f"{kind}_opt.txt", options_text(opt, defaults))
    values = json.dumps(_flags(opt, defaults), indent=1, sort_keys=True, default=str)
    write_text_atomically(folder / f"{kind}_opt.json", values + "\n")


def store_options_if_possible(folder: Path, opt: Options, defaults: Mapping[str, Any]) -> None:
    """Store the options, or log why not: to translate, a run may be in a read-only folder."""
    try:
        store_options(folder, opt, defaults)
    except UserError as error:
        log.info("the options of this translation are not stored (%s)", error)


def options_text(opt: Options, defaults: Mapping[str, Any]) -> str:
    """Return the flags, sorted, one a line, with the default where a value differs from it."""
    values = {**_flags(opt, defaults), "gpu_ids": ",".join(map(str, opt.gpu_ids)) or "-1"}
    lines = [HEAD]
    for name, value in sorted(values.items()):
        differs = name in defaults and str(value) != str(defaults[name])
        comment = f"\t[default: {defaults[name]}]" if differs else ""
        lines.append(f"{name:>25}: {value!s:<30}{comment}")
    return "\n".join([*lines, END, ""])


def _flags(opt: Options, defaults: Mapping[str, Any]) -> dict[str, Any]:
    names = {*defaults, "isTrain"}  # isTrain: as the reference stores it
    return {name: value for name, value in opt.values().items() if name in names}


def read_training_options(folder: Path) -> dict[str, Any]:
    """Return the options that a run was trained with, or {} where none are stored.

    They are read from `train_opt.json`, or from the text of a run of the reference, whose options
    get their names of today: `train_opt.txt`, or `opt.txt` unless testing wrote it last. Raises
    UserError where the file is damaged.
    """
    stored = folder / "train_opt.json"
    if stored.is_file():
        try:
            options = json.loads(stored.read_text(encoding="utf-8"))
            if not isinstance(options, dict):
                raise ValueError(f"it holds a {type(options).__name__}")
        except (ValueError, RecursionError) as error:
            raise UserError(f"{stored} is damaged ({error}): delete it or correct it") from error
        return options
    for name in OPTION_FILES[1:]:
        if (folder / name).is_file():
            options = _parse_options_text((folder / name).read_text("utf-8", "replace"))
            of_training = name != "opt.txt" or options.get("isTrain", False)
            return with_current_names(options) if of_training else {}
    return {}


def _parse_options_text(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for line in text.splitlines():
        name, colon, value = line.split("\t[default:")[0].partition(": ")
        if colon and not line.startswith("---"):
            options[name.strip()] = _value(value.strip())
    return options


def _value(text: str) -> Any:
    if text == "inf":
        return float("inf")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
