"""Inference is compiled if enough work is left."""

from typing import Any

import pytest
from torch import nn

from models.inference import deferred_compilation
from models.inference.deferred_compilation import MIN_SECONDS_LEFT, DeferredCompilation


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def compiled(monkeypatch: Any) -> list[dict[str, Any]]:
    """Return a list of the calls of `compile`."""
    requests: list[dict[str, Any]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: requests.append(how))
    return requests


def calls_before(
    monkeypatch: Any, compiled: list[Any], images: int, seconds: float, batch_size: int = 1
) -> int | None:
    """Return after how many calls of so many seconds a network is compiled; None: never."""
    clock = Clock()
    monkeypatch.setattr(deferred_compilation, "time", clock)
    compilation = DeferredCompilation(nn.Identity(), "default", images)
    for number in range(0, images, batch_size):
        compilation.before_call(min(batch_size, images - number))
        if compiled:
            return number // batch_size
        clock.now += 100 * seconds if number == 0 else seconds  # the first is a warm-up
    return None


@pytest.mark.parametrize("batch_size", [1, 4])
def test_few_images_are_not_compiled(monkeypatch: Any, compiled: Any, batch_size: int) -> None:
    images = int(MIN_SECONDS_LEFT)
    assert calls_before(monkeypatch, compiled, images, 0.9 * batch_size, batch_size) is None


def test_many_images_are_compiled_once_the_speed_is_measured(
    monkeypatch: Any, compiled: Any
) -> None:
    assert calls_before(monkeypatch, compiled, 1000, 4.0) == 2
    assert compiled == [{"mode": "default", "dynamic": None}]


def test_the_speed_of_fast_calls_is_measured_longer(monkeypatch: Any, compiled: Any) -> None:
    assert calls_before(monkeypatch, compiled, 1_000_000, 0.125) == 17


def test_an_unknown_number_of_images_is_compiled_at_once(compiled: Any) -> None:
    later = DeferredCompilation(nn.Identity(), "max-autotune", None)
    later.before_call(1)
    later.before_call(1)
    assert [how["mode"] for how in compiled] == ["max-autotune"]


def test_off_never_compiles(compiled: Any) -> None:
    DeferredCompilation(nn.Identity(), "off", None).before_call(1)
    assert not compiled
