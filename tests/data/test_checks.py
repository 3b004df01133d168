"""data/checks/: headers of every kind of file, copies, and what is found wrong with folders."""

from __future__ import annotations

import logging
import os
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tiny_runs import optional_package

from data import create_dataset
from data.checks import headers
from data.checks.contact_sheet import write_contact_sheet
from data.checks.duplicates import exact_duplicates, near_duplicates
from data.checks.findings import check, size_problems, table
from data.checks.folders import dataset_mode, read_folders
from data.checks.headers import HEAD, read_header
from data.image_folder import find_images
from util.errors import UnreadableImageError, UserError
from util.options import Options

OPT = Namespace(preprocess="resize_and_crop", load_size=36, crop_size=32, dataset_mode="unaligned")


def options(**changes: object) -> Namespace:
    return Namespace(**{**vars(OPT), **changes})


MODES = {
    "png": ("RGB", "L", "RGBA", "P", "LA", "I;16", "1"),
    "jpg": ("RGB", "L", "CMYK"),
    "bmp": ("RGB", "L", "P"),
    "tif": ("RGB", "CMYK", "I;16"),
    "webp": ("RGB", "RGBA"),
    "ppm": ("RGB", "L"),
}


@pytest.mark.parametrize(("ending", "mode"), [(e, m) for e, modes in MODES.items() for m in modes])
def test_header_is_that_of_pillow(tmp_path: Path, ending: str, mode: str) -> None:
    path = tmp_path / f"x.{ending}"
    Image.new(mode, (50, 30)).save(path)
    header = read_header(str(path))
    with Image.open(path) as image:
        assert (header.width, header.height) == image.size == (50, 30)
        assert header.mode == image.mode
    assert header.length == path.stat().st_size


def test_progressive_jpeg_behind_long_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    picture(0, 300, 200).save(path, progressive=True, exif=b"Exif\0\0" + bytes(60000))
    header = read_header(str(path))
    assert (header.width, header.height, header.mode) == (300, 200, "RGB")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_file_that_was_cut_off_is_found_without_decoding_others(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.{ending}"
    picture(0, 300, 200).save(path)
    content = path.read_bytes()
    assert len(content) > HEAD
    decoded: list[str] = []
    original = headers.read_image
    monkeypatch.setattr(headers, "read_image", lambda path: (decoded.append(path), original(path)))
    read_header(str(path))
    assert decoded == []
    path.write_bytes(content[:-500])
    with pytest.raises(UnreadableImageError):
        read_header(str(path))
    path.write_bytes(content + b"appended by a camera")
    assert read_header(str(path)).width == 300
    assert decoded == [str(path)] * 2


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\2" * 9, b"text"]
)
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError):
        read_header(str(tmp_path / "x.jpg"))


def test_a_clean_folder(pictures: Path) -> None:
    folders = read_folders(pictures, dataset_mode(pictures), threads=2)
    assert [(f.name, len(f.headers)) for f in folders] == [
        ("trainA", 5), ("trainB", 3), ("testA", 2), ("testB", 2),
    ]  # fmt: skip
    findings = check(folders, OPT)
    assert (findings.errors, findings.warnings) == ([], [])
    assert exact_duplicates(folders) == []
    assert "40x48 to 44x48" in table(folders)


def test_the_folders_decide_the_mode(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        dataset_mode(tmp_path / "none")
    with pytest.raises(UserError, match="no folder trainA nor train"):
        dataset_mode(tmp_path)
    (tmp_path / "train").mkdir()
    assert dataset_mode(tmp_path) == "aligned"
    with pytest.raises(UserError, match="no folder trainA;"):
        dataset_mode(tmp_path, "unaligned")
    (tmp_path / "trainB").mkdir()
    assert dataset_mode(tmp_path) == "unaligned"


def test_everything_that_is_wrong(pictures: Path) -> None:
    (pictures / "trainA" / "broken.png").write_bytes(b"\x89PNG")
    (pictures / "trainA" / "notes.txt").write_text("x")
    (pictures / "trainA" / "film.GIF").write_text("x")
    (pictures / "trainA" / ".hidden.png").write_text("x")
    Image.new("L", (20, 50)).save(pictures / "trainB" / "gray.png")
    shutil.rmtree(pictures / "testB")
    (pictures / "testB").mkdir()
    for number in range(60):
        picture(number, 40, 40).save(pictures / "trainA" / f"{number}.png")
    folders = read_folders(pictures, "unaligned", threads=1)
    findings = check(folders, options(preprocess="crop"))
    text = "\n".join(findings.errors)
    assert "trainA: 1 files cannot be read (broken.png:" in text
    assert "trainB: 1 images are too small" in text and "gray.png has 20x50" in text
    assert "testB holds no readable image" in text
    assert len(findings.errors) == 3
    text = "\n".join(findings.warnings)
    assert "trainB mixes L, RGB" in text
    assert "trainA has 65 images and trainB only 4" in text
    assert len(findings.warnings) == 2
    assert ".gif:1 .txt:1" in table(folders)
    assert check(folders[1:], OPT).errors[-1] == "there is no folder trainA"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_what_is_checked_is_what_a_training_lists(pictures: Path) -> None:
    folder = pictures / "trainA"
    for name in ("__MACOSX/a.png", ".git/b.png", "deeper/._c.png", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    np.save(folder / "x.npy", np.zeros((48, 40, 5), np.uint16))
    checked = read_folders(pictures, "unaligned", threads=1)[0]
    assert [header.path for header in checked.headers] == find_images(folder)
    assert (len(checked.headers), checked.unreadable) == (6, [])
    assert checked.left_out == {".txt": 1, ".png": 1}
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        read_header(str(folder / "pipe.png"))


def test_full_finds_what_headers_do_not(pictures: Path) -> None:
    path = pictures / "trainA" / "damaged.png"
    picture(0, 200, 200).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))
    assert not read_folders(pictures, "unaligned", threads=2)[0].unreadable
    (error,) = read_folders(pictures, "unaligned", threads=2, full=True)[0].unreadable
    assert error.path == str(path)


def test_sizes_of_pairs_and_of_each_preprocess() -> None:
    pairs = options(dataset_mode="aligned", preprocess="crop")
    assert size_problems([(62, 40), (64, 40), (1, 9)], pairs) == ([(62, 40), (1, 9)], [])
    assert size_problems([(18, 18), (18, 19)], OPT) == ([], [(18, 18)])
    assert size_problems([(5, 5)], options(preprocess="none")) == ([], [])
    assert size_problems([(90, 9)], options(preprocess="scale_width_and_crop")) == ([], [])


def test_copies_in_test(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(pictures / "trainA" / "trainA_0.png", pictures / "testA" / "a.png")
    large = pictures / "trainB" / "large.png"
    picture(3, 200, 200).save(large)
    content = large.read_bytes()
    assert len(content) > 2 * HEAD
    middle = content[:HEAD] + bytes([content[HEAD] ^ 1]) + content[HEAD + 1 :]
    (pictures / "testB" / "same.png").write_bytes(content)
    (pictures / "testB" / "not.png").write_bytes(middle)
    folders = read_folders(pictures, "unaligned", threads=1)
    monkeypatch.delattr(Path, "read_bytes")  # files may be larger than the memory
    names = [(Path(a).name, Path(b).name) for a, b in exact_duplicates(folders)]
    assert names == [("trainA_0.png", "a.png"), ("large.png", "same.png")]


def test_near_copies(pictures: Path) -> None:
    optional_package("imagehash")
    original = pictures / "trainA" / "trainA_0.png"
    with Image.open(original) as image:
        image.resize((90, 100)).save(pictures / "testA" / "near.jpg", quality=60)
    shutil.copy(original, pictures / "testA" / "same.png")
    folders = read_folders(pictures, "unaligned", threads=2)
    exact = exact_duplicates(folders)
    (pair,) = near_duplicates(folders, 2, exact)
    assert [Path(path).name for path in pair] == ["trainA_0.png", "near.jpg"]


def test_contact_sheet(pictures: Path, tmp_path: Path) -> None:
    folders = read_folders(pictures, "unaligned", threads=1)
    assert write_contact_sheet(folders, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.width > 5 * 100 and image.height > 4 * 100
    assert not write_contact_sheet([], tmp_path / "none.png")


def test_a_training_says_at_its_start_that_images_do_not_fit(
    pictures: Path, train_opt: Callable[..., Options], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        create_dataset(train_opt())
        assert caplog.messages == []
        picture(1, 20, 60).save(pictures / "trainB" / "small.png")
        (pictures / "trainB" / "broken.png").write_bytes(b"x")
        create_dataset(train_opt("--preprocess", "crop"))
        assert [m for m in caplog.messages if "small.png has 20x60" in m] == caplog.messages
        assert len(caplog.messages) == 1
        caplog.clear()
        (pictures / "trainB" / "small.png").unlink()
        create_dataset(train_opt("--load_size", "96"))
        assert caplog.messages[0].startswith("images of 41x48 are enlarged to --load_size 96")
