"""The losses and weights of the first training steps are the reference's, in float64."""

from typing import Any

import pytest
import torch
from golden_figures import fill, image, load

from models import create_model
from models.base_model import BaseModel
from options.train_options import TrainOptions

CASES = load("training_steps")


def golden_model(case: dict[str, Any]) -> BaseModel:
    """Return the model of a case with its weights, in float64."""
    where = ["--dataroot", "unused", "--gpu_ids", "-1", "--seed", "0"]
    opt = TrainOptions().parse([*where, *case["argv"]])
    model = create_model(opt)
    for number, name in enumerate(case["nets"]):
        fill(getattr(model, f"net{name}"), case["weight_seed"] + number).double()
    model.setup(opt)
    return model


def golden_input(case: dict[str, Any], step: int) -> dict[str, Any]:
    """Return the input of a step (from 0), in float64."""
    seed = case["input_seed"] + 2 * step
    images = [image(seed + i, case["batch"], case["nc"][i], case["size"]).double() for i in (0, 1)]
    return {"A": images[0], "B": images[1], "A_paths": ["a"], "B_paths": ["b"]}


def assert_close_in_half_precision(case: dict[str, Any], precision: str) -> None:
    """Train three steps and compare the losses.

    In the first step they are within 8 epsilons, as means of many values whose rounding errors
    cancel. Later ones follow steps of Adam, which moves a weight by the learning rate even if
    rounding decides the sign of its gradient: within 4 % more.
    """
    eps = torch.finfo({"bf16": torch.bfloat16, "fp16": torch.float16}[precision]).eps
    model = golden_model({**case, "argv": [*case["argv"], "--precision", precision]})
    for net in case["nets"]:
        getattr(model, f"net{net}").float()
    for step, expected in enumerate(case["losses"][:3]):
        data = golden_input(case, step)
        model.set_input({**data, "A": data["A"].float(), "B": data["B"].float()})
        model.optimize_parameters()
        for loss, value in expected.items():
            got = getattr(model, f"loss_{loss}")
            assert got.dtype == torch.float32
            relative = 8 * eps + (0.04 if step else 0)
            assert float(got) == pytest.approx(value, rel=relative), (step, loss)


def assert_golden_steps(case: dict[str, Any], *words: str) -> None:
    """Train all steps and compare losses to 1e-8, then weights and running variances to 1e-7.

    Running variances depend on the order in which batches went through a network.
    """
    model = golden_model({**case, "argv": [*case["argv"], *words]})
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


@pytest.mark.parametrize("words", [(), ("--separate_passes",), ("--grad_checkpoint",)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_losses_and_weights_of_every_step(name: str, words: tuple[str, ...]) -> None:
    assert_golden_steps(CASES[name], *words)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", CASES)
def test_losses_in_half_precision_are_close(name: str, precision: str) -> None:
    assert_close_in_half_precision(CASES[name], precision)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
@pytest.mark.parametrize("name", [next(iter(CASES))])
def test_compiled_steps(name: str) -> None:
    assert_golden_steps(CASES[name], "--compile")
    assert_close_in_half_precision(
        {**CASES[name], "argv": [*CASES[name]["argv"], "--compile"]}, "bf16"
    )
