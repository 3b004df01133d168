"""Images of equal size form batches, a bounded number waits, damaged ones are left out."""

import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.base_dataset import BaseDataset
from data.inference.folder import ImagePrefetcher
from util.errors import UserError


class Sizes(BaseDataset):
    """Items of given sizes; one of size 0 is damaged."""

    draws_from_own_stream = True

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.read = sizes, []
        self.A_paths = [f"{i}.png" for i in range(len(sizes))]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.read.append(index)
        size = self.sizes[index]
        if size == 0:
            raise UserError(f"{index}.png is damaged")
        return {"A": torch.zeros(3, size, size), "A_paths": self.A_paths[index]}


class Folder:
    """Results in which some images exist."""

    def __init__(self, *existing: str) -> None:
        self.existing, self.left_out = existing, []

    def has(self, path: str) -> bool:
        return path in self.existing

    def add_existing(self, path: str, place: int) -> None:
        self.left_out.append(path)


def options(together: int = 1, given: tuple[str, ...] = (), **more: Any) -> Namespace:
    base = {"together": together, "given": given, "num_test": 50, "skip_existing": False}
    base["readers"] = 2
    return Namespace(**{**base, **more})


def test_images_of_equal_size_form_batches() -> None:
    images = ImagePrefetcher(Sizes([8, 4, 8, 4, 8, 8, 4]), options(together=2))
    batches = list(images.batches(Folder()))
    sizes = [tuple(batch["A"].shape) for batch in batches]
    assert sizes == [(2, 3, 8, 8), (2, 3, 4, 4), (2, 3, 8, 8), (1, 3, 4, 4)]
    assert batches[0]["A_paths"] == ["0.png", "2.png"]


def test_the_number_of_waiting_images_is_bounded() -> None:
    dataset = Sizes([i + 1 for i in range(60)])
    batches = ImagePrefetcher(dataset, options(together=2)).batches(Folder())
    next(batches)
    assert len(dataset.read) <= 8 + 2 + 4 + 1
    assert sum(len(batch["A_paths"]) for batch in batches) == 59


def test_few_huge_images_are_prefetched(monkeypatch) -> None:
    monkeypatch.setattr("data.inference.folder.PREFETCH_BYTES", 2 * 3 * 8 * 8 * 4)  # two of them
    dataset = Sizes([8] * 20)
    batches = ImagePrefetcher(dataset, options(together=1)).batches(Folder())
    for number in range(1, 10):
        next(batches)
        assert number <= len(dataset.read) <= number + 3
    assert sum(1 for _ in batches) == 11


def test_a_damaged_image_is_left_out_and_reported(caplog) -> None:
    images = ImagePrefetcher(Sizes([4, 0, 4]), options())
    assert [batch["A_paths"] for batch in images.batches(Folder())] == [["0.png"], ["2.png"]]
    assert images.report() == 1
    assert "1 of 3 images were skipped" in caplog.text
    assert caplog.text.count("1.png is damaged") == 2


def test_images_with_results_are_not_read() -> None:
    dataset, folder = Sizes([4, 4, 4]), Folder("0.png", "2.png")
    images = ImagePrefetcher(dataset, options(skip_existing=True))
    assert [batch["A_paths"] for batch in images.batches(folder)] == [["1.png"]]
    assert dataset.read == [1]
    assert folder.left_out == ["0.png", "2.png"]
    assert images.report() == 0


def test_num_test_counts_when_it_is_given() -> None:
    assert ImagePrefetcher(Sizes([4] * 60), options()).how_many == "60 of 60 images"
    limited = ImagePrefetcher(Sizes([4] * 60), options(given=("num_test",)))
    assert limited.how_many == "50 of 60 images"
    assert len(list(limited.batches(Folder()))) == 50


def test_a_mistake_of_ours_is_not_swallowed(tmp_path: Path) -> None:
    class Broken(Sizes):
        draws_from_own_stream = True

        def __getitem__(self, index: int) -> dict[str, Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ImagePrefetcher(Broken([1]), options()).batches(Folder()))


def test_images_left_to_translate_are_those_without_results() -> None:
    images = ImagePrefetcher(Sizes([4, 4, 4]), options(skip_existing=True))
    assert images.left(Folder("0.png", "2.png")) == 1
    assert ImagePrefetcher(Sizes([4, 4, 4]), options()).left(Folder("0.png")) == 3
    limited = options(skip_existing=True, given=("num_test",), num_test=2)
    assert ImagePrefetcher(Sizes([4, 4, 4]), limited).left(Folder("0.png")) == 1


@pytest.mark.parametrize("readers", [0, 1, 3])
def test_num_threads_decides_how_many_threads_read(readers: int) -> None:
    threads, barrier = set(), threading.Barrier(max(1, readers))

    class Watched(Sizes):
        draws_from_own_stream = True

        def __getitem__(self, index: int) -> dict[str, Any]:
            if index:  # the first is read alone, while the size is unknown
                barrier.wait(60)
                threads.add(threading.current_thread())
            return super().__getitem__(index)

    images = ImagePrefetcher(Watched([4] * (1 + 4 * max(1, readers))), options(readers=readers))
    assert len(list(images.batches(Folder()))) == len(images.dataset)
    assert len(threads) == max(1, readers)
    assert (threading.main_thread() in threads) == (readers == 0)
