"""datasets/download_dataset.py and the older .sh names, with archives from a local folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from conftest import PATIENCE

from util.downloads import archives

DATASETS = Path(__file__).resolve().parents[2] / "datasets"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "download_dataset", DATASETS / "download_dataset.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.DATASETS == DATASETS  # which data sets are put into
    monkeypatch.setattr(module, "DATASETS", tmp_path / "my datasets")
    for variable in ("CYCLEGAN_DATASETS_URL", "PIX2PIX_DATASETS_URL"):
        monkeypatch.setenv(variable, mirror.as_uri())
    return module


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    with zipfile.ZipFile(folder / "maps.zip", "w") as archive:
        for phase in ("trainA", "trainB", "testA", "testB"):
            archive.writestr(f"maps/{phase}/1.jpg", phase * 500)
    source = tmp_path / "source" / "maps" / "train"
    source.mkdir(parents=True)
    (source / "1.jpg").write_text("pair")
    with tarfile.open(folder / "maps.tar.gz", "w:gz") as tar:
        tar.add(source.parent, "maps")
    return folder


def entries(tmp_path: Path) -> list[str]:
    folder = tmp_path / "my datasets"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def fails(
    program: ModuleType, capsys: pytest.CaptureFixture[str], *argv: str, code: int = 1
) -> str:
    assert program.main(argv) == code
    return capsys.readouterr().err


def test_download(program: ModuleType, tmp_path: Path) -> None:
    assert program.main(["maps"]) == 0
    assert entries(tmp_path) == ["maps", "maps.sha256"]  # no archive, no temporary folder
    target = tmp_path / "my datasets" / "maps"
    assert (target / "testB" / "1.jpg").read_text() == "testB" * 500
    assert os.access(target, os.R_OK | os.W_OK | os.X_OK)


def test_pairs(program: ModuleType, tmp_path: Path) -> None:
    assert program.main(["--pix2pix", "maps", "--output", str(tmp_path / "new/pairs")]) == 0
    assert (tmp_path / "new/pairs/train/1.jpg").read_text() == "pair"


def test_zip_without_a_folder_of_its_own(program: ModuleType, tmp_path: Path, mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "maps.zip", "w") as archive:
        archive.writestr("trainA/1.jpg", "flat")
    assert program.main(["maps"]) == 0
    assert (tmp_path / "my datasets/maps/trainA/1.jpg").read_text() == "flat"


@pytest.mark.parametrize("arguments", [[], ["mpas"], [""], ["maps facades"], ["maps", "facades"]])
def test_wrong_name_lists_the_right_ones(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    error = fails(program, capsys, *arguments, code=2)
    assert "vangogh2photo" in error and "iphone2dslr_flower" in error and "night2day" in error
    assert entries(tmp_path) == []


@pytest.mark.parametrize("more", [[], ["--pix2pix"]])
def test_cityscapes_is_explained(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    error = fails(program, capsys, "cityscapes", *more)
    assert "https://www.cityscapes-dataset.com" in error and "licence" in error
    assert "prepare_cityscapes_dataset.py --gtFine_dir" in error
    assert entries(tmp_path) == []


def test_existing_folder_is_left_unchanged(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "my datasets" / "maps"
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    assert "exists already" in fails(program, capsys, "maps")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]


def test_failed_download_leaves_nothing(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = fails(program, capsys, "facades")
    assert "could not download" in error and "CYCLEGAN_DATASETS_URL" in error
    assert entries(tmp_path) == []


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_partial_archive_leaves_nothing(
    program: ModuleType,
    tmp_path: Path,
    mirror: Path,
    capsys: pytest.CaptureFixture[str],
    share: float,
) -> None:
    whole = (mirror / "maps.zip").read_bytes()
    (mirror / "maps.zip").write_bytes(whole[: int(share * len(whole))])
    assert "error:" in fails(program, capsys, "maps")
    assert entries(tmp_path) == []


def test_zip_of_something_else_leaves_nothing(
    program: ModuleType, tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(mirror / "maps.zip", "w") as archive:
        archive.writestr("readme.txt", "moved")
    assert "holds no folder maps" in fails(program, capsys, "maps")
    assert entries(tmp_path) == []


def test_needs_nothing_but_python() -> None:
    program = str(DATASETS / "download_dataset.py")
    # -I and -S: without the packages that are installed
    isolated = subprocess.run([sys.executable, "-I", "-S", program, "--help"], timeout=PATIENCE)
    assert isolated.returncode == 0


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("kind", ["cyclegan", "pix2pix"])
def test_the_older_names(tmp_path: Path, mirror: Path, kind: str) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"  # this one: a python3 of the PATH may be older
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    mirrors = {f"{kind.upper()}_DATASETS_URL": mirror.as_uri(), "PATH": path}
    script = str(DATASETS / f"download_{kind}_dataset.sh")
    subprocess.run(
        [str(shutil.which("bash")), script, "maps", "--output", "out"],
        cwd=tmp_path,
        env={**os.environ, **mirrors},
        check=True,
        timeout=PATIENCE,
    )
    phase = "train" if kind == "pix2pix" else "trainB"
    assert (tmp_path / "out" / phase / "1.jpg").is_file()


def test_a_full_disk_keeps_the_download(
    program: ModuleType,
    tmp_path: Path,
    mirror: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(archives, "RESERVE", 2**62)  # of which no disk has so much
        message = fails(program, capsys, "maps")
    part = tmp_path / "my datasets" / ".maps.part"
    assert message.rstrip().endswith(
        "maps.part would unpack to more than the disk holds: free some of it; the same command "
        f"goes on, as {part} is kept"
    )
    assert entries(tmp_path) == [".maps.part", ".maps.part.json"]
    monkeypatch.setenv("CYCLEGAN_DATASETS_URL", mirror.as_uri())
    assert program.main(["maps"]) == 0
    assert entries(tmp_path) == ["maps", "maps.sha256"]


def test_names_that_the_console_cannot_show(tmp_path: Path, mirror: Path) -> None:
    words = [sys.executable, DATASETS / "download_dataset.py", "maps", "--url", mirror.as_uri()]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "LC_ALL": "C.UTF-8"}
    words += ["--output", tmp_path / "żółw"]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert b"\\u017c" in done.stdout
