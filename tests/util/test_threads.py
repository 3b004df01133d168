"""Work in threads: order, bounds, errors."""

import threading

import pytest
from conftest import PATIENCE

from util.threads import Threads, in_threads


def test_values_come_in_order_and_keys_are_taken_as_needed() -> None:
    taken, second = [], threading.Event()

    def keys():
        for key in range(100):
            taken.append(key)
            yield key

    def double(key: int) -> int:
        if key == 0:
            assert second.wait(PATIENCE)  # the second call ends before the first
        elif key == 1:
            second.set()
        return 2 * key

    values = in_threads(double, keys(), ahead=lambda: 4)
    assert [next(values) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert len(taken) <= 10
    values.close()


def test_calls_are_bounded_and_finished() -> None:
    running, counts, done, lock = [], [], [], threading.Lock()
    two = threading.Barrier(2)

    def work(number: int) -> None:
        with lock:
            running.append(number)
            counts.append(len(running))
        if number < 2:
            two.wait(PATIENCE)  # the first two run at one time
        with lock:
            running.remove(number)
            done.append(number)

    with Threads(threads=2, ahead=3) as threads:
        for number in range(12):
            threads.submit(work, number)
    assert sorted(done) == list(range(12))
    assert max(counts) == 2


def test_an_error_reaches_the_caller() -> None:
    def fail() -> None:
        raise ValueError("disk")

    with pytest.raises(ValueError, match="disk"), Threads() as threads:
        threads.submit(fail)


def test_calls_that_have_not_begun_are_dropped_when_the_block_fails() -> None:
    done, dropped = [], threading.Event()

    def work(number: int) -> None:
        done.append(number)
        if number == 0:
            dropped.wait(PATIENCE)

    with pytest.raises(KeyboardInterrupt), Threads(threads=1, ahead=50) as threads:
        for number in range(50):
            threads.submit(work, number)
        threads._calls[-1].add_done_callback(lambda call: dropped.set())
        raise KeyboardInterrupt
    assert done in ([0], [])
