"""datasets/make_emoji_dataset.py, with small packages made here instead of npm's."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
VENDORS = ("google", "twitter")
#: usable in both packages
CODES = [f"1F6{i:02X}" for i in range(20)] + ["0023-FE0F-20E3"]
FLAG, SKIN, TONED, ONLY_GOOGLE = "1F1EA-1F1EC", "1F3FB", "1F44B-1F3FD", "1F9FF"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DATASETS))
    spec = importlib.util.spec_from_file_location(
        "make_emoji_dataset", DATASETS / "make_emoji_dataset.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def emoji_image(vendor: str, code: str) -> Image.Image:
    """The left half clear, the right half half-clear: red for google, blue for twitter."""
    shade = int(code.split("-")[0], 16) % 200
    colour = (255, shade, 0, 128) if vendor == "google" else (0, shade, 255, 128)
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste(colour, (32, 0, 64, 64))
    return image


def package_members(vendor: str) -> dict[str, bytes]:
    codes = [*CODES, FLAG, SKIN, TONED] + ([ONLY_GOOGLE] if vendor == "google" else [])
    category = {FLAG: "Flags", SKIN: "Component"}
    table = [{"unified": c, "category": category.get(c, "Objects")} for c in codes]
    table.append({"unified": ONLY_GOOGLE, "category": "Objects"})
    about = {"name": f"emoji-datasource-{vendor}", "version": "16.0.0"}
    members = {
        "package/package.json": json.dumps(about).encode(),
        "package/emoji.json": json.dumps(table).encode(),
        f"package/img/{vendor}/sheets/{vendor}.png": b"not for us",
        f"package/img/{vendor}/64/../../../../evil.png": b"not for us",
    }
    for code in codes:
        name = f"package/img/{vendor}/64/{code.lower()}.png"
        members[name] = png(emoji_image(vendor, code))
    return members


def write_package(folder: Path, vendor: str, members: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"emoji-datasource-{vendor}-16.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (package_members(vendor) if members is None else members).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    for vendor in VENDORS:
        write_package(tmp_path / "packages", vendor)
    return tmp_path / "packages"


def arguments(out: Path, packages: Path, test: int = 5, seed: int = 0) -> list[str]:
    numbers = ["--test", str(test), "--seed", str(seed)]
    return ["--out", str(out), "--packages", str(packages), *numbers]


def names(out: Path) -> dict[str, set[str]]:
    phases = ("trainA", "trainB", "testA", "testB")
    return {phase: {file.name for file in (out / phase).iterdir()} for phase in phases}


def fails(
    program: ModuleType, argv: list[str], capsys: pytest.CaptureFixture[str], code: int = 1
) -> str:
    """Run the program, which must end with ``code`` and one line; returns the line."""
    assert program.main(argv) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error and error.isascii()
    return error


def test_split(program: ModuleType, packages: Path, tmp_path: Path) -> None:
    assert program.main(arguments(tmp_path / "emoji", packages)) == 0
    found = names(tmp_path / "emoji")
    assert {phase: len(files) for phase, files in found.items()} == {
        "trainA": 8, "trainB": 8, "testA": 5, "testB": 5,
    }  # fmt: skip
    assert found["testA"] == found["testB"]
    assert not found["trainA"] & found["trainB"]
    assert not (found["trainA"] | found["trainB"]) & found["testA"]
    # Everything usable is used; flags, skin tones and emoji of one package only are not.
    assert set().union(*found.values()) == {f"{code.lower()}.png" for code in CODES}


def test_images_are_on_white_and_on_the_right_side(
    program: ModuleType, packages: Path, tmp_path: Path
) -> None:
    assert program.main(arguments(tmp_path / "emoji", packages)) == 0
    for path in (tmp_path / "emoji").rglob("*.png"):
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (64, 64))
            values = np.asarray(image).astype(int)
        assert (values[:, :32] == 255).all()
        red, _, blue = values[10, 50]
        strong, weak = (red, blue) if path.parent.name.endswith("A") else (blue, red)
        assert strong == 255 and 126 <= weak <= 128


@pytest.mark.parametrize("mode", ["P", "LA", "L"])
def test_other_png_modes(program: ModuleType, packages: Path, tmp_path: Path, mode: str) -> None:
    members = package_members("google")
    for code in CODES:
        image = emoji_image("google", code)
        members[f"package/img/google/64/{code.lower()}.png"] = png(image.convert(mode))
    write_package(packages, "google", members)
    assert program.main(arguments(tmp_path / "emoji", packages)) == 0
    for path in (tmp_path / "emoji" / "trainA").iterdir():
        with Image.open(path) as image:
            assert image.mode == "RGB"
            corner = image.getpixel((0, 0))
        # Grey without alpha has no clear parts; palettes and grey with alpha keep theirs.
        assert corner == ((0, 0, 0) if mode == "L" else (255, 255, 255))


def test_seed_decides_the_split(program: ModuleType, packages: Path, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("two", 1), ("three", 2)):
        assert program.main(arguments(tmp_path / folder, packages, seed=seed)) == 0
    one, two, three = (names(tmp_path / folder) for folder in ("one", "two", "three"))
    assert one == two
    assert one["testA"] != three["testA"]


def test_complete_folder_is_left_unchanged_without_packages(
    program: ModuleType, packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "emoji"
    assert program.main(arguments(out, packages)) == 0
    capsys.readouterr()
    assert program.main(arguments(out, tmp_path / "nowhere")) == 0
    assert "left unchanged" in capsys.readouterr().out
    next((out / "testB").iterdir()).unlink()
    assert "no emoji-datasource-google-16.0.0.tgz" in fails(
        program, arguments(out, tmp_path / "nowhere"), capsys, 2
    )


def test_other_peoples_files_are_left_alone(
    program: ModuleType, packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "emoji"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert "holds other files (notes.txt)" in fails(program, arguments(out, packages), capsys)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_too_many_test_pairs(
    program: ModuleType, packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "emoji"
    error = fails(program, arguments(out, packages, test=20), capsys, 2)
    assert "--test 20: there are 21 emoji; choose at most 19" in error
    assert not out.exists()
    assert program.main(arguments(out, packages, test=19)) == 0


def damaged(kind: str) -> dict[str, bytes]:
    """Members of a package of Twitter with one thing wrong."""
    members: dict[str, Any] = package_members("twitter")
    images = [name for name in members if "/64/" in name]
    if kind == "other package":
        members["package/package.json"] = b'{"name": "left-pad", "version": "16.0.0"}'
    elif kind == "other version":
        members["package/package.json"] = (
            b'{"name": "emoji-datasource-twitter", "version": "15.0.0"}'
        )
    elif kind == "no table":
        members["package/emoji.json"] = b'{"unified": 1}'
    elif kind == "bad JSON":
        members["package/emoji.json"] = b"{"
    elif kind == "no images":
        members = {name: data for name, data in members.items() if name not in images}
    elif kind == "wrong size":
        members.update(dict.fromkeys(images, png(Image.new("RGBA", (32, 32)))))
    elif kind == "broken image":
        members.update({name: members[name][:60] for name in images})
    return members


@pytest.mark.parametrize(
    "kind",
    [
        "other package",
        "other version",
        "no table",
        "bad JSON",
        "no images",
        "wrong size",
        "broken image",
    ],
)
def test_wrong_package(
    program: ModuleType,
    packages: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    write_package(packages, "twitter", damaged(kind))
    error = fails(program, arguments(tmp_path / "emoji", packages), capsys)
    assert "emoji-datasource-twitter-16.0.0.tgz" in error and "get the file again" in error


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_cut_off_package(
    program: ModuleType,
    packages: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    keep: float,
) -> None:
    path = packages / "emoji-datasource-google-16.0.0.tgz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    error = fails(program, arguments(tmp_path / "emoji", packages), capsys)
    assert path.name in error and "get the file again" in error
    assert not (tmp_path / "emoji").exists()


def test_without_npm(
    program: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = fails(program, ["--out", str(tmp_path / "emoji")], capsys)
    assert "npm was not found" in error and "--packages" in error


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for npm is a shell script")
def test_npm_that_fails_and_npm_that_works(
    program: ModuleType,
    packages: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    refusal = "npm error code E1\\nnpm error no network"
    npm.write_text(f'#!/bin/sh\nprintf "{refusal}\\n" >&2\nexit 1\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    error = fails(program, ["--out", str(tmp_path / "emoji")], capsys)
    assert "npm pack emoji-datasource-google@16.0.0" in error and "no network" in error
    npm.write_text(f'#!/bin/sh\ncp "{packages}/$(echo "$2" | tr @ -).tgz" .\n')
    assert program.main(["--out", str(tmp_path / "emoji"), "--test", "5"]) == 0
    assert len(names(tmp_path / "emoji")["testA"]) == 5
