"""Translates the fixed images of a run, which stay the same so that progress can be seen."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..images import Visual

SHOWN_PREFIXES = ("real", "fake")
"""Beginnings of the labels that are shown; a model without such labels shows all."""


def translate_samples(
    model: Any, batches: Sequence[Mapping[str, Any]]
) -> list["OrderedDict[str, Visual]"]:
    """Return label -> images (N, C, H, W) in [-1, 1] for each batch, and restore the model.

    Dropout is off and batch norm uses its running statistics; random streams are untouched. Raises
    UserError where the networks do not take the size of an image.
    """
    rows = []
    with _evaluation_mode(model):
        for batch in batches:
            model.check_sizes(batch)
            model.set_input(dict(batch))
            model.test()
            visuals = model.get_current_visuals()
            shown = [name for name in visuals if name.startswith(SHOWN_PREFIXES)] or list(visuals)
            rows.append(OrderedDict((name, visuals[name]) for name in shown))
    return rows


@contextmanager
def _evaluation_mode(model: Any) -> Iterator[None]:
    """Set evaluation mode; restore all attributes, modes and random streams on leaving."""
    attributes = dict(vars(model))
    networks = [value for value in attributes.values() if isinstance(value, nn.Module)]
    modes = {module: module.training for network in networks for module in network.modules()}
    device = getattr(model, "device", torch.device("cpu"))
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        vars(model).clear()
        vars(model).update(attributes)
