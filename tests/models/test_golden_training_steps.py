"""The losses and weights of the first training steps are the reference's, in float64."""

import pytest
from golden_steps import CASES, FIRST, assert_close_steps, assert_golden_steps


@pytest.mark.parametrize("words", [(), ("--separate_passes",), ("--grad_checkpoint",)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_losses_and_weights_of_every_step(name: str, words: tuple[str, ...]) -> None:
    assert_golden_steps(CASES[name], *words)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", CASES)
def test_losses_in_half_precision_are_close(name: str, precision: str) -> None:
    assert_close_steps(CASES[name], precision)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_steps() -> None:
    assert_golden_steps(CASES[FIRST], "--compile")
    assert_close_steps(CASES[FIRST], "bf16", "--compile")
