"""Complete the options of a training that resumes, or that fine-tunes from existing weights."""

import logging
import re
from pathlib import Path
from typing import Any

import models
from models.networks import (
    DISCRIMINATORS,
    GAN_MODES,
    GENERATORS,
    INIT_TYPES,
    LR_POLICIES,
    NORMS,
    UPSAMPLINGS,
)
from models.parts.architecture import read_discriminator, read_generator
from util.checkpoints.find_weights import find_start_weights
from util.checkpoints.run_folder import (
    check_run_folder,
    read_training_options,
    run_folder,
    stored_dataroot,
)
from util.checkpoints.training_state import read_state, state_path
from util.checkpoints.weights import read_weights
from util.devices import AUTO
from util.errors import UsageError, UserError, new_run_from
from util.files import list_folder
from util.options import Options

from .inference_run import adopt_flags
from .validation import validate

log = logging.getLogger(__name__)

BREAKING = {
    *("model", "netG", "netD", "ngf", "ndf", "n_layers_D", "norm", "no_dropout"),
    *("upsample", "skip_connections", "spectral_norm"),
    *("input_nc", "output_nc", "direction", "dataset_mode", "preprocess", "load_size", "crop_size"),
}
"""Options that the weights, the optimizers and the image pools depend on."""
CHOICES = {
    **{"netG": GENERATORS, "netD": DISCRIMINATORS, "norm": NORMS, "init_type": INIT_TYPES},
    **{"upsample": UPSAMPLINGS, "gan_mode": GAN_MODES, "lr_policy": LR_POLICIES},
}
"""What stored options are chosen from; a model of a user may have a default beside these."""
OF_FRESH_WEIGHTS = {"init_type", "init_gain"}
"""Options that only initialise networks, so that a run which is resumed has no use for them."""
OF_COMMAND = {
    *("name", "checkpoints_dir", "phase", "suffix", "isTrain", "gpu_ids", "verbose"),
    *("continue_train", "start_from", "epoch", "load_iter", "epoch_count", "num_threads"),
    *("cache", "cache_gb", "cache_dir", "resume"),
}
"""Options of the command rather than the run: never taken over from the stored ones."""


def complete_training(opt: Options) -> Options:
    """Return `opt`, completed from the run that it resumes or whose weights it starts from.

    The options of a new run are returned as parsed. Raises UsageError where a flag on the command
    line does not fit the stored run or weights, UserError where the run does not exist or where the
    folder of that name is not one that this training may write to.
    """
    if opt.continue_train and opt.start_from:
        raise UsageError(
            "--continue_train resumes the run from its own state: leave out --start_from"
        )
    if opt.continue_train:
        if _resumes_from_state(opt):
            opt = opt.replace(resume="state")
        opt = _adopt_run(opt)
    elif not opt.start_from and (typed := {"epoch", "load_iter"} & opt.given):
        log.warning("--%s is for --continue_train and --start_from: this is a new run", min(typed))
    if opt.resume:
        opt = _adopt_architecture(opt)
        validate(opt)
    check_run_folder(opt)
    return opt


def _resumes_from_state(opt: Options) -> bool:
    """Return whether the run has a training state and the command line names no weights.

    Only this function looks at the disk; all other code reads `opt.resume`.
    """
    names_weights = {"epoch", "load_iter"} & opt.given
    return not names_weights and state_path(run_folder(opt)).is_file()


def _adopt_run(opt: Options) -> Options:
    folder = run_folder(opt)
    if not folder.is_dir():
        runs = list_folder(folder.parent)
        raise UserError(f"--continue_train: there is no run {folder}; {runs}")
    saved = read_training_options(folder)
    _refuse_other_recipe(opt, saved)
    if "display_server" in saved:  # stored by an older version
        saved["display_server"] = without_password(saved["display_server"])
    if opt.resume == "state":
        opt = _with_precision_of_run(opt, saved)
        _refuse_breaking(opt, saved)
    _log_changes(opt, saved)
    # flags of a data set or model that the command line does not name are in `saved` alone
    adopted = saved.keys() - opt.given - OF_COMMAND
    _refuse_damaged(opt, saved, adopted, folder)
    opt = opt.replace(**{name: saved[name] for name in adopted})
    if "dataroot" not in opt.given:
        opt = opt.replace(dataroot=_data_folder(opt, folder))
    if opt.resume == "state" and "epoch_count" not in opt.given:
        epoch = read_state(state_path(folder), mmap=True)["progress"]["epoch"]
        last = opt.n_epochs + opt.n_epochs_decay
        opt = opt.replace(epoch_count=min(epoch, last))
    return opt


def _refuse_damaged(opt: Options, saved: dict[str, Any], adopted: set[str], folder: Path) -> None:
    """Raise UserError where a stored value cannot be one, as an editor or a crash leaves it."""
    has_types = (folder / "train_opt.json").is_file()  # in train_opt.txt a text may look like 5
    for name in sorted(adopted & vars(opt).keys()):
        kind = ""
        if isinstance(vars(opt)[name], int | float):  # bool too
            kind = "" if isinstance(saved[name], int | float | None) else "number"
        elif isinstance(vars(opt)[name], str) and has_types:
            kind = "" if isinstance(saved[name], str | None) else "text"
        if not kind and saved[name] not in (vars(opt)[name], *CHOICES.get(name, [saved[name]])):
            kind = f"choice of {', '.join(CHOICES[name])}"
        if kind:
            raise UserError(
                f"{folder} stores --{name} {saved[name]!r}, which is no {kind}: correct it in its "
                f"train_opt.json or train_opt.txt, or give --{name}"
            )


def without_password(address: str) -> str:
    """Return `http://host` for `http://user:password@host`."""
    return re.sub(r"^(\w+://)?[^/]*@", r"\1", str(address))


def _with_precision_of_run(opt: Options, saved: dict[str, Any]) -> Options:
    """Let `--precision auto` stand for what the run computed with, on whichever machine it began.

    Choosing anew would change the course of the run.
    """
    if opt.precision != AUTO or "precision" not in saved:
        return opt
    log.info("--precision auto: %s, as the run began", saved["precision"])
    return opt.replace(precision=saved["precision"])


def _data_folder(opt: Options, folder: Path) -> str:
    """Return the stored data folder. Raises UserError where it is missing or was not stored."""
    root = Path(stored_dataroot(vars(opt), folder))
    if opt.dataset_mode != "shards" and not root.exists():
        when = "any more" if root.is_absolute() else f"below the current folder, {Path.cwd()}"
        raise UserError(
            f"give --dataroot: the data folder of the run, {root}, does not exist {when}"
        )
    return str(opt.dataroot)


def _refuse_breaking(opt: Options, saved: dict[str, Any]) -> None:
    refused = sorted(_changed(opt, saved) & BREAKING)
    if refused:
        was = ", ".join(f"--{name} {getattr(opt, name)} (was {saved[name]})" for name in refused)
        other = f"start a new run from these weights: {new_run_from(opt.name)}"
        if "model" in refused:  # the networks of another model have other names
            other = "begin a new run: --name NEW without --continue_train"
        raise UsageError(f"--continue_train cannot change {was}: leave it out, or {other}")


def _refuse_other_recipe(opt: Options, saved: dict[str, Any]) -> None:
    was = saved.get("recipe", "")
    if "recipe" in opt.given and opt.recipe != was:
        began = f"began with --recipe {was}" if was else "began without"
        raise UsageError(
            f"--continue_train --recipe {opt.recipe}: the run {began} and keeps its flags; "
            "give those to change by name, or start a new run from these weights: "
            f"{new_run_from(opt.name)}"
        )


def _log_changes(opt: Options, saved: dict[str, Any]) -> None:
    for name in sorted(_changed(opt, saved) - BREAKING - OF_COMMAND):
        if name in OF_FRESH_WEIGHTS and opt.resume == "state":
            log.info("--%s has no effect: the weights of the run are loaded", name)
            continue
        values = getattr(opt, name), saved[name]
        now, was = ("(empty)" if value == "" else value for value in values)
        log.info("changed since the run began: --%s %s, was %s", name, now, was)


def _changed(opt: Options, saved: dict[str, Any]) -> set[str]:
    changed = {name for name in opt.given if name in saved and saved[name] != getattr(opt, name)}
    if "dataroot" in changed and _same_folder(opt.dataroot, str(saved["dataroot"])):
        changed.remove("dataroot")
    return changed


def _same_folder(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _adopt_architecture(opt: Options) -> Options:
    """Return `opt` with the architecture read off the weight files that training starts from."""
    if opt.resume == "state":
        return opt  # stored with the run, and refused above where they differ
    model = models.find_model_using_name(opt.model)
    if not model.generators:
        return opt  # the networks of a plug-in may have any architecture
    names = [*model.generators, *model.discriminators]
    paths = find_start_weights(opt, names, run_folder(opt))
    generator = next((name for name in model.generators if name in paths), None)
    if generator is not None:
        path = paths[generator]
        flags = read_generator(read_weights(path), path).flags()
        if generator != model.generators[0]:  # it translates B to A
            flags |= {"input_nc": flags["output_nc"], "output_nc": flags["input_nc"]}
        opt = adopt_flags(opt, flags, path)
    discriminator = next((name for name in model.discriminators if name in paths), None)
    if discriminator is not None:
        path = paths[discriminator]
        opt = adopt_flags(opt, read_discriminator(read_weights(path), path).flags(), path)
    return opt
