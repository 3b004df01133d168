"""How long a training step takes, on a GPU by its own clock."""

import time

import torch


class StepTime:
    """Measures the seconds of a step.

    The CPU queues the work of many steps on a GPU before it waits for a result, so its clock would
    count what is left of earlier steps, too. Events between the work of two steps do not.
    """

    def __init__(self, device: torch.device | None) -> None:
        self._device = device
        self._began = 0.0
        self._events: list[torch.cuda.Event] = []
        if device is not None and device.type == "cuda":
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def begin(self) -> None:
        """Begin a step: what is queued from here on belongs to it."""
        self._began = time.perf_counter()
        if self._events:
            self._events[0].record(torch.cuda.current_stream(self._device))

    def seconds(self) -> float:
        """Return the seconds since `begin`; wait for all that the step has queued."""
        if not self._events:
            return time.perf_counter() - self._began
        begin, end = self._events
        end.record(torch.cuda.current_stream(self._device))
        end.synchronize()
        return begin.elapsed_time(end) / 1000
