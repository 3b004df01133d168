"""Every network has the keys, shapes and outputs of the reference."""

from typing import Any

import pytest
from golden_figures import assert_like, fill, image, load

from models import networks

FORWARD = load("forward")


def build(case: dict[str, Any]) -> Any:
    if "ndf" in case:
        input_nc = case.get("input_nc", 3)
        return networks.define_D(
            input_nc, case["ndf"], case["net"], case["n_layers_D"], case["norm"]
        )
    input_nc, output_nc = case.get("input_nc", 3), case.get("output_nc", 3)
    return networks.define_G(
        input_nc, output_nc, case["ngf"], case["net"], case["norm"], case["dropout"]
    )


def name(case: dict[str, Any]) -> str:
    return "-".join(
        str(value) for key, value in case.items() if isinstance(value, str | bool | int)
    )


@pytest.mark.parametrize("case", load("state_dicts"), ids=name)
def test_state_dict_has_the_reference_keys_and_shapes_in_order(case: dict[str, Any]) -> None:
    own = {key: list(value.shape) for key, value in build(case).state_dict().items()}
    assert list(own.items()) == list(case["keys"].items())


@pytest.mark.parametrize("case", FORWARD["cases"], ids=name)
def test_output_is_the_reference_output(case: dict[str, Any]) -> None:
    kind = "D" if "ndf" in case else "G"
    net = fill(build(case), FORWARD[f"weight_seed_{kind}"]).eval()
    output = net(image(FORWARD[f"input_seed_{kind}"], 1, 3, case["size"]))
    assert_like(output, case)
