"""scripts/measure_state.py: how long a save takes."""

import pytest
from conftest import TINY
from script_modules import script


def test_a_save_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("measure_state").main([*TINY, "--pool_size", "2"]) == 0
    assert "a save takes" in capsys.readouterr().out
