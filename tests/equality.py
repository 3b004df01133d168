"""Equality of states: tensors, numbers and containers of them."""

from typing import Any

import torch


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Assert that two states are equal in every tensor and number; `where` names their place."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for place, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{where}[{place}]")
    else:
        assert a == b, where
