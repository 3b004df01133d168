"""--compile: the same images, or one line where there is no compiler."""

from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_generator

from models.inference.translator import InferenceSettings, Translator
from util.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_give_the_same_images(tmp_path: Path) -> None:
    torch._dynamo.reset()  # or sizes compiled in other tests would decide which are dynamic
    net, x = tiny_generator(), torch.rand(1, 3, 32, 32) * 2 - 1
    expected = Translator(net, CPU, InferenceSettings())(x)
    assert torch.allclose(
        Translator(net, CPU, InferenceSettings(compile="default"))(x), expected, atol=1e-3
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("no C++ compiler found\nand much more", r"no C\+\+ compiler found"),
        (
            "backend='x' raised:\nC++ compile error\nmore",
            r"backend='x' raised: C\+\+ compile error",
        ),
    ],
)
def test_no_compiler_is_one_line(said: str, reason: str, monkeypatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def fail(images: torch.Tensor) -> torch.Tensor:
        raise TorchDynamoException(said)

    monkeypatch.setattr(torch, "compile", lambda *_args, **_how: fail)
    translate = Translator(tiny_generator(), CPU, InferenceSettings(compile="default"))
    with pytest.raises(UserError, match=rf"^--compile: .*\({reason}\)"):
        translate(torch.zeros(1, 3, 8, 8))
