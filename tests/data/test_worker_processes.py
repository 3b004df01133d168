"""What goes to and from worker processes: it pickles under spawn, is small, and fails in words."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data import create_dataset
from data.colorization_dataset import ColorizationDataset
from data.loader import CustomDatasetDataLoader, _collate_packed, _Loaded
from data.packing import Packed
from util.errors import DataError, UserError
from util.memory import SHARED_MEMORY_IS_FULL
from util.options import Options

Make = Callable[..., Options]
DATA_SETS = ("unaligned", "aligned", "single", "colorization", "template")
FLAGS = {
    "aligned": ["--model", "pix2pix", "--netG", "resnet_6blocks", "--norm", "instance"],
    "colorization": ["--model", "colorization", "--netG", "resnet_6blocks", "--norm", "instance"],
    "template": ["--model", "template", "--input_nc", "3"],
}


@pytest.fixture
def data(pictures: Path) -> Path:
    """The folder, with pairs side by side in train/."""
    rng = np.random.default_rng(0)
    (pictures / "train").mkdir()
    for number in range(3):
        pair = rng.integers(0, 256, (48, 96, 3), dtype=np.uint8)
        Image.fromarray(pair).save(pictures / "train" / f"{number}.png")
    return pictures


@pytest.fixture
def spawn() -> Iterator[None]:
    """Start processes anew, as everywhere but on Linux, and make locks for such."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def loader(make: Make, mode: str, *words: str) -> CustomDatasetDataLoader:
    # --dataset_mode single has no training of its own: only its data set is taken
    flags = [*FLAGS.get(mode, []), *words]
    opt = make(*flags) if mode == "single" else make("--dataset_mode", mode, *flags)
    if mode == "single":
        opt = opt.replace(dataset_mode="single", dataroot=f"{opt.dataroot}/trainA")
    return create_dataset(opt)


def batches(loader: CustomDatasetDataLoader, epochs: int = 1) -> list[dict[str, Any]]:
    return [batch for _ in range(epochs) for batch in loader]


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [batch.keys() for batch in found] == [batch.keys() for batch in expected]
    for one, two in zip(found, expected, strict=True):
        for name, value in two.items():
            same = torch.equal(one[name], value) if torch.is_tensor(value) else one[name] == value
            assert same, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "cache"),
    [*((mode, "none") for mode in DATA_SETS), ("unaligned", "ram"), ("colorization", "disk")],
)
def test_worker_processes_that_are_spawned_return_the_same_batches(
    mode: str,
    cache: str,
    data: Path,
    tmp_path: Path,
    train_opt: Make,
    spawn: None,
) -> None:
    """As on Windows and macOS, where everything that a worker gets is pickled."""
    words = ["--cache", cache] + (["--cache_gb", "0.01"] if cache == "ram" else [])
    words += ["--cache_dir", str(tmp_path / "cache")] if cache == "disk" else []
    alone = loader(train_opt, mode, "--num_threads", "0")
    spawned = loader(train_opt, mode, "--num_threads", "1", *words)
    assert_equal(batches(spawned), batches(alone))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_colour_is_computed_after_sending_with_the_bits_of_an_item(
    workers: str, data: Path, train_opt: Make
) -> None:
    words = ["--num_threads", workers, "--batch_size", "2", "--serial_batches"]
    made = loader(train_opt, "colorization", *words)
    dataset: Any = made.dataset
    for number, batch in enumerate(batches(made)):
        assert batch.keys() == {"A", "B", "A_paths", "B_paths"}
        for place, path in enumerate(batch["A_paths"]):
            item = dataset[2 * number + place]
            assert item["A_paths"] == path
            assert torch.equal(batch["A"][place], item["A"])
            assert torch.equal(batch["B"][place], item["B"])


def test_colour_is_sent_as_bytes(data: Path, train_opt: Make) -> None:
    dataset = ColorizationDataset(loader(train_opt, "colorization").dataset.opt)
    items = [_Loaded(dataset.compact_item(index), []) for index in range(2)]
    sent = _collate_packed(items).content
    assert not isinstance(sent, DataError)
    assert isinstance(sent["rgb"], Packed) and sent["rgb"].images.dtype == np.uint8
    assert not any(torch.is_tensor(value) for value in sent.values())


def test_the_items_of_a_subclass_are_sent_as_they_are(data: Path, train_opt: Make) -> None:
    class Mine(ColorizationDataset):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"A": torch.full((1, 2, 2), 0.3)}

    dataset = Mine(loader(train_opt, "colorization").dataset.opt)
    item = dataset.compact_item(0)
    assert item.keys() == {"A"}
    assert dataset.complete(item) is item


def test_a_full_shared_memory_is_an_error_of_the_data_that_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the thread that sends batches the error would be printed, and the run would wait."""

    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to write to file </torch_12_3>: No space left on device (28)\nx")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    content = _collate_packed([_Loaded({"A": torch.full((1, 2, 2), 0.3)}, [])]).content
    assert isinstance(content, DataError)
    assert str(content).startswith(SHARED_MEMORY_IS_FULL)
    assert "unable to write to file" in str(content) and "\n" not in str(content)
    for words in ("--shm-size", "--num_threads 0"):
        assert words in str(content)


def test_a_full_shared_memory_of_a_worker_reaches_the_main_process(
    data: Path, train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.multiprocessing.get_start_method() != "fork":
        pytest.skip("the worker inherits what this test changes")

    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_12_3>")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    made = loader(train_opt, "unaligned", "--num_threads", "1")
    made.dataset.__class__ = type("Floats", (type(made.dataset),), {"__getitem__": _floats})
    with pytest.raises(DataError, match=r"--shm-size .*unable to allocate"):
        batches(made)


def _floats(dataset: Any, index: int) -> dict[str, Any]:
    return {"A": torch.full((1, 2, 2), 0.3), "A_paths": str(index)}


def test_what_cannot_be_sent_to_workers_is_named(data: Path, train_opt: Make, spawn: None) -> None:
    batches = loader(train_opt, "unaligned", "--num_threads", "1")
    batches.dataset.tint = lambda image: image  # type: ignore[attr-defined]
    with pytest.raises(
        UserError, match=r"UnalignedDataset cannot be sent .* or give --num_threads 0"
    ):
        next(iter(batches))


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("Can't get local object 'f.<locals>.<lambda>'"),  # Python 3.13
        AttributeError("Can't pickle local object 'f'"),
        pickle.PicklingError("no"),
        TypeError("cannot pickle '_io.TextIOWrapper' object"),
    ],
)
def test_every_python_says_in_its_own_words_that_it_cannot_pickle(
    error: Exception, data: Path, train_opt: Make
) -> None:
    batches = loader(train_opt, "unaligned", "--num_threads", "0")

    class Fails:
        def __iter__(self) -> None:
            raise error

    batches._loader = Fails()
    with pytest.raises(UserError, match="cannot be sent to the processes that load images"):
        batches._from_workers()


def test_other_errors_of_starting_workers_pass(data: Path, train_opt: Make) -> None:
    batches = loader(train_opt, "unaligned", "--num_threads", "0")
    batches._loader = None  # type: ignore[assignment]
    with pytest.raises(TypeError, match="not iterable"):
        batches._from_workers()
