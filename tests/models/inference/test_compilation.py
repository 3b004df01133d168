"""Inference is compiled where enough is left to do."""

from typing import Any

import pytest
from torch import nn

from models.inference import translator
from models.inference.translator import MIN_SECONDS_LEFT, DeferredCompilation


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def compiled(monkeypatch: Any) -> list[dict[str, Any]]:
    """How networks were compiled."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: asked.append(how))
    return asked


def calls_before(
    monkeypatch: Any, compiled: list[Any], images: int, seconds: float, together: int = 1
) -> int | None:
    """After how many calls of so many seconds it is compiled; None: never."""
    clock = Clock()
    monkeypatch.setattr(translator, "time", clock)
    compilation_ = DeferredCompilation(nn.Identity(), "default", images)
    for number in range(0, images, together):
        compilation_.before_call(min(together, images - number))
        if compiled:
            return number // together
        clock.now += 100 * seconds if number == 0 else seconds  # the first warms up
    return None


@pytest.mark.parametrize("together", [1, 4])
def test_few_images_are_not_worth_it(monkeypatch: Any, compiled: Any, together: int) -> None:
    images = int(MIN_SECONDS_LEFT)
    assert calls_before(monkeypatch, compiled, images, 0.9 * together, together) is None


def test_many_images_are_as_soon_as_the_speed_is_known(monkeypatch: Any, compiled: Any) -> None:
    assert calls_before(monkeypatch, compiled, 1000, 4.0) == 2
    assert compiled == [{"mode": "default", "dynamic": None}]


def test_fast_ones_are_watched_a_while(monkeypatch: Any, compiled: Any) -> None:
    assert calls_before(monkeypatch, compiled, 1_000_000, 0.125) == 17


def test_an_unknown_number_is_compiled_at_once(compiled: Any) -> None:
    later = DeferredCompilation(nn.Identity(), "max-autotune", None)
    later.before_call(1)
    later.before_call(1)
    assert [how["mode"] for how in compiled] == ["max-autotune"]


def test_off_is_never_compiled(compiled: Any) -> None:
    DeferredCompilation(nn.Identity(), "off", None).before_call(1)
    assert not compiled
