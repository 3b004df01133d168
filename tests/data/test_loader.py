"""Batches: independent of the number of workers, each image once, errors without a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data import create_dataset
from util.errors import UserError
from util.options import Options

Make = Callable[..., Options]


def epochs(opt: Options, count: int = 2) -> list[tuple[str, str, float]]:
    """Return the paths and sums of the items of some epochs."""
    loader = create_dataset(opt)
    return [
        (a, b, float(batch["A"][i].sum()))
        for _ in range(count)
        for batch in loader
        for i, (a, b) in enumerate(zip(batch["A_paths"], batch["B_paths"], strict=True))
    ]


def test_the_number_of_workers_changes_nothing(train_opt: Make, monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    alone = epochs(train_opt("--num_threads", "0"))
    assert epochs(train_opt("--num_threads", "2")) == alone
    assert epochs(train_opt("--num_threads", "0", "--batch_size", "2")) == alone


def test_each_image_comes_once_per_epoch_in_another_order_each_time(train_opt: Make) -> None:
    seen = [a for a, _, _ in epochs(train_opt("--num_threads", "0"), 3)]
    orders = [seen[:5], seen[5:10], seen[10:]]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_serial_batches_come_in_order(train_opt: Make) -> None:
    seen = [a for a, _, _ in epochs(train_opt("--num_threads", "0", "--serial_batches"), 1)]
    assert seen == sorted(seen)


def test_an_epoch_that_starts_later_is_the_rest_of_the_whole_and_reads_nothing_else(
    train_opt: Make,
) -> None:
    loader = create_dataset(train_opt("--num_threads", "0"))
    whole = [batch["A_paths"][0] for batch in loader.batches(3)]
    asked: list[int] = []
    read = type(loader.dataset).__getitem__
    loader.dataset.__class__ = type(
        "Spy", (type(loader.dataset),), {"__getitem__": lambda s, i: asked.append(i) or read(s, i)}
    )
    assert [batch["A_paths"][0] for batch in loader.batches(3, start=2)] == whole[2:]
    assert len(asked) == 3


def test_max_dataset_size_limits_the_epoch(train_opt: Make) -> None:
    loader = create_dataset(train_opt("--num_threads", "0", "--max_dataset_size", "2"))
    assert len(loader) == 2
    assert len(list(loader)) == 2


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_broken_image_is_one_line_also_from_a_worker(
    workers: str, train_opt: Make, pictures: Path
) -> None:
    (pictures / "trainA" / "trainA_3.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"trainA_3\.png") as error:
        list(create_dataset(train_opt("--num_threads", workers, "--max_bad_images", "0")))
    assert "Traceback" not in str(error.value)


def test_images_of_different_sizes_do_not_stack(train_opt: Make) -> None:
    opt = train_opt("--num_threads", "0", "--preprocess", "none", "--batch_size", "5")
    with pytest.raises(UserError, match=r"--batch_size 5: images of 40x48 and 44x48"):
        list(create_dataset(opt))


def test_batches_hold_tensors_in_range_and_lists_of_paths(train_opt: Make) -> None:
    batch = next(iter(create_dataset(train_opt("--num_threads", "0", "--batch_size", "3"))))
    assert batch["A"].shape == (3, 3, 32, 32)
    assert batch["A"].dtype == torch.float32
    assert batch["A"].min() >= -1
    assert batch["A"].max() <= 1
    assert len(batch["B_paths"]) == 3
