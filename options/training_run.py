"""Options of a training that goes on, or that starts from the weights of another."""

import logging
from pathlib import Path
from typing import Any

import models
from models.parts.architecture import read_discriminator, read_generator
from util.checkpoints.find_weights import find_start_weights
from util.checkpoints.run_folder import check_run_folder, read_training_options, run_folder
from util.checkpoints.training_state import read_state, state_path
from util.checkpoints.weights import read_weights
from util.errors import UsageError, UserError
from util.files import list_folder
from util.frozen_options import Options

from .inference_run import adopt_flags
from .validation import validate

log = logging.getLogger(__name__)

BREAKING = {
    *("model", "netG", "netD", "ngf", "ndf", "n_layers_D", "norm", "no_dropout"),
    *("input_nc", "output_nc", "direction", "dataset_mode", "preprocess", "load_size", "crop_size"),
}
"""What the weights, the optimizers and the image pools depend on."""
OWN = {
    *("name", "checkpoints_dir", "phase", "suffix", "isTrain", "gpu_ids", "verbose"),
    *("continue_train", "start_from", "epoch", "load_iter", "epoch_count", "num_threads"),
    *("cache", "cache_gb", "cache_dir", "resume"),
}
"""What belongs to the command, not to the run."""


def complete_training(opt: Options) -> Options:
    """`opt` as parsed for a new run; completed from the run that goes on, or that it starts from.

    Raises UsageError where a flag given by hand does not fit what is there, UserError where the
    folder of that name is not the training's to write to.
    """
    if opt.continue_train and opt.start_from:
        raise UsageError(
            "--continue_train goes on with the run's own state: leave out --start_from"
        )
    if opt.continue_train:
        if _goes_on_from_state(opt):
            opt = opt.replace(resume="state")
        opt = _adopt_run(opt)
    if opt.resume:
        opt = _adopt_architecture(opt)
        validate(opt)
    check_run_folder(opt)
    return opt


def _goes_on_from_state(opt: Options) -> bool:
    """Whether --continue_train finds a state, and no weights are named by hand.

    The one place that asks the disk; whoever else wants to know reads `opt.resume`.
    """
    by_hand = {"epoch", "load_iter"} & opt.given
    return not by_hand and state_path(run_folder(opt)).is_file()


def _adopt_run(opt: Options) -> Options:
    folder = run_folder(opt)
    if not folder.is_dir():
        runs = list_folder(folder.parent)
        raise UserError(f"--continue_train: there is no run {folder}; {runs}")
    saved = read_training_options(folder)
    if opt.resume == "state":
        _refuse_breaking(opt, saved)
    _say_changes(opt, saved)
    known = vars(opt).keys() - opt.given - OWN
    opt = opt.replace(**{name: saved[name] for name in known if name in saved})
    if "dataroot" not in opt.given:
        opt = opt.replace(dataroot=_data_folder(opt, folder))
    if opt.resume == "state" and "epoch_count" not in opt.given:
        epoch = read_state(state_path(folder), mmap=True)["progress"]["epoch"]
        last = opt.n_epochs + opt.n_epochs_decay
        opt = opt.replace(epoch_count=min(epoch, last))
    return opt


def _data_folder(opt: Options, folder: Path) -> str:
    """The data folder that the run stored. Raises UserError where it is gone, or was not stored."""
    if not opt.dataroot:
        raise UserError(f"give --dataroot: {folder} does not tell what the run was trained on")
    if not Path(str(opt.dataroot)).exists():
        raise UserError(
            f"give --dataroot: the data folder of the run, {opt.dataroot}, does not exist any more"
        )
    return str(opt.dataroot)


def _refuse_breaking(opt: Options, saved: dict[str, Any]) -> None:
    broken = sorted(name for name in _changed(opt, saved) if name in BREAKING)
    if broken:
        was = ", ".join(f"--{name} {getattr(opt, name)} (was {saved[name]})" for name in broken)
        raise UsageError(
            f"--continue_train cannot change {was}: leave it out, or begin a new run with the "
            f"old weights: --name NEW --start_from {opt.name}"
        )


def _say_changes(opt: Options, saved: dict[str, Any]) -> None:
    for name in sorted(_changed(opt, saved) - BREAKING - OWN):
        now, was = getattr(opt, name), saved[name]
        log.info("changed since the run began: --%s %s, was %s", name, now, was)


def _changed(opt: Options, saved: dict[str, Any]) -> set[str]:
    changed = {name for name in opt.given if name in saved and saved[name] != getattr(opt, name)}
    if "dataroot" in changed and _same_folder(opt.dataroot, str(saved["dataroot"])):
        changed.remove("dataroot")
    return changed


def _same_folder(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _adopt_architecture(opt: Options) -> Options:
    """Architecture flags from the weight files that there are."""
    if opt.resume == "state":
        return opt  # stored with the run, and refused above where they differ
    model = models.find_model_using_name(opt.model)
    if not model.generators:
        return opt  # a plug-in may have any architecture
    names = [*model.generators, *model.discriminators]
    found = find_start_weights(opt, names, run_folder(opt))
    generator = next((name for name in model.generators if name in found), None)
    if generator is not None:
        path = found[generator]
        flags = read_generator(read_weights(path), path).flags()
        if generator != model.generators[0]:  # of the way back
            flags |= {"input_nc": flags["output_nc"], "output_nc": flags["input_nc"]}
        opt = adopt_flags(opt, flags, path)
    discriminator = next((name for name in model.discriminators if name in found), None)
    if discriminator is not None:
        path = found[discriminator]
        opt = adopt_flags(opt, read_discriminator(read_weights(path), path).flags(), path)
    return opt
