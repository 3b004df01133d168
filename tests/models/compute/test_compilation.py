"""What a user reads where torch.compile cannot compile."""

import sys
from typing import Any

import pytest
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InvalidCxxCompiler

from models.compute.compilation import compiler_errors_for_users
from util.errors import UserError

IN_A_STAGE = "backend='inductor' raised:\n{}\n\nSet TORCH_LOGS for more"
NO_COMPILER_OF_TRITON = "Failed to find C compiler. Please specify via CC environment variable"


def line_for(error: RuntimeError) -> str:
    with pytest.raises(UserError) as caught, compiler_errors_for_users("default"):
        raise error
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("platform", "remedy"),
    [("linux", "apt-get install g++"), ("darwin", "xcode-select"), ("win32", "Visual Studio")],
)
def test_a_missing_compiler_is_named_with_its_remedy(
    platform: str, remedy: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for error in (
        InvalidCxxCompiler(),
        TorchDynamoException(IN_A_STAGE.format(f"InvalidCxxCompiler: {InvalidCxxCompiler()}")),
        TorchDynamoException(IN_A_STAGE.format("RuntimeError: Compiler: cl is not found.")),
        RuntimeError(NO_COMPILER_OF_TRITON),
    ):
        line = line_for(error)
        assert remedy in line
        assert "compiler" in line.partition(";")[0].lower()
        assert line.endswith("or leave the flag out")


def test_a_missing_triton_is_installed_on_windows(monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    reason = "TritonMissing: Cannot find a working triton installation. Either the package is ..."
    line = line_for(TorchDynamoException(IN_A_STAGE.format(reason)))
    assert "working triton installation); pip install triton-windows, or leave" in line


def test_other_failures_of_the_compiler_tell_their_first_line() -> None:
    line = line_for(TorchDynamoException(IN_A_STAGE.format("CppCompileError: C++ compile error")))
    assert "raised: CppCompileError: C++ compile error); update PyTorch, or leave" in line


def test_errors_that_are_not_of_the_compiler_pass() -> None:
    with (
        pytest.raises(RuntimeError, match="shapes differ"),
        compiler_errors_for_users("default"),
    ):
        raise RuntimeError("shapes differ")
    with (
        pytest.raises(RuntimeError, match="Failed to find"),
        compiler_errors_for_users("off"),
    ):
        raise RuntimeError(NO_COMPILER_OF_TRITON)
