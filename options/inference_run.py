"""What a run knows about itself, filled in where the command line does not say it.

Order: the flag given by hand, then the weight file, whose keys and shapes tell the architecture,
then the options stored with the run. A flag that contradicts the file is an error.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

import models
from models.parts.architecture import read_generator
from util.checkpoints.find_weights import GENERATORS, find_weights, none_found
from util.checkpoints.run_folder import read_training_options, run_folder
from util.checkpoints.weights import epoch_label, read_weights, weights_path
from util.errors import UsageError, UserError
from util.files import list_folder
from util.frozen_options import Options

from .validation import validate

log = logging.getLogger(__name__)

ARCHITECTURE = ("netG", "ngf", "norm", "no_dropout", "input_nc", "output_nc")


def adopt_from_run(opt: Options) -> Options:
    """The options of inference, completed from the run that they name."""
    folder = run_folder(opt)
    if not os.path.isdir(folder):  # noqa: PTH112 - False where the name is too long
        raise UserError(
            f"--name {opt.name}: there is no run {folder}; {list_folder(folder.parent)}"
        )
    saved = read_training_options(folder)
    if opt.model == "test":
        opt = _choose_generator(opt, folder, saved)
    opt = _adopt_saved(opt, saved)
    opt = _adopt_architecture(opt, folder)
    if opt.dataroot is None:
        opt = opt.replace(dataroot=str(_data_folder(opt, folder, saved)))
    validate(opt)
    return opt


def _choose_generator(opt: Options, folder: Path, saved: dict[str, Any]) -> Options:
    """Settle `model_suffix` and `epoch` of --model test on a file that exists."""
    epoch, suffix = epoch_label(opt), opt.model_suffix
    if _exists(folder, epoch, suffix):
        return opt
    if not suffix:
        same_way = "direction" not in opt.given or opt.direction == saved.get("direction", "AtoB")
        suffix = "_A" if same_way else "_B"
        if _exists(folder, epoch, suffix):
            log.info("no --model_suffix given: translating with G%s", suffix)
            return opt.replace(model_suffix=suffix)
    numbered = re.fullmatch(r"(.*\D)(\d+)", opt.model_suffix)
    if numbered and _exists(folder, numbered[2], numbered[1]):
        log.info(
            "there is no %s: taking %s",
            weights_path(folder, epoch, f"G{suffix}").name,
            weights_path(folder, numbered[2], f"G{numbered[1]}").name,
        )
        return opt.replace(model_suffix=numbered[1], epoch=numbered[2], load_iter=0)
    missing = dict.fromkeys([f"G{opt.model_suffix}", f"G{suffix}"])
    raise UserError(
        f"{_asked(opt)}: {none_found(folder, epoch, [*missing], GENERATORS)}{_hint(opt, folder)}"
    )


def _asked(opt: Options) -> str:
    """The flags that decide which weight file is read, as far as they were typed."""
    flags = ("model_suffix", "epoch", "load_iter")
    typed = [f"--{name} {getattr(opt, name)}" for name in flags if name in opt.given]
    return " ".join(typed) or f"--name {opt.name}"


def _hint(opt: Options, folder: Path) -> str:
    """What was perhaps meant by --model_suffix A, --model_suffix G_A or the like."""
    meant = f"_{opt.model_suffix.removeprefix('G').lstrip('_')}"
    if opt.model_suffix and meant != opt.model_suffix and _exists(folder, epoch_label(opt), meant):
        return f"; did you mean --model_suffix {meant}?"
    return ""


def _adopt_saved(opt: Options, saved: dict[str, Any]) -> Options:
    names = [*ARCHITECTURE]
    if opt.preprocess != "keep":
        names.append("crop_size")
    if opt.model != "test":
        names.append("direction")
    fresh = {name: saved[name] for name in names if name in saved and name not in opt.given}
    if "load_size" not in opt.given and "crop_size" in fresh:
        fresh["load_size"] = fresh["crop_size"]
    if "load_size" in opt.given and "crop_size" not in opt.given:
        fresh["crop_size"] = min(fresh.get("crop_size", opt.crop_size), opt.load_size)
    return opt.replace(**fresh)


def _adopt_architecture(opt: Options, folder: Path) -> Options:
    generators = models.find_model_using_name(opt.model).generators
    names = [f"G{opt.model_suffix}"] if opt.model == "test" else generators[:1]
    for path in find_weights(folder, epoch_label(opt), names).values():
        flags = read_generator(read_weights(path), path).flags()
        opt = adopt_flags(opt, flags, path)
    return opt


def adopt_flags(opt: Options, flags: dict[str, Any], path: Path) -> Options:
    """`opt` with the values that a weight file tells.

    Raises UsageError for a flag given by hand that does not fit it.
    """
    for name, fitting in flags.items():
        value = getattr(opt, name)
        if name in opt.given and not _same(name, value, fitting, opt):
            typed = f"--{name}" if isinstance(value, bool) else f"--{name} {value}"
            remedy = "" if isinstance(value, bool) else f", or give --{name} {fitting}"
            raise UsageError(f"{typed} does not fit {path}; leave the flag out{remedy}")
        if not _same(name, value, fitting, opt):
            opt = opt.replace(**{name: fitting})
    return opt


def _same(name: str, value: Any, fitting: Any, opt: Options) -> bool:
    if name == "norm" and value == "syncbatch":
        value = "batch"
    if name == "netD" and value == "n_layers" and opt.n_layers_D == 3:
        value = "basic"
    if name == "n_layers_D" and opt.netD == "basic":
        return True
    return value == fitting


def _data_folder(opt: Options, folder: Path, saved: dict[str, Any]) -> Path:
    if not saved.get("dataroot"):
        raise UserError(f"give --dataroot: {folder} does not tell what the run was trained on")
    root = Path(str(saved["dataroot"]))
    if opt.model != "test":
        log.info("no --dataroot given: taking that of the training, %s", root)
        return root
    if saved.get("dataset_mode", "unaligned") != "unaligned":
        raise UserError(
            f"give --dataroot: the run was trained on {saved['dataset_mode']} data, "
            "and --model test takes a folder of single pictures"
        )
    forward = saved.get("direction", "AtoB") == "AtoB"
    first = not opt.model_suffix.startswith("_B")
    side = root / f"{opt.phase}{'A' if first == forward else 'B'}"
    log.info("no --dataroot given: translating %s with G%s", side, opt.model_suffix)
    return side


def _exists(folder: Path, epoch: str, suffix: str) -> bool:
    return bool(find_weights(folder, epoch, [f"G{suffix}"]))
