"""The cache changes the time that reading takes, never the items."""

import gc
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PATIENCE, picture, wait_for

from data import create_dataset, find_dataset_using_name
from data.inference.fixed_samples import fixed_samples
from data.reading import image_reader
from data.reading.disk_cache import DiskCache, disk_cache
from data.reading.image_reader import ImageReader
from data.reading.ram_cache import NamedBlock, RamCache
from util.options import Options

Make = Callable[..., Options]
KINDS = ["ram", "disk"]


def key(number: int) -> bytes:
    return (number + 1).to_bytes(16, "little")


def random_image(number: int, side: int = 20) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (3, side, side), dtype=np.uint8)


def make(kind: str, folder: Path, size: int = 10**6) -> Any:
    folder.mkdir(exist_ok=True)
    return RamCache(size) if kind == "ram" else DiskCache(str(folder), size)


def cached(train_opt: Make, kind: str, *more: str) -> Options:
    return train_opt("--cache", kind, "--cache_gb", "0.01", *more)


def all_batches(opt: Options, epochs: int = 4) -> list[dict[str, Any]]:
    loader = create_dataset(opt)
    return [batch for _ in range(epochs) for batch in loader]


def assert_equal(batches: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(batches) == len(expected)
    for a, b in zip(batches, expected, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The files that this process decodes."""
    paths: list[str] = []
    read = image_reader.read_image

    def spy(path: str, *more: Any) -> Any:
        paths.append(path)
        return read(path, *more)

    monkeypatch.setattr(image_reader, "read_image", spy)
    return paths


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("kind", KINDS)
def test_items_are_the_same_bit_by_bit_with_and_without_cache(
    kind: str, workers: str, train_opt: Make, monkeypatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    plain = all_batches(train_opt("--num_threads", "0"))
    assert_equal(all_batches(cached(train_opt, kind, "--num_threads", workers)), plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["aligned", "single", "colorization", "template"])
def test_every_data_set_takes_images_from_the_cache(
    mode: str, kind: str, pictures: Path, train_opt: Make, reads: list[str]
) -> None:
    words = ["--dataset_mode", mode, "--preprocess", "scale_width_and_crop"]
    models = {"colorization": "colorization", "single": "template"}  # cycle_gan takes two domains
    words += ["--model", models.get(mode, "cycle_gan")]
    (pictures / "train").mkdir()
    for number in range(3):
        picture(number, 96, 48).save(pictures / "train" / f"{number}.png")
    root = str(pictures if mode in ("aligned", "colorization") else pictures / "train")
    dataset_class = find_dataset_using_name(mode)
    plain = dataset_class(train_opt(*words).replace(dataroot=root))
    quick = dataset_class(cached(train_opt, kind, *words).replace(dataroot=root))
    for epoch in (1, 2):
        plain.epoch = quick.epoch = epoch
        expected = [plain[i] for i in range(3)]
        reads.clear()
        assert_equal([quick[i] for i in range(3)], expected)
        assert len(reads) == (3 if epoch == 1 else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_replaced_is_read_again(kind: str, pictures: Path, train_opt: Make) -> None:
    path = pictures / "trainA" / "trainA_0.png"
    reader = ImageReader(cached(train_opt, kind))
    before = reader.read_uint8(str(path), 3).copy()
    stamp = path.stat()

    def replaced() -> bool:
        """As tar and cp -p do; again, where the clock of the file system has not moved on."""
        picture(77, 40, 48).save(path)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        return path.stat().st_ctime_ns != stamp.st_ctime_ns

    wait_for(replaced)
    after = reader.read_uint8(str(path), 3)
    assert not np.array_equal(after, before)
    assert np.array_equal(after, ImageReader(train_opt()).read_uint8(str(path), 3))


def test_settings_that_decide_the_pixels_do_not_share_files(
    pictures: Path, train_opt: Make, reads: list[str]
) -> None:
    path = str(pictures / "trainA" / "trainA_0.png")
    ways: list[tuple[list[str], tuple[int, ...]]] = [
        ([], (3,)), ([], (1,)), ([], (3, 3)), (["--load_size", "40"], (3,)),
        (["--preprocess", "scale_width"], (3,)), (["--full_decode"], (3,)),
    ]  # fmt: skip
    for _ in range(2):
        for words, channels in ways:
            ImageReader(cached(train_opt, "disk", *words)).read_uint8(path, *channels)
    assert len(reads) == len(ways)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_cache_is_logged_once_and_the_rest_is_read(
    kind: str, tmp_path: Path, train_opt: Make, caplog
) -> None:
    caplog.set_level(logging.INFO)
    opt = train_opt("--cache", kind, "--cache_gb", "0.00001", "--num_threads", "0")  # 10 kB
    assert_equal(all_batches(opt, 2), all_batches(train_opt("--num_threads", "0"), 2))
    assert caplog.text.count("further images are read from their files") == 1
    files = [p.stat().st_size for p in (tmp_path / "runs").rglob("cache/*/*")]
    assert sum(files) <= 10_000
    assert len(files) == (2 if kind == "disk" else 0)  # of 36 * 36 * 3 bytes


def test_a_cache_folder_that_is_moved_away_costs_time_alone(
    train_opt: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, moved = tmp_path / "cache", tmp_path / "moved"
    expected = all_batches(train_opt("--num_threads", "0"))
    loader = create_dataset(cached(train_opt, "disk", "--cache_dir", str(folder)))
    batches = list(loader)
    folder.rename(moved)
    batches += [*loader, *loader]
    assert not folder.exists()  # on whatever disk is there now
    assert caplog.text.count(f"--cache disk: {folder} is gone (it is used again once it is") == 1
    moved.rename(folder)
    assert_equal([*batches, *loader], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_stores_images_up_to_its_size_and_returns_them(kind: str, tmp_path: Path) -> None:
    cache = make(kind, tmp_path / "cache", 100_000)
    stored = [number for number in range(200) if cache.put(key(number), random_image(number))]
    assert 7 <= len(stored) <= 83  # RAM by its table, disk by its bytes
    assert stored == list(range(len(stored)))
    for number in range(200):
        image = cache.get(key(number))
        assert (image is None) == (number not in stored)
        assert image is None or np.array_equal(image, random_image(number))


def test_a_cache_is_never_larger_than_what_is_free(train_opt: Make, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("data.reading.ram_cache.available_bytes", lambda _: 10**6)
    monkeypatch.setattr(
        "data.reading.disk_cache.shutil.disk_usage", lambda _: os.terminal_size((1, 1))
    )
    assert ImageReader(train_opt("--cache", "ram", "--cache_gb", "5")).cache.size == 10**6
    assert "--cache_gb 5, but no more is free" in caplog.text
    assert ImageReader(train_opt("--cache", "ram")).cache.size == 5 * 10**5


def put_many(cache: Any, numbers: range) -> None:
    for number in numbers:
        assert cache.put(key(number), random_image(number))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.parametrize("kind", [*KINDS, "named ram"])
def test_two_processes_write_and_read_the_same_cache(
    kind: str, tmp_path: Path, monkeypatch
) -> None:
    if kind == "named ram":  # as on Windows and macOS
        monkeypatch.delattr("os.memfd_create", raising=False)
    cache = make(kind.split()[-1], tmp_path / "cache", 4 * 10**6)
    assert kind != "named ram" or isinstance(cache.block, NamedBlock)
    context = multiprocessing.get_context("fork")
    halves = [range(0, 120), range(60, 180)]
    both = [context.Process(target=put_many, args=(cache, half)) for half in halves]
    for process in both:
        process.start()
    for process in both:
        process.join(PATIENCE)
        assert process.exitcode == 0
    for number in range(180):
        assert np.array_equal(cache.get(key(number)), random_image(number))
    assert cache.get(key(181)) is None


@pytest.mark.parametrize("kind", [*KINDS, "named ram"])
def test_workers_that_are_spawned_fill_the_cache_of_the_main_process(
    kind: str, train_opt: Make, monkeypatch
) -> None:
    if kind == "named ram":
        monkeypatch.delattr("os.memfd_create", raising=False)
    former = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        opt = cached(train_opt, kind.split()[-1], "--num_threads", "1", "--serial_batches")
        loader = create_dataset(opt)
        list(loader)
        reader = loader.dataset.reader
        assert not reader.warm()
        monkeypatch.setattr(image_reader, "read_image", None)  # nothing is left to read
        assert len([loader.dataset[index] for index in range(5)]) == 5
        assert reader.warm()
    finally:
        multiprocessing.set_start_method(former, force=True)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux")
def test_memory_is_released(tmp_path: Path) -> None:
    def files() -> int:
        links = list(Path("/proc/self/fd").iterdir())
        return sum(link.is_symlink() and "memfd" in str(link.readlink()) for link in links)

    before = files()
    cache = RamCache(10**6)
    assert files() > before
    del cache
    gc.collect()
    assert files() == before


@pytest.mark.parametrize("damage", ["cut", "longer", "a bit", "empty", "of another image"])
def test_a_damaged_file_is_ignored_and_written_again(damage: str, tmp_path: Path) -> None:
    cache = make("disk", tmp_path)
    assert cache.put(key(1), random_image(1))
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    whole = file.read_bytes()
    flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    cache.put(key(2), random_image(2))
    other = next(p for p in tmp_path.rglob("*") if p.is_file() and p != file).read_bytes()
    file.write_bytes({"cut": whole[:-7], "longer": whole + b"x", "a bit": flipped, "empty": b"",
                      "of another image": other}[damage])  # fmt: skip
    assert cache.get(key(1)) is None
    assert cache.put(key(1), random_image(1))
    assert np.array_equal(cache.get(key(1)), random_image(1))


def test_a_folder_that_cannot_be_written_is_a_cache_that_is_full(tmp_path: Path) -> None:
    cache = make("disk", tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("in the way")
    assert not cache.put(key(1), random_image(1))
    assert cache.get(key(1)) is None


def test_a_later_run_reads_what_an_earlier_one_left_and_counts_it(
    train_opt: Make, reads: list[str], caplog
) -> None:
    caplog.set_level(logging.INFO)
    opt = cached(train_opt, "disk", "--num_threads", "0", "--serial_batches")
    first = all_batches(opt, 1)
    reads.clear()
    assert_equal(all_batches(opt, 1), first)
    assert reads == []
    later = ImageReader(opt).cache
    assert later.used.value == 8 * (36 * 36 * 3 + 40)


def test_once_warm_this_process_reads_alone(train_opt: Make, monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    loader = create_dataset(cached(train_opt, "ram", "--num_threads", "1", "--serial_batches"))
    read_here: list[int] = []
    read = type(loader.dataset).__getitem__
    spy = {"__getitem__": lambda s, i: read_here.append(i) or read(s, i)}
    for _ in range(2):
        list(loader)
    loader.dataset.__class__ = type("Spy", (type(loader.dataset),), spy)
    assert read_here == []
    list(loader)
    assert sorted(read_here) == list(range(5))
    loader.dataset.reader.cache.get = lambda _: None  # as when all files have changed
    list(loader)
    read_here.clear()
    list(loader)
    assert read_here == []


def test_fixed_samples_use_no_cache(train_opt: Make, tmp_path: Path) -> None:
    opt = cached(train_opt, "disk")
    assert fixed_samples(opt, find_dataset_using_name("unaligned")(train_opt()))
    assert not (tmp_path / "runs").exists()


def test_some_bytes_of_the_disk_are_left_free(tmp_path: Path, monkeypatch) -> None:
    cache = DiskCache(str(tmp_path), 10**9)
    image = np.zeros((3, 4, 4), np.uint8)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    assert not cache.put(b"k" * 16, image)
    assert cache.get(b"k" * 16) is None


def test_processes_of_one_machine_fill_the_cache_together(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("util.ranks.local_world", lambda: 4)
    caches = [disk_cache(str(tmp_path / "cache"), 1e-4) for _ in range(4)]
    stored = sum(
        cache.put(key(100 * rank + i), random_image(i))
        for i in range(50)
        for rank, cache in enumerate(caches)
    )
    size = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert stored == 4 * (25000 // 1240)
    assert size <= 10**5
    np.testing.assert_array_equal(caches[0].get(key(301)), random_image(1))


def _fill(folder: str, go: Any) -> None:
    cache = DiskCache(folder, 10**6)
    go.wait(PATIENCE)
    for i in range(100):
        cache.put(key(i), random_image(i))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_two_processes_write_the_same_images_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    go = context.Barrier(2)
    writers = [context.Process(target=_fill, args=(str(tmp_path), go)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
        assert writer.exitcode == 0
    cache = DiskCache(str(tmp_path), 10**6)
    for i in range(100):
        np.testing.assert_array_equal(cache.get(key(i)), random_image(i))
    assert not list(tmp_path.rglob("*.tmp"))
