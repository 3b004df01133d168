"""util/downloads/transfer.py against a server that misbehaves."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from http_server import Answers, serving

from util.downloads import transfer
from util.downloads.transfer import PAUSES, download
from util.errors import UsageError, UserError

CONTENT = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine between the test and its server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(answers: Answers, part: Path, path: str = "/x.zip") -> list[float]:
    """Download to `part`; returns the pauses."""
    pauses: list[float] = []
    download(answers.url + path, part, pauses.append)
    return pauses


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_file(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        assert fetch(answers, tmp_path / "part") == []
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert left(tmp_path) == ["part", "part.json"]


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000, 500])) as answers:
        pauses = fetch(answers, tmp_path / "part")
        assert answers.requests == [None, "bytes=1000-", "bytes=1500-"]
    assert pauses == [PAUSES[0], PAUSES[0]]  # each attempt brought something
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_later_call_resumes(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000, *[0] * len(PAUSES)])) as answers:
        with pytest.raises(UserError, match=r"ended after 1000 of 102400 bytes; the same command"):
            fetch(answers, tmp_path / "part")
        assert left(tmp_path) == ["part", "part.json"]
        answers.requests.clear()
        assert fetch(answers, tmp_path / "part") == []
        assert answers.requests == ["bytes=1000-"]
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"one"'])
def test_without_a_strong_validator_it_starts_again(tmp_path: Path, etag: str) -> None:
    with serving(Answers(CONTENT, breaks=[1000], etag=etag)) as answers:
        fetch(answers, tmp_path / "part")
        assert answers.requests == [None, None]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_all_again(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000], knows_ranges=False)) as answers:
        fetch(answers, tmp_path / "part")
        assert answers.requests == [None, "bytes=1000-"]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_mixed(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000, *[0] * len(PAUSES)])) as answers:
        with pytest.raises(UserError):
            fetch(answers, tmp_path / "part")
        answers.content, answers.etag = CONTENT[::-1], '"two"'
        fetch(answers, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT[::-1]


def test_another_address_starts_again(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000, *[0] * len(PAUSES)])) as answers:
        with pytest.raises(UserError):
            fetch(answers, tmp_path / "part")
        answers.requests.clear()
        fetch(answers, tmp_path / "part", "/other.zip")
        assert answers.requests == [None]


def test_a_complete_file_is_not_loaded_again(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        note = {"url": answers.url + "/x.zip", "validator": answers.etag}
        (tmp_path / "part").write_bytes(CONTENT)
        (tmp_path / "part.json").write_text(json.dumps(note))
        fetch(answers, tmp_path / "part")
        assert answers.requests == [f"bytes={len(CONTENT)}-"]
    assert left(tmp_path) == ["part", "part.json"]


def test_more_bytes_than_the_file_has_start_again(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        note = {"url": answers.url + "/x.zip", "validator": answers.etag}
        (tmp_path / "part").write_bytes(CONTENT + b"more")
        (tmp_path / "part.json").write_text(json.dumps(note))
        assert fetch(answers, tmp_path / "part") == [PAUSES[0]]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_part_from_elsewhere_in_the_file_is_not_taken(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000], shift=5)) as answers:
        fetch(answers, tmp_path / "part")
        assert answers.requests == [None, "bytes=1000-", None]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_when_it_says(tmp_path: Path) -> None:
    errors: list[tuple[int, dict[str, str]]] = [(503, {"Retry-After": "7"}), (503, {})]
    with serving(Answers(CONTENT, errors=[*errors, (429, {"Retry-After": "9999"})])) as answers:
        assert fetch(answers, tmp_path / "part") == [7.0, PAUSES[1], transfer.LONGEST_PAUSE]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, errors=[(503, {})] * 9)) as answers:
        pauses: list[float] = []
        with pytest.raises(UserError, match="the server answers 503"):
            download(answers.url, tmp_path / "part", pauses.append)
    assert pauses == list(PAUSES)


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, errors=[(404, {})])) as answers:
        with pytest.raises(UserError, match="the server answers 404 Not Found"):
            fetch(answers, tmp_path / "part")
        assert len(answers.requests) == 1
    assert left(tmp_path) == []


def test_a_length_above_the_truth_is_an_error(tmp_path: Path) -> None:
    truth = rf"ended after {len(CONTENT)} of {len(CONTENT) + 10} bytes"
    with (
        serving(Answers(CONTENT, lie=10, knows_ranges=False)) as answers,
        pytest.raises(UserError, match=truth),
    ):
        fetch(answers, tmp_path / "part")


def test_a_length_below_the_truth_is_noticed_in_a_resumed_part(tmp_path: Path) -> None:
    with serving(Answers(CONTENT, breaks=[1000])) as answers:
        answers.lie = -10  # each answer ends ten bytes early, and says that it is complete
        with pytest.raises(UserError, match=r"ended after .* of 102400 bytes"):
            # the first answer is 1000 bytes long; of the last ten none ever comes
            fetch(answers, tmp_path / "part")


def test_redirects_are_followed(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        answers.redirects["/x.zip"] = "/moved/x.zip"
        fetch(answers, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_redirects_to_files_and_from_https_are_refused(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        answers.redirects["/x.zip"] = Path(__file__).as_uri()
        with pytest.raises(UserError, match="could not download"):
            fetch(answers, tmp_path / "part")
    request = urllib.request.Request("https://host/x.zip")
    with pytest.raises(UserError, match="not encrypted"):
        transfer._SafeRedirects().redirect_request(request, None, 302, "", {}, "http://host/x.zip")  # type: ignore[arg-type]


def test_no_server_and_no_address(tmp_path: Path) -> None:
    with serving(Answers(CONTENT)) as answers:
        pass
    with pytest.raises(UserError, match="no connection"):
        fetch(answers, tmp_path / "part")
    with pytest.raises(UsageError, match="no address"):
        download("ftp://host/x.zip", tmp_path / "part")
    with pytest.raises(UserError, match="could not download"):
        download((tmp_path / "nothing.zip").as_uri(), tmp_path / "part")


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with serving(Answers(CONTENT)) as answers, pytest.raises(UserError, match="make room"):
        fetch(answers, tmp_path / "part")
