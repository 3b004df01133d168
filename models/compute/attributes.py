"""The attributes of a model: those that its lists declare, its image pools and its networks."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from util.image_pool import ImagePool

from .optimizer_state import weights_of

PREFIXES = {"model_names": "net", "loss_names": "loss_", "visual_names": ""}
"""Of the attribute that a name in each list stands for."""


def declared(model: object, names: str) -> "OrderedDict[str, Any]":
    """Return what a list of a model declares, by name. Raises AttributeError if some is not set."""
    found: OrderedDict[str, Any] = OrderedDict()
    for name in getattr(model, names):
        attribute = PREFIXES[names] + name
        if not hasattr(model, attribute):
            raise AttributeError(
                f"{type(model).__name__}.{names} names {name!r}, but self.{attribute} is not set"
            )
        found[name] = getattr(model, attribute)
    return found


def image_pools(attributes: Mapping[str, Any]) -> dict[str, ImagePool]:
    """Return the image pools by attribute, those in lists and dicts by attribute and key."""
    pools = {}
    for name, value in attributes.items():
        inside: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, ImagePool):
            pools[name] = value
        elif isinstance(value, list | tuple):
            inside = enumerate(value)
        elif isinstance(value, dict):
            inside = value.items()
        pools |= {f"{name}.{key}": pool for key, pool in inside if isinstance(pool, ImagePool)}
    return pools


def unlisted_networks(
    attributes: Mapping[str, Any], listed: Iterable[nn.Module], optimizers: Iterable[Optimizer]
) -> dict[str, nn.Module]:
    """Return the networks that an optimizer trains and that are not `listed`, by attribute.

    Their weights are not written as files, yet resuming needs them.
    """
    trained = {id(weight) for optimizer in optimizers for weight in weights_of(optimizer)}
    known = {id(net) for net in listed}
    found = {}
    for name, value in attributes.items():
        if isinstance(value, nn.Module) and id(value) not in known:
            if any(id(weight) in trained for weight in value.parameters()):
                found[name] = value
            known.add(id(value))
    return found
