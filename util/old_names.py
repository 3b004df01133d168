"""The names that options had in older generations of the reference, 2017 to 2020."""

from typing import Any

RENAMED = {
    "batchSize": "batch_size",
    "cropSize": "crop_size",
    "display_single_pane_ncols": "display_ncols",
    "fineSize": "crop_size",
    "how_many": "num_test",
    "identity": "lambda_identity",
    "loadSize": "load_size",
    "nThreads": "num_threads",
    "niter": "n_epochs",
    "niter_decay": "n_epochs_decay",
    "resize_or_crop": "preprocess",
    "tf_log": "use_tensorboard",
    "which_direction": "direction",
    "which_epoch": "epoch",
    "which_model_netD": "netD",
    "which_model_netG": "netG",
    "lambda_A": "lambda_L1",  # of pix2pix alone: other models have a --lambda_A of their own
}
"""Old name -> name of the same option now."""
SWITCHES = {
    "no_lsgan": ("gan_mode", "vanilla"),
    "align_data": ("dataset_mode", "aligned"),
}
"""Old switch -> the option that replaces it, and its value."""
OLD_VALUES = {"lr_policy": {"lambda": "linear"}, "model": {"one_direction_test": "test"}}
"""Name of an option -> its values that have another name now."""


def with_current_names(options: dict[str, Any]) -> dict[str, Any]:
    """Return the stored options of a run by their current names and values.

    A name that an option has now is left alone; where a run has stored both, the new one holds.
    """
    current = dict(options)
    for old, new in RENAMED.items():
        if old in options and not (old == "lambda_A" and options.get("model") != "pix2pix"):
            current.setdefault(new, current.pop(old))
    for old, (new, value) in SWITCHES.items():
        if current.pop(old, False):
            current.setdefault(new, value)
    if "use_dropout" in current:
        current.setdefault("no_dropout", not current.pop("use_dropout"))
    for name, values in OLD_VALUES.items():
        if name in current:
            current[name] = values.get(current[name], current[name])
    return current
