"""scripts/check_dataset.py: its table, its picture and its exit code."""

from pathlib import Path

import pytest
from conftest import picture
from script_modules import script

from data.checks.headers import _jpeg, read_header
from util.run.session import run_program

SIZES = ["--load_size", "36", "--crop_size", "32"]


def check(*words: object) -> int:
    return run_program(lambda: script("check_dataset").main([str(word) for word in words]))


def test_exit_codes_and_files(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(pictures, *SIZES) == 0
    assert "nothing was found that is wrong" in capsys.readouterr().out
    assert (tmp_path / "results" / "check" / "pictures.jpg").is_file()
    path = pictures / "trainA" / "trainA_0.png"
    (pictures / "testA" / "copy.png").write_bytes(path.read_bytes())
    assert check(pictures, *SIZES, "--sheet", tmp_path / "mine.png") == 0
    assert "warning: 1 test images are copies of training images" in capsys.readouterr().out
    assert (tmp_path / "mine.png").is_file()
    assert check(pictures, *SIZES, "--sheet", "x.foo") == 2
    assert "--sheet x.foo: give an image file" in capsys.readouterr().err
    assert check(pictures, *SIZES, "--sheet", "x.npy") == 2
    assert "--sheet x.npy: give an image file" in capsys.readouterr().err
    (pictures / "trainB" / "broken.jpg").write_bytes(b"")
    assert check(pictures, *SIZES, "--sheet", "none") == 1
    assert "error: trainB: 1 files cannot be read (broken.jpg" in capsys.readouterr().out


def test_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").mkdir()
    picture(0, 60, 40).save(tmp_path / "train" / "1.png")
    assert check(tmp_path, *SIZES, "--preprocess", "crop", "--sheet", "none") == 1
    assert "1.png has 60x40" in capsys.readouterr().out


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "none") == 1
    assert check(tmp_path, "--crop_size", "0") == 2
    assert "--crop_size 0: must be above 0" in capsys.readouterr().err


def test_names_cannot_forge_a_line(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "trainA" / "a\x1b[31m\nerror: fake.png").write_bytes(b"")
    assert check(pictures, *SIZES, "--sheet", "none") == 1
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\nerror: fake" not in text


def test_a_jpeg_of_fill_bytes_is_read_to_its_end_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8" + b"\xff" * 5000)
    with path.open("rb", buffering=0) as file:
        reads: list[int] = []

        class Counted:
            def seek(self, place: int) -> None:
                file.seek(place)

            def read(self, size: int) -> bytes:
                reads.append(size)
                return file.read(size)

        assert _jpeg(file.read(4096), Counted()) is None  # type: ignore[arg-type]
    assert len(reads) < 5
    picture(0, 60, 40).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff" * 6000 + content[2:])
    assert (read_header(str(path)).width, read_header(str(path)).height) == (60, 40)
