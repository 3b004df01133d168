"""util/downloads/archives.py: what is unpacked, and what is refused without a trace."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from util.downloads import archives
from util.downloads.archives import unpack
from util.errors import UserError

Member = tuple[str, bytes]


def zip_file(path: Path, *members: Member) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tar_file(path: Path, *members: Member, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


MAKERS = pytest.mark.parametrize("make", [zip_file, tar_file])


def assert_refused(archive: Path, reason: str) -> None:
    """Assert that unpacking raises UserError with that reason, and leaves nothing."""
    folder = archive.parent / "out"
    with pytest.raises(UserError, match=reason):
        unpack(archive, folder)
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name]


@MAKERS
def test_files_and_folders(tmp_path: Path, make: type[zip_file]) -> None:
    archive = make(tmp_path / "a", ("maps/trainA/1.jpg", b"one"), ("maps/2009 06:58:39.jpg", b"2"))
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/maps/trainA/1.jpg").read_bytes() == b"one"
    assert len(list((tmp_path / "out/maps").iterdir())) == 2


def test_a_plain_tar_file_with_folders(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        (tmp_path / "empty").mkdir()
        archive.add(tmp_path / "empty", "./maps")
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out/maps").is_dir()


def test_signs_that_windows_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "WINDOWS", True)
    unpack(zip_file(tmp_path / "a.zip", ("C:/x/a?.jpg", b"1")), tmp_path / "out")
    assert (tmp_path / "out/C_/x/a_.jpg").is_file()


@MAKERS
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a\\..\\x"])
def test_paths_outside(tmp_path: Path, make: type[zip_file], name: str) -> None:
    assert_refused(make(tmp_path / "a", ("good.jpg", b"1"), (name, b"2")), "outside of its folder")


@MAKERS
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice(tmp_path: Path, make: type[zip_file]) -> None:
    assert_refused(make(tmp_path / "a", ("x.jpg", b"1"), ("x.jpg", b"2")), "File exists")


def test_links_in_a_zip_file(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert_refused(tmp_path / "a.zip", "link or device")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_file(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(entry)
    assert_refused(tmp_path / "a.tar.gz", "link or device")


@MAKERS
def test_a_bomb_by_its_ratio(
    tmp_path: Path, make: type[zip_file], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM", 1000)
    assert_refused(make(tmp_path / "a", ("x.jpg", bytes(10**6))), "more than images can")


@MAKERS
def test_too_many_files(
    tmp_path: Path, make: type[zip_file], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert_refused(make(tmp_path / "a", *((str(i), b"") for i in range(3))), "more than images can")


@MAKERS
def test_more_than_the_disk(
    tmp_path: Path, make: type[zip_file], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RESERVE", 2**62)  # of which no disk has so much
    assert_refused(make(tmp_path / "a", ("x", b"1")), "more than the disk holds")


def test_a_zip_file_that_declares_too_little(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", ("x.jpg", bytes(5000)))
    content = archive.read_bytes()
    assert content.count((5000).to_bytes(4, "little")) == 2
    archive.write_bytes(content.replace((5000).to_bytes(4, "little"), (5).to_bytes(4, "little")))
    assert_refused(archive, "not a whole zip or tar file")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_part_of_an_archive(tmp_path: Path, name: str, share: float) -> None:
    members = [(f"{number}.jpg", bytes(range(256)) * 9) for number in range(9)]
    if name == "a.zip":
        archive = zip_file(tmp_path / name, *members)
    else:
        archive = tar_file(tmp_path / name, *members, mode="w:gz" if "gz" in name else "w:")
    content = archive.read_bytes().rstrip(b"\0")
    archive.write_bytes(content[: int(share * len(content))])
    assert_refused(archive, "not a whole zip or tar file")


def test_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>moved</html>" * 100)
    assert_refused(tmp_path / "a.zip", "not a whole zip or tar file")


def test_an_encrypted_zip_file(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", ("x", b"1"))
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    archive.write_bytes(bytes(content))
    assert_refused(archive, "encrypted")


def test_a_name_that_is_too_long_is_of_the_archive(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", ("x" * 300, b"1"))
    with pytest.raises(UserError, match="too long") as caught:
        unpack(archive, tmp_path / "out")
    assert not isinstance(caught.value, archives.DiskError)
