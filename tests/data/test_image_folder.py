"""Finding and opening image files: nothing that lies in a folder blocks, loops or runs."""

import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, picture
from PIL import EpsImagePlugin, Image

from data.image_folder import IMG_EXTENSIONS, find_images, make_dataset, read_image
from util import image_files
from util.errors import UnreadableImageError, UserError
from util.images import ORIENTATION

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
HUGE = b"P6 100000 100000 255\n" + bytes(28)
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an image, and one in a sub-folder."""
    for name in ("a.png", "sub/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(0, 9, 8).save(tmp_path / "in" / name)
    return tmp_path / "in"


def found(folder: Path) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in find_images(folder)]


@needs_pipes
def test_only_regular_files_are_found_and_read(folder: Path, caplog) -> None:
    os.mkfifo(folder / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket is short
    server.bind("s.png")
    os.chdir(here)
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "pipe_link.png").symlink_to("pipe.png")
    assert found(folder) == ["a.png", "sub/b.png"]
    server.close()
    for name in ("pipe", "s", "device", "pipe_link"):
        assert f"{folder / name}.png is left out: it is no regular file" in caplog.text
        with pytest.raises(UnreadableImageError, match="not a regular file"):
            read_image(str(folder / f"{name}.png"))
    with pytest.raises(UserError, match="neither an image file nor a folder"):
        make_dataset(folder / "pipe.png")


def test_a_link_to_nothing_is_named_where_it_is_read(folder: Path) -> None:
    (folder / "z.png").symlink_to("missing.png")
    (folder / "self.png").symlink_to("self.png")
    assert found(folder) == ["a.png", "sub/b.png", "z.png"]
    with pytest.raises(UnreadableImageError, match=r"z\.png \(No such file"):
        read_image(str(folder / "z.png"))


def test_links_that_loop_list_each_image_once(folder: Path, caplog) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "sub/up").symlink_to(folder)
    (folder / "0").symlink_to(folder / "sub")  # sorts before the folder itself
    outside = folder.parent / "outside"
    outside.mkdir()
    picture(0, 9, 8).save(outside / "c.png")
    (folder / "x").symlink_to(outside)
    (folder / "y").symlink_to(outside)
    (outside / "back").symlink_to(folder)
    assert found(folder) == ["a.png", "sub/b.png", "x/c.png"]
    assert f"{folder / 'y'} is left out: it is the folder {folder / 'x'} again" in caplog.text


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    for name in ("._a.png", ".git/a.png", "__MACOSX/a.png", "sub/.hidden/a.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        picture(0, 9, 8).save(folder / name)
    assert found(folder) == ["a.png", "sub/b.png"]


def test_a_folder_that_cannot_be_read_is_left_out(folder: Path, caplog, monkeypatch) -> None:
    scan = os.scandir

    def refusing(path: str) -> object:
        if path == str(folder / "sub"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert found(folder) == ["a.png"]
    assert f"the folder {folder / 'sub'} is left out: Permission denied" in caplog.text


@pytest.mark.parametrize("ending", [".jpg", ".png", ".eps"])
def test_no_file_starts_another_program(ending: str, tmp_path: Path, monkeypatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise KeyError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    monkeypatch.setattr("data.image_folder.IMG_EXTENSIONS", [*IMG_EXTENSIONS, ".eps"])
    (tmp_path / f"x{ending}").write_bytes(EPS)
    with Image.open(tmp_path / f"x{ending}") as image:
        assert image.format == "EPS"  # Pillow alone would read it
    with pytest.raises(UnreadableImageError, match="not an image"):
        read_image(str(tmp_path / f"x{ending}"))


def test_a_plug_in_may_add_an_extension(tmp_path: Path, monkeypatch) -> None:
    picture(0, 9, 8).save(tmp_path / "x.tga")
    with pytest.raises(UnreadableImageError):
        read_image(str(tmp_path / "x.tga"))
    monkeypatch.setattr("data.image_folder.IMG_EXTENSIONS", [*IMG_EXTENSIONS, ".tga"])
    assert read_image(str(tmp_path / "x.tga")).size == (9, 8)


def test_an_image_that_declares_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(image_files, "available_bytes", lambda device: 10**9)
    assert len(HUGE) == 49
    (tmp_path / "x.ppm").write_bytes(HUGE)
    with pytest.raises(UnreadableImageError, match=r"100000 x 100000 pixels need 80\.0 GB"):
        read_image(str(tmp_path / "x.ppm"))


@pytest.mark.parametrize("name", ["x.npy", "x.tif"])
def test_an_array_file_larger_than_the_memory_is_refused(
    name: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(image_files, "available_bytes", lambda device: 10**7)
    with (tmp_path / name).open("wb") as file:
        file.truncate(2 * 10**7)
    with pytest.raises(UnreadableImageError, match=r"the file has 0\.0 GB"):
        read_image(str(tmp_path / name))


def test_values_beyond_all_ranges_are_black_or_white_without_warnings(tmp_path: Path) -> None:
    nan = np.array(0x7F800001, np.uint32).view(np.float32)  # signalling
    for name, values in (("a.npy", [[1e308, -1e308]]), ("b.npy", [[np.inf, nan]])):
        np.save(tmp_path / name, np.array(values, "f8" if name == "a.npy" else "f4"))
        image = read_image(str(tmp_path / name))
        assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (0,) * 3]


def test_the_reason_is_short_whatever_a_header_holds(tmp_path: Path) -> None:
    shape = b"(" * 300 + b")" * 300
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + b"}\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
    with pytest.raises(UnreadableImageError) as refused:
        read_image(str(tmp_path / "x.npy"))
    assert len(refused.value.reason) < 300


SHORT, ASCII, RATIONAL = 3, 2, 5


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        *((ASCII, 4, b"six\0"), (SHORT, 1, b"\x63\0\0\0")),
        *((RATIONAL, 1, b"\xff\0\0\0"), (SHORT, 0, bytes(4)), (200, 1, bytes(4))),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # by which Pillow tells of damage
def test_a_damaged_orientation_counts_as_none(
    kind: int, count: int, value: bytes, tmp_path: Path
) -> None:
    field = struct.pack("<IHHHI4sI", 8, 1, ORIENTATION, kind, count, value, 0)
    picture(0, 9, 8).save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0" + field)
    assert read_image(str(tmp_path / "x.jpg")).size == (9, 8)


@pytest.mark.parametrize("name", ["\x1b]0;title\x07.png", "line\nbreak.png", "\u202egnp.exe.png"])
def test_names_are_told_without_control_characters(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(UnreadableImageError) as caught:
        read_image(str(tmp_path / name))
    assert str(caught.value).isprintable()
    assert caught.value.path == str(tmp_path / name)


def sources() -> Iterator[Path]:
    for folder in ("data", "models", "options", "util", "scripts", "datasets"):
        yield from (ROOT / folder).rglob("*.py")


def test_images_are_opened_by_formats_everywhere() -> None:
    opening: Callable[[str], list[str]] = re.compile(r"Image\.open\([^\n]*").findall
    calls = [call for path in sources() for call in opening(path.read_text(encoding="utf-8"))]
    assert calls
    assert all("formats=" in call for call in calls)
