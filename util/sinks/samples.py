"""Translates the fixed images of a run, which stay the same so that progress can be seen."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..checkpoints.weights import AVERAGED
from ..images import Visual
from ..random_streams import own_random_streams

SHOWN_PREFIXES = ("real", "fake")
"""Beginnings of the labels that are shown; a model without such labels shows all."""

SEED = 0
"""Of dropout, so that images of two epochs differ by the weights alone."""


def translate_samples(
    model: Any, batches: Sequence[Mapping[str, Any]]
) -> list["OrderedDict[str, Visual]"]:
    """Return label -> images (N, C, H, W) in [-1, 1] for each batch, and restore the model.

    Networks compute as in 02_inference.py without --eval: dropout is on, with the same choices at
    each call, and batch norm uses the statistics of the batch; with --ema the averaged weights
    translate. Running statistics and random streams are untouched. Raises UserError where the
    networks do not take the size of an image.
    """
    rows = []
    with _unchanged(model):
        for name, average in model.averages.networks.items():
            setattr(model, f"net{name.removesuffix(AVERAGED)}", average)
        for batch in batches:
            model.check_sizes(batch)
            model.set_input(dict(batch))
            model.test()
            visuals = model.get_current_visuals()
            shown = [name for name in visuals if name.startswith(SHOWN_PREFIXES)] or list(visuals)
            rows.append(OrderedDict((name, visuals[name]) for name in shown))
    return rows


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Restore attributes, modes, buffers such as running statistics, and random streams."""
    attributes = dict(vars(model))
    networks = [value for value in attributes.values() if isinstance(value, nn.Module)]
    modes = {module: module.training for network in networks for module in network.modules()}
    buffers = [(b, b.clone()) for network in networks for b in network.buffers()]
    try:
        with own_random_streams(SEED), _without_synchronisation(list(modes)):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        vars(model).clear()
        vars(model).update(attributes)


@contextmanager
def _without_synchronisation(modules: list[nn.Module]) -> Iterator[None]:
    """Let synchronised batch norm use the statistics of this process alone.

    It would wait for the other processes, and these do not show images.
    """
    layers = [m for m in modules if isinstance(m, nn.SyncBatchNorm) and m.training]
    statistics = [(layer.running_mean, layer.running_var) for layer in layers]
    for layer in layers:  # in evaluation mode without running statistics it uses the batch's
        layer.training = False
        layer.running_mean = layer.running_var = None
    try:
        yield
    finally:
        for layer, (mean, variance) in zip(layers, statistics, strict=True):
            layer.training = True
            layer.running_mean, layer.running_var = mean, variance
