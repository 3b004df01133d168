"""scripts/pack_shards.py: image files byte by byte, shards of equal size, their index."""

import json
import tarfile
from pathlib import Path

import pytest
from conftest import picture
from script_modules import script
from tiny_runs import optional_package

from data.reading.shard_index import index_place, with_slashes
from util.run.session import run_program


def pack(*words: object) -> int:
    return run_program(lambda: script("pack_shards").main([str(word) for word in words]))


def content(shards: Path, name: str) -> dict[str, bytes]:
    """Return path in the folder -> bytes, for all shards of a folder, in their order."""
    found = {}
    for path in sorted(shards.glob(f"{name}-*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                assert file is not None
                found[entry.name] = file.read()
    return found


def test_shards_hold_the_bytes_of_each_folder_and_the_index_their_number(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "trainA" / "notes.txt").write_text("x")
    out = tmp_path / "shards"
    assert pack(pictures, out, "--images", 2) == 0
    for name in ("trainA", "trainB", "testA", "testB"):
        files = {
            path.relative_to(pictures / name).as_posix(): path.read_bytes()
            for path in (pictures / name).rglob("*.png")
        }
        assert content(out, name) == files
    index = json.loads((out / "trainA-index.json").read_text())["shardlist"]
    assert [shard["url"] for shard in index] == [f"trainA-00000{n}.tar" for n in range(3)]
    assert [shard["nsamples"] for shard in index] == [1, 2, 2]
    assert index[0]["filesize"] == (out / "trainA-000000.tar").stat().st_size


def test_packing_again_writes_the_same_files_in_a_random_or_the_sorted_order(
    pictures: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        assert pack(pictures, tmp_path / name) == 0
    assert pack(pictures, tmp_path / "sorted", "--in_order", "--folders", "trainA") == 0
    names = [list(content(tmp_path / name, "trainA")) for name in ("one", "sorted")]
    assert names[0] != names[1] == sorted(names[1])
    assert not (tmp_path / "sorted" / "trainB-000000.tar").exists()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_shards_are_never_overwritten(pictures: Path, tmp_path: Path, capsys) -> None:
    assert pack(pictures, tmp_path / "out") == 0
    assert pack(pictures, tmp_path / "out") == 1
    assert "holds shards of testA: delete them" in capsys.readouterr().err


def test_mistakes_are_one_line(pictures: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (pictures / "emptyA").mkdir()
    cases = (
        ([], 2, "give the data folder"),
        ([pictures, tmp_path / "o", "--images", 0], 2, "--images 0"),
        ([tmp_path / "none", tmp_path / "o"], 1, "there is no folder"),
        ([tmp_path / "empty", tmp_path / "o"], 1, "holds no folder such as trainA"),
        ([pictures, tmp_path / "o", "--folders", "emptyA"], 1, "emptyA holds no image"),
    )
    for words, code, message in cases:
        assert pack(*words) == code
        text = capsys.readouterr().err
        assert message in text
        assert text.count("\n") == 1


def test_the_index_of_other_shards(pictures: Path, tmp_path: Path, capsys) -> None:
    optional_package("webdataset")
    out = tmp_path / "shards"
    assert pack(pictures, out, "--images", 2, "--folders", "trainA") == 0
    written = (out / "trainA-index.json").read_text()
    (out / "trainA-index.json").unlink()
    assert pack("--index", f"{out.as_posix()}/trainA-{{000000..000002}}.tar") == 0
    assert "5 images" in capsys.readouterr().out
    assert (out / "trainA-index.json").read_text() == written
    assert pack("--index", f"{out.as_posix()}/trainA-{{000000..000003}}.tar") == 1
    assert "trainA-000003.tar" in capsys.readouterr().err
    assert pack("--index", "https://host/A-0.tar") == 2
    assert "run it where they are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shards", "place"),
    [
        ("d/A-{000..063}.tar", "d/A-index.json"),
        ("d/A-007.tar", "d/A-index.json"),
        ("A.tar", "A-index.json"),
        ("https://host/A-{0..3}.tar.gz?key=1", "https://host/A-index.json?key=1"),
        ("pipe:aws s3 cp s3://b/A-{0..3}.tar -", "pipe:aws s3 cp s3://b/A-index.json -"),
    ],
)
def test_the_index_lies_beside_the_shards(shards: str, place: str) -> None:
    assert index_place(shards) == place


def test_a_folder_with_a_slash_is_the_same_folder(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(pictures, tmp_path / "out", "--folders", "trainA/") == 0
    assert content(tmp_path / "out", "trainA")
    assert pack(pictures, tmp_path / "out", "--folders", "trainA/") == 1
    assert "holds shards of trainA" in capsys.readouterr().err


def test_shards_appear_whole_and_what_a_stop_left_is_replaced(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    module = script("pack_shards")
    write_shard, written = module.write_shard, []

    def stopped(shard: Path, folder: Path, paths: list[str]) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(shard)
        write_shard(shard, folder, paths)

    monkeypatch.setattr(module, "write_shard", stopped)
    words = [str(pictures), str(out), "--images", "2", "--folders", "trainA"]
    assert run_program(lambda: module.main(words)) == 130
    assert written and not list(out.glob("trainA-*"))
    monkeypatch.setattr(module, "write_shard", write_shard)
    (out / ".trainA.packing" / "trainA-000009.tar").write_bytes(b"of a larger folder")
    assert run_program(lambda: module.main(words)) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [*(f"trainA-00000{n}.tar" for n in range(3)), "trainA-index.json"]


def test_an_image_that_cannot_be_read_is_named(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "trainA" / "gone.png").symlink_to("nowhere.png")
    assert pack(pictures, tmp_path / "out", "--folders", "trainA") == 1
    message = capsys.readouterr().err
    assert "cannot read the image" in message and "gone.png" in message
    assert not list((tmp_path / "out").glob("trainA-*"))


def test_folders_beside_index_are_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(pictures, tmp_path / "out", "--index", "A-0.tar") == 2
    assert "--index packs nothing" in capsys.readouterr().err


def test_paths_of_windows_have_slashes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_slashes("a\\b-0.tar") == "a\\b-0.tar"
    monkeypatch.setattr("data.reading.shard_index.os.name", "nt")
    assert with_slashes("C:\\data\\A-{000..003}.tar") == "C:/data/A-{000..003}.tar"


def test_folders_below_others(pictures: Path, tmp_path: Path) -> None:
    (pictures / "winter" / "trainA").mkdir(parents=True)
    picture(200, 36, 36).save(pictures / "winter" / "trainA" / "w.png")
    assert pack(pictures, tmp_path / "out", "--folders", "winter/trainA") == 0
    assert list(content(tmp_path / "out", "trainA")) == ["w.png"]
