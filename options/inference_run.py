"""Complete the options of inference from the run that they name.

The first of these that has a value decides: a flag on the command line, the weight file, whose keys
and shapes determine the architecture, the options stored with the run. A flag that contradicts the
weight file is an error.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

import models
from models.parts.architecture import read_generator
from util.checkpoints.find_weights import GENERATORS, find_weights, none_found
from util.checkpoints.run_folder import read_training_options, run_folder, stored_dataroot
from util.checkpoints.weights import epoch_label, read_weights, weights_path
from util.errors import UsageError, UserError
from util.files import list_folder
from util.options import Options

from .validation import validate

log = logging.getLogger(__name__)

ARCHITECTURE = (
    *("netG", "ngf", "norm", "no_dropout", "input_nc", "output_nc"),
    *("upsample", "skip_connections"),
)


def adopt_from_run(opt: Options) -> Options:
    """Return the options of inference, completed from the run that they name, and checked.

    Raises UserError where the run, its weights or its data folder are missing, UsageError where a
    flag does not fit the weights.
    """
    folder = run_folder(opt)
    if not os.path.isdir(folder):  # noqa: PTH112 - False where the name is too long
        flag = f"--name {opt.name}" if "name" in opt.given else "give --name"
        there = list_folder(folder.parent)
        remedy = "" if folder.parent.is_dir() else "; --checkpoints_dir says where runs are"
        raise UserError(f"{flag}: there is no run {folder}; {there}{remedy}")
    saved = read_training_options(folder)
    if opt.model == "test":
        _refuse_colours_alone(opt, saved)
        _refuse_undivided_pairs(opt, saved)
        opt = _choose_generator(opt, folder, saved)
    opt = _adopt_saved(opt, saved)
    opt = _adopt_architecture(opt, folder)
    if opt.dataroot is None:
        opt = opt.replace(dataroot=str(_data_folder(opt, folder, saved)))
    validate(opt)
    return opt


def _refuse_colours_alone(opt: Options, saved: dict[str, Any]) -> None:
    if saved.get("model") == "colorization":
        raise UsageError(
            f"--model test --name {opt.name}: its generator makes the colours of an image without "
            "its lightness; use --model colorization"
        )


def _refuse_undivided_pairs(opt: Options, saved: dict[str, Any]) -> None:
    root, of_pairs = str(saved.get("dataroot", "")), saved.get("dataset_mode") == "aligned"
    if not (root and of_pairs and opt.dataroot and opt.dataset_mode == "single"):
        return
    if Path(opt.dataroot).resolve() == Path(root).resolve():
        raise UsageError(
            f"--model test takes a folder of single images, and {root} holds the pairs of the "
            f"training: use --model {saved.get('model', 'pix2pix')}"
        )


def _choose_generator(opt: Options, folder: Path, saved: dict[str, Any]) -> Options:
    """Set `model_suffix` and `epoch` of --model test to those of a weight file that exists."""
    epoch, suffix = epoch_label(opt), opt.model_suffix
    if _exists(folder, epoch, suffix):
        if "direction" in opt.given and suffix in {"_A", "_B"} - {_suffix_by_direction(opt, saved)}:
            log.info(
                "--direction %s has no effect: --model_suffix %s chooses the generator",
                *(opt.direction, suffix),
            )
        return opt
    if not suffix:
        suffix = _suffix_by_direction(opt, saved)
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
    reason = none_found(folder, epoch, [*missing], GENERATORS)
    raise UserError(f"{_typed_flags(opt)}: {reason}{_hint(opt, folder)}")


def _suffix_by_direction(opt: Options, saved: dict[str, Any]) -> str:
    same_direction = opt.direction == saved.get("direction", "AtoB")
    return "_A" if "direction" not in opt.given or same_direction else "_B"


def _typed_flags(opt: Options) -> str:
    """Return the typed flags that decide which weight file is read, else --name."""
    flags = ("model_suffix", "epoch", "load_iter")
    typed = [f"--{name} {getattr(opt, name)}" for name in flags if name in opt.given]
    return " ".join(typed) or f"--name {opt.name}"


def _hint(opt: Options, folder: Path) -> str:
    """Return a hint at the suffix that has a file: `_A` for A or G_A, none for `_A` of pix2pix."""
    if not opt.model_suffix:
        return ""
    epoch, meant = epoch_label(opt), f"_{opt.model_suffix.removeprefix('G').lstrip('_')}"
    numbered = re.fullmatch(r"(.*\D)(\d+)", meant)
    exists = _exists(folder, epoch, meant) or (
        numbered and _exists(folder, numbered[2], numbered[1])
    )
    if exists and meant != opt.model_suffix:
        return f"; did you mean --model_suffix {meant}?"
    return "; leave out --model_suffix" if _exists(folder, epoch, "") else ""


def _adopt_saved(opt: Options, saved: dict[str, Any]) -> Options:
    names = [*ARCHITECTURE]
    if opt.preprocess != "keep":
        names.append("crop_size")
    if opt.model != "test":
        names.append("direction")
    names += ["value_range", "background"]
    adopted = {name: saved[name] for name in names if name in saved and name not in opt.given}
    if "load_size" not in opt.given and "crop_size" in adopted:
        adopted["load_size"] = adopted["crop_size"]
    if "load_size" in opt.given and "crop_size" not in opt.given:
        adopted["crop_size"] = min(adopted.get("crop_size", opt.crop_size), opt.load_size)
    return opt.replace(**adopted)


def _adopt_architecture(opt: Options, folder: Path) -> Options:
    generators = models.find_model_using_name(opt.model).generators
    names = [f"G{opt.model_suffix}"] if opt.model == "test" else generators[:1]
    for path in find_weights(folder, epoch_label(opt), names).values():
        flags = read_generator(read_weights(path), path).flags()
        opt = adopt_flags(opt, flags, path)
    return opt


def adopt_flags(opt: Options, flags: dict[str, Any], path: Path) -> Options:
    """Return `opt` with `flags`, the architecture read off the weight file `path`.

    Raises UsageError for a flag on the command line that does not fit the file.
    """
    for name, stored in flags.items():
        value = getattr(opt, name)
        if name in opt.given and not _fits(name, value, stored, opt):
            typed = f"--{name}" if isinstance(value, bool) else f"--{name} {value}"
            if name == "no_dropout" and not value:
                typed = "--use_dropout"
            remedy = "" if isinstance(value, bool) else f", or give --{name} {stored}"
            raise UsageError(f"{typed} does not fit {path}; leave the flag out{remedy}")
        if not _fits(name, value, stored, opt):
            opt = opt.replace(**{name: stored})
    return opt


def _fits(name: str, value: Any, stored: Any, opt: Options) -> bool:
    """Return whether a flag and the value read off the weights build the same network."""
    if name == "norm" and value == "syncbatch":
        value = "batch"
    if name == "netD" and value == "n_layers" and opt.n_layers_D == 3:
        value = "basic"
    if name == "n_layers_D" and opt.netD == "basic":
        return True
    return value == stored


def _data_folder(opt: Options, folder: Path, saved: dict[str, Any]) -> Path:
    root = Path(stored_dataroot(saved, folder))
    if opt.model != "test" or opt.dataset_mode != "single":
        log.info("no --dataroot given: using that of the training, %s", root)
        return root
    if saved.get("dataset_mode", "unaligned") != "unaligned":
        raise UserError(
            f"give --dataroot: the run was trained on {saved['dataset_mode']} data, "
            "and --model test takes a folder of single images"
        )
    a_to_b = saved.get("direction", "AtoB") == "AtoB"
    first_generator = not opt.model_suffix.startswith("_B")
    side = root / f"{opt.phase}{'A' if first_generator == a_to_b else 'B'}"
    log.info("no --dataroot given: translating %s with G%s", side, opt.model_suffix)
    return side


def _exists(folder: Path, epoch: str, suffix: str) -> bool:
    return bool(find_weights(folder, epoch, [f"G{suffix}"]))
