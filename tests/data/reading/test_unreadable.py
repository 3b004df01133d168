"""Unreadable images in training: replaced by the next one, named once, too many end the run."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image

from data import create_dataset
from data.base_dataset import BaseDataset
from data.image_folder import make_dataset, read_image
from data.loader import CustomDatasetDataLoader
from data.reading.image_reader import crop_and_flip, size_of
from data.reading.unreadable import NAMED, allowed
from data.transforms import draw_crop_flip
from data.unaligned_dataset import UnalignedDataset
from options.test_options import TestOptions
from util.errors import DataError, UnreadableImageError, UserError
from util.options import Options

Make = Callable[..., Options]
FORTY = ("--max_bad_images", "0.4")


def truncate(path: Path) -> None:
    picture(1, 64, 64).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:700])


def claim_to_be_huge(path: Path) -> None:
    picture(1, 8, 8).save(path, format="BMP")
    content = bytearray(path.read_bytes())
    content[18:26] = b"\xff\xff\xff\x7f" * 2  # width and height
    path.write_bytes(content)


def leave_a_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere.png")


def forbid(path: Path) -> None:
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "huge": claim_to_be_huge,
    "deleted": lambda path: path.unlink(),
    "dead link": leave_a_dead_link,
    "forbidden": forbid,
}


def spoil(pictures: Path, *names: str) -> list[str]:
    """Make files of the data folder unreadable; returns their paths."""
    paths = [next(pictures.rglob(f"{name}.png")) for name in names]
    for path in paths:
        path.write_bytes(b"broken")
    return [str(path) for path in paths]


def batches(opt: Options, epochs: int = 2) -> list[dict[str, Any]]:
    loader = create_dataset(opt)
    return [batch for _ in range(epochs) for batch in loader]


def assert_equal(batches: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(batches) == len(expected)
    for a, b in zip(batches, expected, strict=True):
        assert all(torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in b)


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_next_image_takes_the_place_of_one_that_cannot_be_read(
    kind: str, pictures: Path, train_opt: Make, caplog: pytest.LogCaptureFixture
) -> None:
    opt = train_opt("--num_threads", "0", "--serial_batches")
    if kind == "dead link" and os.name != "posix":
        pytest.skip("links")
    loader = create_dataset(opt)
    before = list(loader.batches(1))
    paths = loader.dataset.A_paths
    DAMAGE[kind](Path(paths[3]))
    after = list(loader.batches(1))
    assert [batch["A_paths"][0] for batch in after] == [paths[i] for i in (0, 1, 2, 4, 4)]
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old["B"], new["B"])  # the other side stays as it is
        assert old["B_paths"] == new["B_paths"]
    assert caplog.text.count("skipped ") == 1
    assert f"skipped {paths[3]} (" in caplog.text


def test_after_the_last_image_comes_the_first(pictures: Path, train_opt: Make) -> None:
    spoil(pictures, "trainA_3", "trainA_4", "trainB_2")
    loaded = batches(train_opt("--num_threads", "0", "--serial_batches", *FORTY), 1)
    order = ["trainA_1", "trainA_0", "trainA_2", "trainA_1", "trainA_1"]
    assert [Path(batch["A_paths"][0]).stem for batch in loaded] == order
    order = ["trainB_1", "trainB_0", "trainB_1", "trainB_1", "trainB_0"]
    assert [Path(batch["B_paths"][0]).stem for batch in loaded] == order


@pytest.mark.parametrize("cache", ["none", "ram", "disk"])
def test_workers_cache_and_first_item_do_not_change_the_batches(
    cache: str, pictures: Path, train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    spoil(pictures, "trainA_1", "trainA_3", "trainB_0")
    plain = batches(train_opt("--num_threads", "0", *FORTY), 3)
    for workers in "012":
        opt = train_opt("--num_threads", workers, "--cache", cache, *FORTY)
        assert_equal(batches(opt, 3), plain)
        loader = create_dataset(opt)
        assert_equal(list(loader.batches(2, start=3)), plain[8:10])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_file_is_named_once_and_counted_at_the_end(
    workers: str, pictures: Path, train_opt: Make, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    bad = spoil(pictures, "trainA_1", "trainA_3", "trainB_0")
    loader = create_dataset(train_opt("--num_threads", workers, *FORTY))
    assert len([batch for _ in range(6) for batch in loader]) == 30
    skipped = [record for record in caplog.records if record.message.startswith("skipped")]
    assert sorted(record.message.split(" (")[0] for record in skipped) == sorted(
        f"skipped {path}" for path in bad
    )
    assert {record.levelname for record in skipped} == {"WARNING"}
    loader.report()
    assert "3 unreadable images were skipped in this training" in caplog.text


def test_nothing_is_logged_where_all_images_can_be_read(train_opt: Make, caplog) -> None:
    loader = create_dataset(train_opt("--num_threads", "0"))
    assert len(list(loader)) == 5
    loader.report()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("share", "images", "count"),
    [
        *((0, 1, 0), (0, 10**6, 0)),
        *((0.01, 2, 1), (0.01, 99, 1), (0.01, 199, 1), (0.01, 200, 2), (0.01, 10**6, 10**4)),
        *((0.29, 100, 29), (0.07, 100, 7), (1, 7, 6)),
        *((0.01, 1, 0), (1, 1, 0)),  # nothing would be left
    ],
)
def test_how_many_are_allowed(share: float, images: int, count: int) -> None:
    assert allowed(share, images) == count


@pytest.mark.parametrize("workers", ["0", "1"])
def test_more_than_the_share_of_one_folder_is_an_error_that_names_them(
    workers: str, pictures: Path, train_opt: Make
) -> None:
    bad = spoil(pictures, "trainA_1", "trainA_3")
    loader = create_dataset(train_opt("--num_threads", workers))
    with pytest.raises(DataError) as error:
        list(loader)
    text = str(error.value)
    assert text.startswith("2 of 5 images cannot be read, and --max_bad_images 0.01 allows 1: ")
    assert all(f"{path} (not an image)" in text for path in bad)
    assert "Traceback" not in text
    assert "\n" not in text


def test_each_folder_is_allowed_its_own_share(pictures: Path, train_opt: Make) -> None:
    spoil(pictures, "trainA_1", "trainB_0")
    assert len(batches(train_opt("--num_threads", "0"))) == 10


def test_a_share_of_zero_ends_the_run_at_the_first(pictures: Path, train_opt: Make) -> None:
    spoil(pictures, "trainA_3")
    with pytest.raises(DataError, match=r"1 of 5 images cannot .* --max_bad_images 0 allows 0"):
        batches(train_opt("--num_threads", "0", "--max_bad_images", "0"))


@pytest.mark.parametrize("mode", ["unaligned", "aligned"])
def test_a_folder_without_a_readable_image_ends_after_few_reads(
    mode: str, pictures: Path, train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a disk is unplugged: not each of a million files is tried."""
    folder = pictures / ("trainA" if mode == "unaligned" else "train")
    for number in range(300):
        folder.mkdir(exist_ok=True)
        (folder / f"x{number:03}.png").write_bytes(b"broken")
    for path in folder.rglob("trainA_*.png"):
        path.unlink()
    read: list[str] = []

    def spy(path: str, *more: Any) -> Image.Image:
        read.append(path)
        return read_image(path, *more)

    monkeypatch.setattr("data.reading.image_reader.read_image", spy)
    with pytest.raises(DataError) as error:
        batches(train_opt("--num_threads", "0", "--dataset_mode", mode))
    assert len(read) == 4  # 1 % of 300, and one more
    assert str(error.value).startswith("4 of 300 images cannot be read")


def test_the_message_does_not_name_hundreds_of_files(pictures: Path, train_opt: Make) -> None:
    for number in range(200):
        (pictures / "trainA" / f"x{number:03}.png").write_bytes(b"broken")
    with pytest.raises(DataError) as error:
        batches(train_opt("--num_threads", "0", "--serial_batches", "--max_bad_images", "0.1"))
    assert str(error.value).count("(not an image)") == NAMED
    assert "and 16 more" in str(error.value)


class PairsOfFolders(BaseDataset):
    """As a plug-in would be written: equal names in two folders belong together."""

    def __init__(self, opt: Options) -> None:
        super().__init__(opt)
        self.files = make_dataset(Path(opt.dataroot) / "left")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.files[index]
        other = path.replace("left", "right")
        A, B = self.reader.read_uint8(path, 3), self.reader.read_uint8(other, 3)
        crop_flip = draw_crop_flip(self.opt, size_of(A), self.random(index), path)
        return {
            "A": crop_and_flip(A, self.opt, crop_flip),
            "B": crop_and_flip(B, self.opt, crop_flip),
            "A_paths": path,
            "B_paths": other,
        }


@pytest.fixture
def pairs(tmp_path: Path, train_opt: Make) -> Callable[..., CustomDatasetDataLoader]:
    """A plug-in's data set of five pairs, of which the third has no right side that can be read."""
    for side in ("left", "right"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for i in range(5):
            picture(i, 40, 48).save(tmp_path / "pairs" / side / f"{i}.png")
    (tmp_path / "pairs" / "right" / "2.png").write_bytes(b"broken")

    def make(*words: str) -> CustomDatasetDataLoader:
        opt = train_opt("--serial_batches", *words).replace(dataroot=str(tmp_path / "pairs"))
        return CustomDatasetDataLoader(PairsOfFolders(opt), opt)

    return make


@pytest.mark.parametrize("workers", ["0", "1"])
def test_pairs_of_a_plugin_are_replaced_together_without_a_line_of_its_own(
    workers: str, pairs: Callable[..., CustomDatasetDataLoader], caplog
) -> None:
    loaded = list(pairs("--num_threads", workers))
    assert [Path(batch["A_paths"][0]).stem for batch in loaded] == ["0", "1", "3", "3", "4"]
    assert all(torch.equal(batch["A"], batch["B"]) for batch in loaded)
    assert caplog.text.count("skipped ") == 1
    with pytest.raises(DataError, match=r"1 of 5 images .*right.2\.png"):
        list(pairs("--num_threads", workers, "--max_bad_images", "0"))


def test_aligned_pairs_are_replaced_by_the_next(tmp_path: Path, train_opt: Make) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    for i in range(3):
        picture(i, 80, 40).save(tmp_path / "data" / "train" / f"{i}.png")
    (tmp_path / "data" / "train" / "1.png").write_bytes(b"")
    words = ("--dataset_mode", "aligned", "--num_threads", "0", "--serial_batches")
    loaded = batches(train_opt(*words).replace(dataroot=str(tmp_path / "data")), 1)
    assert [Path(batch["A_paths"][0]).stem for batch in loaded] == ["0", "2", "2"]


class Failing(PairsOfFolders):
    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**super().__getitem__(index), "x": 1 / (3 - index)}


@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_error_of_a_plugin_comes_with_its_traceback_as_an_error_of_the_data(
    workers: str, pairs: Callable[..., CustomDatasetDataLoader]
) -> None:
    opt = pairs("--num_threads", workers).dataset.opt
    loaded = []
    with pytest.raises(DataError, match="Failing has no item 3:") as error:
        for batch in CustomDatasetDataLoader(Failing(opt), opt):
            loaded.append(batch)
    assert len(loaded) == 2  # and the third: its pair is replaced by the one that fails
    assert "test_unreadable.py" in str(error.value)
    assert str(error.value).endswith("ZeroDivisionError: division by zero")


def test_items_that_do_not_stack_are_an_error_of_the_data(
    pairs: Callable[..., CustomDatasetDataLoader],
) -> None:
    class Gray(PairsOfFolders):
        def __getitem__(self, index: int) -> dict[str, Any]:
            item = super().__getitem__(index)
            return {**item, "A": item["A"][: 1 + 2 * (index % 2)]}

    opt = pairs("--num_threads", "0", "--batch_size", "2").dataset.opt
    with pytest.raises(DataError, match="items do not make a batch"):
        list(CustomDatasetDataLoader(Gray(opt), opt))


def test_a_readable_image_too_small_for_the_crop_is_no_unreadable_one(
    train_opt: Make, caplog
) -> None:
    words = ("--preprocess", "crop", "--crop_size", "44", "--num_threads", "0")
    with pytest.raises(DataError, match=r"is too small for it; use a smaller --crop_size"):
        batches(train_opt(*words))
    assert "skipped" not in caplog.text


def test_at_inference_nothing_is_replaced(pictures: Path) -> None:
    spoil(pictures, "testA_0")
    words = ["--dataroot", str(pictures), "--dataset_mode", "unaligned", "--model", "cycle_gan"]
    opt = TestOptions().parse([*words, "--num_threads", "0"])
    dataset = UnalignedDataset(opt)
    with pytest.raises(UnreadableImageError, match=r"testA_0\.png \(not an image\)"):
        dataset[dataset.A_paths.index(str(pictures / "testA" / "testA_0.png"))]
    with pytest.raises(UserError, match=r"testA_0\.png \(not an image\)"):
        list(create_dataset(opt))


def test_unusual_images_that_can_be_read(pictures: Path, train_opt: Make, caplog) -> None:
    """One pixel; 16 bits; and a directory that is named as an image is searched."""
    folder = pictures / "trainA"
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.fromarray(np.full((40, 40), 257 * 100, np.uint16)).save(folder / "deep.png")
    (folder / "folder.jpg").mkdir()
    picture(1, 40, 40).save(folder / "folder.jpg" / "inside.png")
    names = {Path(batch["A_paths"][0]).name for batch in batches(train_opt("--num_threads", "0"))}
    assert {"one.png", "deep.png", "inside.png"} < names
    assert not caplog.records


def test_the_error_of_an_image_is_pickled_by_a_worker() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImageError("/x/y.png", "not an image")))
    assert (error.path, error.reason) == ("/x/y.png", "not an image")
    assert str(error).startswith("cannot read the image /x/y.png (not an image)")
