"""Reading the golden figures, and making weights and images as they were made for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> Any:
    """The content of `golden/<name>.json`."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def fill(net: nn.Module, seed: int) -> nn.Module:
    """Give a network the golden weights of a seed."""
    rng = np.random.RandomState(seed)
    state = net.state_dict()
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_var"):
            drawn = rng.uniform(0.5, 1.5, value.shape)
        elif value.dim() == 1 and key.endswith(".weight"):
            drawn = 1 + rng.normal(0, 0.05, value.shape)
        else:
            drawn = rng.normal(0, 0.05, value.shape)
        state[key] = torch.from_numpy(np.asarray(drawn, dtype=np.float32))
    net.load_state_dict(state)
    return net


def image(seed: int, n: int, channels: int, size: int) -> Tensor:
    """A golden image batch, (n, channels, size, size) float32 in [-1, 1]."""
    drawn = np.random.RandomState(seed).uniform(-1, 1, (n, channels, size, size))
    return torch.from_numpy(drawn.astype(np.float32))


def assert_like(output: Tensor, case: dict[str, Any], relative: float = 1e-4) -> None:
    """Compare shape, sums and the 2x2 corner of each channel with a golden case."""
    scale = case["abs_sum"]
    if "out_shape" in case:
        assert list(output.shape) == case["out_shape"]
    output = output.detach()
    assert abs(float(output.double().sum()) - case["sum"]) <= relative * scale
    output = output.detach()
    assert abs(float(output.double().abs().sum()) - scale) <= relative * scale
    corner = output[..., :2, :2].flatten().tolist()
    assert np.allclose(corner, case["corner"], rtol=0, atol=10 * relative)
