"""Pages of images, the training gallery, atomic writes, rewinding logs."""

import io
import json
import logging
import os
import re
import socket
from argparse import Namespace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from util import files
from util.errors import UserError
from util.files import (
    identity,
    remove_half_written,
    write_atomically,
    write_text_atomically,
)
from util.html import HTML
from util.run.session import _Console, start_logging
from util.sinks.gallery import ROWS_PER_PAGE, Gallery
from util.sinks.loss_log import LogFiles, loss_line, rewind_logs
from util.sinks.sink import ImageRecord, LossRecord

IMAGE = np.zeros((4, 4, 3), dtype=np.uint8)


def test_a_page_shows_its_images_with_texts_and_links(tmp_path: Path) -> None:
    page = HTML(tmp_path, "my <run>", refresh=7)
    page.add_header("epoch 3")
    page.add_images(["a.png", "b.png"], ["real_A", "fake_B"], ["a.png", "b.png"], width=123)
    page.save()
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "my &lt;run&gt;" in text
    assert re.findall(r'src="(images/\w+\.png)"', text) == ["images/a.png", "images/b.png"]
    assert text.count("width:123px") == 2
    assert 'content="7"' in text
    assert Path(page.get_image_dir()) == tmp_path / "images"


def test_the_gallery_shows_every_epoch_once_newest_first_in_pages_of_bounded_size(
    tmp_path: Path,
) -> None:
    gallery = Gallery(tmp_path, "run", 64)
    sizes = []
    for epoch in range(1, 101):
        if epoch == 50:
            gallery = Gallery(tmp_path, "run", 64)  # a run that is resumed
        for _ in range(2):  # two updates in one epoch make one row
            gallery.images(ImageRecord(epoch, epoch, {"real_A": IMAGE}, store=True))
        sizes.append((tmp_path / "web" / "index.html").stat().st_size)
    pages = [tmp_path / "web" / "index.html"]
    shown: list[int] = []
    while True:
        text = pages[-1].read_text(encoding="utf-8")
        shown += [int(number) for number in re.findall(r"<h3>epoch (\d+)</h3>", text)]
        older = re.search(r'href="(older_\d+\.html)"', text)
        if not older:
            break
        pages.append(tmp_path / "web" / older[1])
    assert shown == list(range(100, 0, -1))
    assert max(sizes[40:]) <= 1.05 * max(sizes[:41])
    assert len(pages) >= 100 / (2 * ROWS_PER_PAGE)
    assert (tmp_path / "web" / "images" / "epoch007_real_A.png").is_file()


def test_images_not_to_be_stored_leave_no_file(tmp_path: Path) -> None:
    Gallery(tmp_path, "run", 64).images(ImageRecord(1, 1, {"real_A": IMAGE}, store=False))
    assert not (tmp_path / "web").exists()


def record(epoch: int, iters: int, total: int) -> LossRecord:
    losses = {"D_A": 0.5124, "G_A": 1 / 3}
    return LossRecord(epoch, iters, total, losses, 0.0002, 0.21, 0.1234, 3.0)


def test_loss_lines_have_the_reference_format() -> None:
    expected = "(epoch: 1, iters: 100, time: 0.210, data: 0.123) D_A: 0.512 G_A: 0.333"
    assert loss_line(record(1, 100, 100)) == expected


def test_logs_are_rewound_to_a_position_without_half_lines(tmp_path: Path) -> None:
    logs = LogFiles(tmp_path)
    for place in [(1, 1, 1), (1, 2, 2), (2, 1, 3), (2, 2, 4)]:
        logs.losses(record(*place))
    for name in ("loss_log.txt", "loss_log.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write("(epoch: 2, it")  # cut off by a kill
    written = (tmp_path / "loss_log.txt").read_text()
    expected = [("D_A", "0.512"), ("G_A", "0.333")] * 4
    assert re.findall(r"([A-Z]_A): (\d+\.\d+) ", written) == expected  # as users' scripts do
    rewind_logs(tmp_path, epoch=2, iters=1, total_iters=3)
    lines = (tmp_path / "loss_log.txt").read_text().splitlines()
    assert lines[0].startswith("================ Training Loss (")
    assert [line.split(",")[0] + line.split(",")[1] for line in lines[1:]] == [
        "(epoch: 1 iters: 1", "(epoch: 1 iters: 2", "(epoch: 2 iters: 1",
    ]  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "loss_log.jsonl").read_text().splitlines()]
    assert [r["total_iters"] for r in records] == [1, 2, 3]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text_atomically(path, "old")

    def fail(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*x\.txt: No space left on device"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_the_first_error_is_raised_and_not_that_of_the_cleanup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    class Full(io.BytesIO):
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    def fail(file: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(UserError, match=r"cannot write .*x: Input/output error"):
        write_atomically(tmp_path / "x", fail)
    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(UserError, match=r"cannot write .*x: Input/output error"):
        write_atomically(tmp_path / "x", fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", lambda file: (_ for _ in ()).throw(KeyboardInterrupt))


def test_a_full_disk_is_named_where_torch_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises an error of its own after that of the disk."""

    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(UserError, match=r"cannot write .*x: No space left on device; "):
        write_atomically(tmp_path / "x", lambda file: torch.save({"x": torch.zeros(9)}, file))


@pytest.mark.parametrize("size", [1, 7, 64, files.MAX_LINE])
def test_lines_are_read_from_the_end_in_blocks_of_any_size(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE", size)
    for content in (b"", b"\n", b"cut off", b"one\n", b"\n\none\ntwo\n\n", b"one\ntwo\ncut off"):
        (tmp_path / "x").write_bytes(content)
        lines = list(files.lines_from_end(tmp_path / "x"))
        assert [content[:end].count(b"\n") for end, _ in lines] == list(range(len(lines), 0, -1))
        assert all(content[end - 1 : end] == b"\n" for end, _ in lines)
        expected = content.split(b"\n")[:-1]
        assert [line[:1] for _, line in reversed(lines)] == [line[:1] for line in expected]
        if size >= 7:
            assert [line for _, line in reversed(lines)] == expected


def test_machines_with_a_shared_folder_have_temporary_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for machine in ("one", "two"):
        monkeypatch.setattr("socket.gethostname", lambda machine=machine: machine)
        write_atomically(tmp_path / "x", lambda file: names.append(Path(file.name).name))
    assert len(set(names)) == 2
    assert all(name.startswith(".x.") and name.endswith(".tmp") for name in names)


@pytest.mark.parametrize(("locked_for", "content"), [(2, "new"), (10**6, "old")])
def test_a_file_that_a_virus_scanner_holds_is_replaced_once_it_lets_go(
    locked_for: int, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a file that another process has open cannot be replaced."""
    path = tmp_path / "x.txt"
    write_text_atomically(path, "old")
    attempts, replace, pauses = iter(range(10**6)), Path.replace, []

    def locked(self: Path, target: Path) -> Path:
        if next(attempts) < locked_for:
            raise PermissionError(13, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", locked)
    monkeypatch.setattr(files.time, "sleep", pauses.append)
    monkeypatch.setattr(files, "SCANNERS_LOCK_FILES", True)
    if content == "new":
        write_text_atomically(path, "new")
    else:
        with pytest.raises(UserError, match=r"cannot write .*x\.txt: Access is denied"):
            write_text_atomically(path, "new")
    assert path.read_text() == content
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert 0 < len(pauses) < 10
    assert pauses == sorted(pauses)
    assert sum(pauses) < 2


def test_without_such_scanners_a_refused_rename_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Path] = []

    def refused(self: Path, target: Path) -> Path:
        attempts.append(target)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(files, "SCANNERS_LOCK_FILES", False)
    with pytest.raises(UserError, match=r"cannot write .*x\.txt: Permission denied"):
        write_text_atomically(tmp_path / "x.txt", "new")
    assert len(attempts) == 1


def test_another_error_is_raised_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SCANNERS_LOCK_FILES", True)
    monkeypatch.setattr(files.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(FileNotFoundError):
        files.replace_file(tmp_path / "missing", tmp_path / "x.txt")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*missing"):
        write_text_atomically(tmp_path / "missing" / "x.txt", "new")


def test_names_that_are_no_unicode_do_not_end_a_run(tmp_path: Path, monkeypatch) -> None:
    name = "caf\udce9.png"  # as Python reads the byte E9 where names are UTF-8
    page = HTML(tmp_path, "results")
    page.add_images([name], [name], [name])
    page.save()
    assert 'src="images/caf%E9.png"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", console)
    start_logging()
    (handler,) = (
        h for h in logging.getLogger().handlers if type(h).__module__ == "util.run.session"
    )
    # not through the logger: pytest-xdist cannot send what it captures of such names
    handler.emit(logging.makeLogRecord({"levelno": 30, "msg": f"skipped: {name}, 日本.png"}))
    console.flush()
    written = console.buffer.getvalue().decode("ascii")
    assert written.startswith("warning: skipped: caf\\udce9.png, \\u65e5")


class Terminal(io.StringIO):
    """Stands for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("console", "no_colour", "begins"),
    [
        (Terminal(), "", "\033[33mwarning: \033[0m"),
        (Terminal(), "1", "warning: "),
        (io.StringIO(), "", "warning: "),
    ],
)
def test_warnings_are_coloured_on_a_terminal_alone(
    console: io.StringIO, no_colour: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", console)
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    for level in (logging.WARNING, logging.INFO):
        _Console().emit(logging.makeLogRecord({"levelno": level, "msg": "text"}))
    assert console.getvalue() == f"{begins}text\ntext\n"


@pytest.mark.parametrize("inode", [None, 0], ids=["inodes", "a share without inodes"])
def test_a_file_and_its_links_are_one(
    inode: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    try:
        (tmp_path / "link").symlink_to(tmp_path / "a")
    except OSError:
        pytest.skip("this user may not make links")
    if inode is not None:
        found = Namespace(st_dev=1, st_ino=inode)
        monkeypatch.setattr(files, "os", Namespace(stat=lambda _: found, path=os.path))
    a, b, link = (identity(tmp_path / name) for name in ("a", "b", "link"))
    assert a == link != b


def test_half_written_files_of_other_processes_are_removed(tmp_path: Path) -> None:
    """This process may be saving in another thread."""
    (tmp_path / ".a.pth.host.1.2.tmp").write_bytes(b"x")
    # of a process with the same number, as in a container that was started again
    own = f".a.pth.{socket.gethostname()}.{os.getpid()}.1.tmp"
    (tmp_path / own).write_bytes(b"x")

    def write(file: BinaryIO) -> None:
        remove_half_written(tmp_path)
        file.write(b"whole")

    write_atomically(tmp_path / "b.pth", write)
    assert (tmp_path / "b.pth").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["b.pth"]
