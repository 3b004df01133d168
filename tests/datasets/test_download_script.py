"""datasets/download_cyclegan_dataset.sh, with zip files from a local folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import PATIENCE

SCRIPT = Path(__file__).resolve().parents[2] / "datasets" / "download_cyclegan_dataset.sh"
TOOLS = ("bash", "unzip", "curl")  # wget knows no file://

pytestmark = pytest.mark.skipif(
    os.name == "nt" or any(shutil.which(tool) is None for tool in TOOLS),
    reason=f"needs {', '.join(TOOLS)}",
)


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    """A datasets folder, with a blank in its path, that holds a copy of the script."""
    folder = tmp_path / "my project" / "datasets"
    folder.mkdir(parents=True)
    shutil.copy(SCRIPT, folder)
    return folder


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    with zipfile.ZipFile(folder / "maps.zip", "w") as archive:
        for phase in ("trainA", "trainB", "testA", "testB"):
            archive.writestr(f"maps/{phase}/1.jpg", phase * 500)
    return folder


def run(
    datasets: Path, mirror: Path, *arguments: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, CYCLEGAN_DATASETS_URL=mirror.as_uri())
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        [str(shutil.which("bash")), str(datasets / SCRIPT.name), *arguments],
        cwd=mirror.parent,  # not the folder of the script
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def entries(datasets: Path) -> list[str]:
    return sorted(path.name for path in datasets.iterdir() if path.name != SCRIPT.name)


def test_download(datasets: Path, mirror: Path) -> None:
    result = run(datasets, mirror, "maps")
    assert result.returncode == 0, result.stderr
    assert entries(datasets) == ["maps"]  # no zip file, no temporary folder
    assert (datasets / "maps" / "testB" / "1.jpg").read_text() == "testB" * 500
    assert os.access(datasets / "maps", os.R_OK | os.W_OK | os.X_OK)


def test_zip_without_a_folder_of_its_own(datasets: Path, mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "maps.zip", "w") as archive:
        archive.writestr("trainA/1.jpg", "flat")
    assert run(datasets, mirror, "maps").returncode == 0
    assert (datasets / "maps" / "trainA" / "1.jpg").read_text() == "flat"
    assert entries(datasets) == ["maps"]


@pytest.mark.parametrize("arguments", [[], ["mpas"], [""], ["maps facades"], ["maps", "facades"]])
def test_wrong_name_lists_the_right_ones(
    datasets: Path, mirror: Path, arguments: list[str]
) -> None:
    result = run(datasets, mirror, *arguments)
    assert result.returncode == 2
    assert "vangogh2photo" in result.stderr and "iphone2dslr_flower" in result.stderr
    assert entries(datasets) == []


def test_cityscapes_is_explained(datasets: Path, mirror: Path) -> None:
    result = run(datasets, mirror, "cityscapes")
    assert result.returncode == 1
    assert "https://www.cityscapes-dataset.com" in result.stderr and "licence" in result.stderr
    assert entries(datasets) == []


def test_existing_folder_is_left_unchanged(datasets: Path, mirror: Path) -> None:
    (datasets / "maps").mkdir()
    (datasets / "maps" / "mine.txt").write_text("mine")
    result = run(datasets, mirror, "maps")
    assert result.returncode == 1 and "exists already" in result.stderr
    assert [path.name for path in (datasets / "maps").iterdir()] == ["mine.txt"]


def test_failed_download_leaves_nothing(datasets: Path, mirror: Path) -> None:
    result = run(datasets, mirror, "facades")
    assert result.returncode == 1
    assert "could not download" in result.stderr and "CYCLEGAN_DATASETS_URL" in result.stderr
    assert entries(datasets) == []


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_partial_download_leaves_nothing(datasets: Path, mirror: Path, share: float) -> None:
    whole = (mirror / "maps.zip").read_bytes()
    (mirror / "maps.zip").write_bytes(whole[: int(share * len(whole))])
    result = run(datasets, mirror, "maps")
    assert result.returncode == 1 and "error:" in result.stderr
    assert entries(datasets) == []


def test_zip_of_something_else_leaves_nothing(datasets: Path, mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "maps.zip", "w") as archive:
        archive.writestr("readme.txt", "moved")
    result = run(datasets, mirror, "maps")
    assert result.returncode == 1 and "holds no folder maps" in result.stderr
    assert entries(datasets) == []


def _tools(folder: Path, *names: str) -> str:
    """A PATH with only these programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"needs {name}")
        (folder / name).symlink_to(found)
    return str(folder)


BASICS = ("dirname", "mktemp", "mkdir", "mv", "rm")


def test_python_unpacks_where_unzip_is_missing(
    datasets: Path, mirror: Path, tmp_path: Path
) -> None:
    path = _tools(tmp_path / "bin", *BASICS, "curl")
    python = tmp_path / "bin" / "python3"  # this one: a python3 of the PATH may be a wrapper script
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    result = run(datasets, mirror, "maps", path=path)
    assert result.returncode == 0, result.stderr
    assert (datasets / "maps" / "trainA" / "1.jpg").read_text() == "trainA" * 500


def test_missing_tools_are_named(datasets: Path, mirror: Path, tmp_path: Path) -> None:
    result = run(datasets, mirror, "maps", path=_tools(tmp_path / "bin", *BASICS, "curl"))
    assert result.returncode == 1 and "neither unzip nor python3" in result.stderr
    result = run(datasets, mirror, "maps", path=_tools(tmp_path / "bin2", *BASICS, "unzip"))
    assert result.returncode == 1 and "neither curl nor wget" in result.stderr
    assert entries(datasets) == []
