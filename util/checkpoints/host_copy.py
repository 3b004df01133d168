"""Snapshots of a training in the memory of the host, which are written while it goes on."""

import copy
from collections import OrderedDict
from typing import Any

from torch import Tensor


def host_copy(content: Any) -> Any:
    """Return a deep copy of nested dicts, lists and tuples, with all tensors on the CPU.

    It shares no memory with `content`, also where that is on the CPU already: a training step
    changes weights and moments in place. Types of containers and memory layouts stay.
    """
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if type(content) in (dict, OrderedDict):
        return type(content)((key, host_copy(value)) for key, value in content.items())
    if type(content) in (list, tuple):
        return type(content)(map(host_copy, content))
    return copy.deepcopy(content)
