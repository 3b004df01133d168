"""The first training steps of the reference, computed again on a device."""

from typing import Any

import pytest
import torch
from golden_figures import fill, image, load

from models import create_model
from models.base_model import BaseModel
from options.train_options import TrainOptions

CASES = load("training_steps")
FIRST = next(iter(CASES))
TOLERANCES = {
    "fp32": 64 * torch.finfo(torch.float32).eps,
    "tf32": 8 * 2**-10,
    "bf16": 8 * torch.finfo(torch.bfloat16).eps,
    "fp16": 8 * torch.finfo(torch.float16).eps,
}
"""Of the losses of a first step, relative: 8 roundings of the factors of convolutions, as losses
are means of many values whose errors cancel; in float32 also those of the sums."""


def golden_model(case: dict[str, Any], device: str = "cpu") -> BaseModel:
    """Return the model of a case with its weights, in float64."""
    gpu_ids = "-1" if device == "cpu" else "0"
    where = ["--dataroot", "unused", "--gpu_ids", gpu_ids, "--seed", "0"]
    opt = TrainOptions().parse([*where, *case["argv"]])
    model = create_model(opt)
    for number, name in enumerate(case["nets"]):
        fill(getattr(model, f"net{name}"), case["weight_seed"] + number).double()
    model.setup(opt)
    assert model.device.type == device
    return model


def golden_input(case: dict[str, Any], step: int) -> dict[str, Any]:
    """Return the input of a step (from 0), in float64."""
    seed = case["input_seed"] + 2 * step
    images = [image(seed + i, case["batch"], case["nc"][i], case["size"]).double() for i in (0, 1)]
    return {"A": images[0], "B": images[1], "A_paths": ["a"], "B_paths": ["b"]}


def assert_close_steps(
    case: dict[str, Any], precision: str, *words: str, device: str = "cpu"
) -> None:
    """Train three steps in a precision and compare the losses.

    Later steps than the first follow steps of Adam, which moves a weight by the learning rate even
    if rounding decides the sign of its gradient: they are within 4 % more.
    """
    argv = [*case["argv"], "--precision", precision, *words]
    model = golden_model({**case, "argv": argv}, device)
    for net in case["nets"]:
        getattr(model, f"net{net}").float()
    for step, expected in enumerate(case["losses"][:3]):
        data = golden_input(case, step)
        model.set_input({**data, "A": data["A"].float(), "B": data["B"].float()})
        model.optimize_parameters()
        for loss, value in expected.items():
            got = getattr(model, f"loss_{loss}")
            assert got.dtype == torch.float32
            relative = TOLERANCES[precision] + (0.04 if step else 0)
            assert float(got) == pytest.approx(value, rel=relative), (step, loss)


def assert_golden_steps(case: dict[str, Any], *words: str, device: str = "cpu") -> None:
    """Train all steps and compare losses to 1e-8, then weights and running variances to 1e-7.

    Running variances depend on the order in which batches went through a network.
    """
    model = golden_model({**case, "argv": [*case["argv"], *words]}, device)
    for step, expected in enumerate(case["losses"]):
        model.set_input(golden_input(case, step))
        model.optimize_parameters()
        assert model.loss_names == list(expected)
        for loss, value in expected.items():
            got = float(getattr(model, f"loss_{loss}"))
            assert got == pytest.approx(value, rel=1e-8, abs=1e-12), (step, loss)
    for net, tensors in case["weights_after"].items():
        state = getattr(model, f"net{net}").state_dict()
        for key, (total, absolute) in tensors.items():
            if key.endswith((".weight", ".running_var")):
                assert state[key].dtype == torch.float64
                assert abs(float(state[key].sum()) - total) <= 1e-7 * absolute, (net, key)
                assert float(state[key].abs().sum()) == pytest.approx(absolute, rel=1e-7)
