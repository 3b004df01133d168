"""util/downloads/published.py: addresses, mirrors and the records of what has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from util.downloads.published import Publication, choose, downloaded, read_record
from util.errors import UsageError, UserError
from util.files import sha256_of

FIRST = Publication("https://host/one", ".zip", "MIRROR_ONE", ("maps", "mini"))
SECOND = Publication("https://host/two", ".tar.gz", "MIRROR_TWO", ("maps", "shoes"))
BOTH = {"one": FIRST, "two": SECOND}


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("https://mirror/sets/", "https://mirror/sets/maps.zip"),
        ("https://mirror/{name}/{name}.bin", "https://mirror/maps/maps.bin"),
        ("https://mirror/other.zip", "https://mirror/other.zip"),
    ],
)
def test_addresses(place: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR_ONE", raising=False)
    assert FIRST.url("maps") == "https://host/one/maps.zip"
    assert FIRST.url("maps", place) == url
    monkeypatch.setenv("MIRROR_ONE", place)
    assert FIRST.url("maps") == url
    assert FIRST.url("maps", "https://flag") == "https://flag/maps.zip"


def test_names() -> None:
    assert choose("maps", BOTH, "one") is FIRST and choose("maps", BOTH, "two") is SECOND
    assert choose("shoes", BOTH, "one") is SECOND
    with pytest.raises(UsageError, match=r"no 'shose'; did you mean shoes\?(.|\n)*maps mini"):
        choose("shose", BOTH, "one")


def source(folder: Path, content: bytes) -> str:
    (folder / "maps.zip").write_bytes(content)
    return (folder / "maps.zip").as_uri()


def test_the_record_of_a_download(tmp_path: Path) -> None:
    target = tmp_path / "datasets" / "maps"
    url = source(tmp_path, b"content")
    with downloaded(url, target, "MIRROR") as part:
        digest = sha256_of(part)
    record = target.with_name("maps.sha256")
    assert record.read_text() == f"{digest}  maps.zip\n"
    assert list(target.parent.iterdir()) == [record]
    with downloaded(url, target, "MIRROR"):  # the same again
        pass
    record.write_text(f"{digest}  maps.tar.gz\n" + record.read_text())
    with (
        pytest.raises(UserError, match=r"not the file that was downloaded before.*maps\.sha256"),
        downloaded(source(tmp_path, b"other"), target, "MIRROR"),
    ):
        raise AssertionError("the block must not begin")
    assert read_record(record) == {"maps.zip": digest, "maps.tar.gz": digest}
    assert list(target.parent.iterdir()) == [record]


def test_what_cannot_be_used_is_not_recorded(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"maps\.zip cannot be used: too grey"),
        downloaded(source(tmp_path, b"content"), tmp_path / "maps", "MIRROR"),
    ):
        raise UserError("too grey")
    assert [path.name for path in tmp_path.iterdir()] == ["maps.zip"]


def test_a_program_that_is_stopped_keeps_what_has_come(tmp_path: Path) -> None:
    url = source(tmp_path, b"content")
    with pytest.raises(KeyboardInterrupt), downloaded(url, tmp_path / "maps", "MIRROR"):
        raise KeyboardInterrupt
    assert (tmp_path / ".maps.part").read_bytes() == b"content"
    with (
        pytest.raises(UserError, match=r"cannot write .*maps: no room"),
        downloaded(url, tmp_path / "maps", "MIRROR"),
    ):
        raise OSError(28, "no room")


def test_an_existing_target_and_a_missing_source(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    with pytest.raises(UserError, match="exists already"), downloaded("", tmp_path / "maps", ""):
        pass
    missing = (tmp_path / "none.zip").as_uri()
    with pytest.raises(UserError, match="MIRROR"), downloaded(missing, tmp_path / "new", "MIRROR"):
        pass
