"""The fixed pictures of a run: the same few inputs, translated again and again."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

SHOWN = ("real", "fake")
"""How the labels begin that are worth showing; all are where there is none such."""


def translate_samples(
    model: Any, batches: Sequence[Mapping[str, Any]]
) -> list["OrderedDict[str, Tensor]"]:
    """Label -> images (N, C, H, W) for each batch, leaving the model as it was.

    Dropout is off and batch norm uses its statistics; random streams are untouched.
    """
    rows = []
    with _set_aside(model):
        for batch in batches:
            model.check_sizes(batch)
            model.set_input(dict(batch))
            model.test()
            visuals = model.get_current_visuals()
            shown = [name for name in visuals if name.startswith(SHOWN)] or list(visuals)
            rows.append(OrderedDict((name, visuals[name]) for name in shown))
    return rows


@contextmanager
def _set_aside(model: Any) -> Iterator[None]:
    """Evaluation mode within; after it all attributes, modes and random streams are as before."""
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
