"""02_inference.py writes over no file but the results of earlier translations."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import picture
from tiny_runs import infer, make_run, names

from util.errors import UserError
from util.files import sha256_of
from util.results.written_files import HEAD, WrittenFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a run, and images in a folder and below it."""
    make_run(tmp_path, "")
    for number, name in enumerate(["x.png", "sub/x.png"]):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number, 16, 16).save(tmp_path / "in" / name)
    return tmp_path / "in"


def hard_link(folder: Path) -> Path:
    (folder.parent / "out").mkdir()
    os.link(folder / "x.png", folder.parent / "out/x.png")
    return folder.parent / "out"


def link_to_the_input(folder: Path) -> Path:
    (folder.parent / "out").mkdir()
    (folder.parent / "out/x.png").symlink_to(folder / "x.png")
    return folder.parent / "out"


def link_of_a_sub_folder(folder: Path) -> Path:
    (folder.parent / "out").mkdir()
    (folder.parent / "out/sub").symlink_to(folder / "sub")
    return folder.parent / "out"


def input_is_a_link_to_the_output(folder: Path) -> Path:
    (folder.parent / "out").mkdir()
    (folder / "x.png").rename(folder.parent / "out/x.png")
    (folder / "x.png").symlink_to(folder.parent / "out/x.png")
    return folder.parent / "out"


PLACES = [hard_link, link_to_the_input, link_of_a_sub_folder, input_is_a_link_to_the_output]


def contents(where: Path) -> dict[str, bytes]:
    return {name: (where / name).read_bytes() for name in names(where) if (where / name).is_file()}


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--skip_existing"]])
@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_a_result_onto_an_input(
    place: Callable[[Path], Path], more: list[str], folder: Path, capsys
) -> None:
    output = place(folder)
    before = contents(folder), contents(output)
    assert infer(folder.parent, "--input", folder, "--output", output, *more) == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert (contents(folder), contents(output)) == before


def test_the_gallery_replaces_no_input(tmp_path: Path, capsys) -> None:
    make_run(tmp_path, "")
    images = tmp_path / "results/run/test_latest/images"
    images.mkdir(parents=True)
    for name in ("x.png", "x_real.png"):
        picture(0, 16, 16).save(images / name)
    before = contents(images)
    assert infer(tmp_path, "--input", images) == 2
    assert "x_real.png would overwrite the input" in capsys.readouterr().err
    assert contents(images) == before


@pytest.mark.parametrize("format_flag", [[], ["--format", "png"]])
def test_files_that_no_translation_wrote_are_replaced_on_request_alone(
    format_flag: list[str], folder: Path, capsys
) -> None:
    output = folder.parent / "out"
    (output / "sub").mkdir(parents=True)
    (output / "sub/x.png").write_bytes(b"a photo")
    words = ["--input", folder, "--output", output, *format_flag]
    assert infer(folder.parent, *words) == 2
    assert "sub/x.png exists, and" in capsys.readouterr().err
    assert contents(output) == {"sub/x.png": b"a photo"}
    assert infer(folder.parent, *words, "--overwrite") == 0
    assert names(output) == ["sub/x.png", "x.png"]
    assert infer(folder.parent, *words) == 0  # they are results now
    (output / "x.png").write_bytes(b"retouched")
    assert infer(folder.parent, *words) == 2
    assert (output / "x.png").read_bytes() == b"retouched"
    assert infer(folder.parent, *words, "--skip_existing") == 0
    assert (output / "x.png").read_bytes() == b"retouched"


def test_a_neighbour_of_the_input_is_not_replaced(folder: Path) -> None:
    (folder / "y.jpg").write_bytes(b"a photo")
    (folder / "x.png").rename(folder / "y.png")
    words = ["--input", folder / "y.png", "--output", folder, "--format", "jpg"]
    assert infer(folder.parent, *words) == 2
    assert (folder / "y.jpg").read_bytes() == b"a photo"


@pytest.mark.parametrize("name", ["x.png", "sub/ä\n\\x\r.png", "\udcff.png"])
def test_the_list_knows_names_of_all_kinds(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"result")
    WrittenFiles(tmp_path, overwrite=False).add(path, sha256_of(path))
    again = WrittenFiles(tmp_path, overwrite=False)
    again.refuse_foreign([path, tmp_path / "absent.png"])
    again.add(path, sha256_of(path))
    lines = (tmp_path / ".translated").read_bytes().splitlines()
    assert len(lines) == 2
    path.write_bytes(b"another")
    with pytest.raises(UserError, match="--overwrite"):
        again.refuse_foreign([path])


def test_a_foreign_file_with_the_name_of_the_list_stays_as_it_is(folder: Path, capsys) -> None:
    output = folder.parent / "out"
    output.mkdir()
    words = ["--input", folder, "--output", output]
    (output / ".translated").write_text("notes\n")
    assert infer(folder.parent, *words) == 1
    assert "is not the list of results" in capsys.readouterr().err
    assert contents(output) == {}
    assert (output / ".translated").read_text() == "notes\n"
    (output / ".translated").unlink()
    notes = folder.parent / "notes"
    notes.write_text(HEAD)
    (output / ".translated").symlink_to(notes)
    assert infer(folder.parent, *words) == 1
    assert notes.read_text() == HEAD


def test_overwriting_needs_a_folder_and_no_contradiction(folder: Path, capsys) -> None:
    for words in (["--overwrite"], ["--overwrite", "--skip_existing", "--output", "out"]):
        with pytest.raises(SystemExit, match="2"):
            infer(folder.parent, "--input", folder, *words)
        assert "--overwrite" in capsys.readouterr().err
