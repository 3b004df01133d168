"""Batches that are packed are restored bit for bit."""

from typing import Any

import numpy as np
import pytest
import torch

from data.packing import Packed, pack, unpack
from util.images import to_float_tensor

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)


def test_every_level_is_sent_as_a_byte_and_restored_bit_for_bit() -> None:
    sent = {"A": to_float_tensor(LEVELS), "A_paths": ["x"]}
    packed = pack(sent)
    assert isinstance(packed["A"], Packed)
    assert packed["A"].images.nbytes == 256
    assert torch.equal(unpack(packed)["A"], sent["A"])
    assert unpack(packed)["A_paths"] == ["x"]


@pytest.mark.parametrize(
    "value",
    [
        to_float_tensor(LEVELS) * 0.7,
        to_float_tensor(LEVELS) + 1e-7,
        torch.full((1, 1, 2, 2), float("nan")),
        torch.full((1, 1, 2, 2), -0.0),
        torch.full((1, 1, 2, 2), 1e9),
        to_float_tensor(LEVELS).double(),
        torch.arange(3),
    ],
)
def test_other_tensors_are_sent_unchanged(value: Any) -> None:
    assert pack({"x": value})["x"] is value
