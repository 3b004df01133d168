"""Tar shards: the images of an epoch, their order, resuming, processes, pipes, and mistakes."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, picture
from script_modules import script
from tiny_runs import optional_package

from data import create_dataset
from data.inference.fixed_samples import fixed_samples
from data.loader import CustomDatasetDataLoader
from data.reading import shard_streams
from data.reading.shard_order import ShardOrder
from data.shards_dataset import ShardsDataset
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import DataError, UsageError, UserError
from util.options import Options

optional_package("webdataset")
Make = Callable[..., Options]
A, B = 23, 14


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 shards of A with 4 or 5 images, 3 of B, and the folders that they were packed from."""
    root = tmp_path_factory.mktemp("shards")
    for side, count in (("trainA", A), ("trainB", B)):
        (root / "folders" / side).mkdir(parents=True)
        for i in range(count):
            picture(100 * count + i, 40, 40).save(root / "folders" / side / f"{side}_{i}.png")
    script("pack_shards").main([str(root / "folders"), str(root / "tar"), "--images", "5"])
    return root / "tar"


@pytest.fixture
def opt(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(shard_streams, "PAUSES", ())
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)

    def make(*words: str, root: object = shards) -> Options:
        where = ["--dataroot", str(root), "--checkpoints_dir", str(tmp_path / "runs")]
        mode = ["--dataset_mode", "shards", "--num_threads", "0", "--shard_shuffle", "6"]
        return TrainOptions().parse([*where, *TINY, *mode, *words])

    return make


def piped(shards: Path, side: str, last: int) -> str:
    """Return a `pipe:` pattern for the shards of a side."""
    code = "import sys,shutil;shutil.copyfileobj(open(sys.argv[1],'rb'),sys.stdout.buffer)"
    path = f"{shards.as_posix()}/train{side}-{{000000..{last:06d}}}.tar"
    return f'pipe:"{Path(sys.executable).as_posix()}" -c "{code}" {path}'


def pipes(shards: Path) -> dict[str, str]:
    return {"root": piped(shards, "A", 4), "B": piped(shards, "B", 2)}


def seen(loader: CustomDatasetDataLoader, epoch: int = 1, start: int = 0) -> list[tuple[str, str]]:
    return [
        (Path(a).name, Path(b).name)
        for batch in loader.batches(epoch, start)
        for a, b in zip(batch["A_paths"], batch["B_paths"], strict=True)
    ]


def sums(loader: CustomDatasetDataLoader, epoch: int = 1) -> list[tuple[float, float]]:
    return [(float(x["A"].sum()), float(x["B"].sum())) for x in loader.batches(epoch)]


def test_an_epoch_has_each_image_of_the_longer_side_once_and_the_shorter_again(opt: Make) -> None:
    loader = create_dataset(opt())
    assert len(loader) == A
    orders = [seen(loader, epoch) for epoch in (1, 2)]
    for order in orders:
        assert sorted(a for a, _ in order) == sorted(f"trainA_{i}.png" for i in range(A))
        assert set(Counter(b for _, b in order).values()) <= {1, 2}
        assert len({b for _, b in order}) == B
    assert orders[0] != orders[1]
    assert [a for a, _ in orders[0]] != sorted(a for a, _ in orders[0])
    pairs = [dict(order) for order in orders]
    assert pairs[0] != pairs[1]  # B is drawn independently of A


def test_items_are_those_of_the_files(opt: Make, shards: Path) -> None:
    loader = create_dataset(opt("--no_flip", "--serial_batches", "--preprocess", "none"))
    files = {path.name: path for path in (shards.parent / "folders").rglob("*.png")}
    for batch in loader.batches(1):
        for side in "AB":
            path = files[Path(batch[f"{side}_paths"][0]).name]
            (expected,) = loader.dataset.read(str(path), loader.dataset.random(0), 3)
            assert torch.equal(batch[side][0], expected)


def test_serial_batches_come_as_stored_and_max_dataset_size_takes_the_first(opt: Make) -> None:
    loader = create_dataset(opt("--serial_batches"))
    paths = loader.dataset.A_paths[:]
    assert [a for a, _ in seen(loader)] == [Path(path).name for path in paths]
    few = create_dataset(opt("--max_dataset_size", "7"))
    assert len(few) == 7
    assert {a for a, _ in seen(few)} == {Path(path).name for path in paths[:7]}


@pytest.mark.parametrize("words", [(), ("--shard_streams", "1"), ("--shard_streams", "2")])
def test_an_epoch_resumes_at_any_position(words: tuple[str, ...], opt: Make, shards: Path) -> None:
    whole = seen(create_dataset(opt(*words)), 3)
    for start in (1, 8, 22):
        assert seen(create_dataset(opt(*words)), 3, start) == whole[start:]
    sources = pipes(shards)
    loader = create_dataset(opt("--dataroot_B", sources["B"], *words, root=sources["root"]))
    pairs = sums(loader, 3)
    assert [(float(x["A"].sum()), float(x["B"].sum())) for x in loader.batches(3, 9)] == pairs[9:]


def test_workers_change_nothing_and_pipes_give_the_items_of_files(opt: Make, shards: Path) -> None:
    alone = sums(create_dataset(opt()))
    assert sums(create_dataset(opt("--num_threads", "2"))) == alone
    sources = pipes(shards)
    words = ("--dataroot_B", sources["B"])
    for threads in ("0", "2"):
        loader = create_dataset(opt(*words, "--num_threads", threads, root=sources["root"]))
        fixed_samples(loader.dataset.opt, loader.dataset)  # reads pipes before workers are forked
        assert sums(loader) == alone
        assert sums(loader, 2) == sums(create_dataset(opt()), 2)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_the_slices_of_any_number_of_processes_make_one_epoch(
    processes: int, opt: Make, shards: Path
) -> None:
    alone = seen(create_dataset(opt()))
    datasets = [create_dataset(opt()).dataset for _ in range(processes)]
    items = [datasets[index % processes][index] for index in range(A)]
    assert [(Path(x["A_paths"]).name, Path(x["B_paths"]).name) for x in items] == alone


def test_each_stream_is_read_by_one_process_and_shards_of_equal_size_once(
    opt: Make, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    start = shard_streams._Stream.__init__
    monkeypatch.setattr(
        shard_streams._Stream,
        "__init__",
        lambda self, url, window: opened.append(url) or start(self, url, window),
    )
    order = ShardOrder([6] * 8, 4, 3, 0, "A")
    for processes in (1, 2, 4):
        shards_of = [
            {order.index(1, item) // 6 for item in range(rank, 48, processes)}
            for rank in range(processes)
        ]
        assert sum(map(len, shards_of)) == 8  # no shard is read by two
    sources = pipes(shards)
    words = ("--dataroot_B", sources["B"], "--max_dataset_size", "8", "--shard_streams", "1")
    loader = create_dataset(opt(*words, root=sources["root"]))
    assert len(list(loader.batches(1))) == len(loader) == 8
    assert Counter(opened).most_common(1)[0][1] == 1


def test_the_order_is_a_permutation_in_each_turn_that_mixes_shards() -> None:
    order = ShardOrder([5, 3, 9, 4], 3, 4, 7, "A")
    for epoch in (1, 2):
        assert sorted(order.index(epoch, item) for item in range(21)) == list(range(21))
        later = Counter(order.index(epoch, item) for item in range(63))
        assert set(later.values()) == {3}
    assert [order.index(1, i) for i in range(21)] != [order.index(2, i) for i in range(21)]
    other = ShardOrder([5, 3, 9, 4], 3, 4, 8, "A")
    assert [order.index(1, i) for i in range(21)] != [other.index(1, i) for i in range(21)]


def test_an_image_that_was_passed_is_read_again(shards: Path) -> None:
    url = piped(shards, "A", 4).replace("{000000..000004}", "000001")
    streams = shard_streams.ShardStreams(window=1, limit=2)
    images = [streams.read(url, position) for position in (0, 1, 2, 3)]
    assert [streams.read(url, position) for position in (3, 0, 2, 1)] == [
        images[3],
        *images[:3:2],
        images[1],
    ]
    assert len(streams._open) <= 2


def copy(shards: Path, to: Path) -> Path:
    to.mkdir()
    for path in shards.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_without_an_index_local_shards_are_counted_and_pipes_need_a_number(
    opt: Make, shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = seen(create_dataset(opt()))
    root = copy(shards, tmp_path / "copy")
    for path in root.glob("*-index.json"):
        path.unlink()
    caplog.set_level(logging.INFO)
    assert seen(create_dataset(opt(root=root))) == expected
    assert "counting the images of 5 shards" in caplog.text
    source = pipes(root)
    with pytest.raises(UserError, match=r"pack_shards\.py --index"):
        create_dataset(opt("--dataroot_B", source["B"], root=source["root"]))
    few = ("--dataroot_B", source["B"], "--shard_images", "4")
    loader = create_dataset(opt(*few, root=source["root"]))
    assert len(loader) == 20
    assert len({a for a, _ in seen(loader)}) == 20
    with pytest.raises(UsageError, match="--cache ram needs an index"):
        create_dataset(opt(*few, "--cache", "ram", root=source["root"]))
    many = ("--dataroot_B", source["B"], "--shard_images", "6")
    with pytest.raises(DataError, match=r"it ends after [45] images"):
        seen(create_dataset(opt(*many, root=source["root"])))


def test_caches_serve_shards(opt: Make, shards: Path, tmp_path: Path) -> None:
    plain = sums(create_dataset(opt()), 2)
    loader = create_dataset(opt("--cache", "disk"))
    sums(loader, 1)
    assert sums(loader, 2) == plain
    root = copy(shards, tmp_path / "moved")  # the index has a hash: equal shards share the cache
    source = pipes(root)
    words = ("--dataroot_B", source["B"], "--cache", "disk")
    again = create_dataset(opt(*words, root=source["root"]))
    for path in root.glob("*.tar"):
        path.unlink()
    assert sums(again, 2) == plain


@pytest.mark.parametrize("ending", ["npy", "tif"])
def test_arrays_are_read_through_pipes(ending: str, opt: Make, tmp_path: Path) -> None:
    """Images of a pipe have no names: their first bytes tell what they are."""
    tifffile = optional_package("tifffile")
    for side in ("trainA", "trainB"):
        (tmp_path / "arrays" / side).mkdir(parents=True)
        for i in range(4):
            values = np.random.RandomState(i).rand(5, 40, 40).astype(np.float32)
            path = tmp_path / "arrays" / side / f"{i}.{ending}"
            np.save(path, values) if ending == "npy" else tifffile.imwrite(
                path, values, photometric="minisblack"
            )
    root = tmp_path / "tar"
    script("pack_shards").main([str(tmp_path / "arrays"), str(root), "--images", "2"])
    nc = ("--input_nc", "5", "--output_nc", "5")
    plain = sums(create_dataset(opt(*nc, root=root)))
    words = ("--dataroot_B", piped(root, "B", 1), *nc)
    assert sums(create_dataset(opt(*words, root=piped(root, "A", 1)))) == plain


def test_unreadable_images_are_replaced_as_in_folders(
    opt: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for side in ("trainA", "trainB"):
        (tmp_path / "bad" / side).mkdir(parents=True)
        for i in range(6):
            picture(i, 40, 40).save(tmp_path / "bad" / side / f"{i}.png")
    (tmp_path / "bad" / "trainA" / "3.png").write_bytes(b"broken")
    script("pack_shards").main([str(tmp_path / "bad"), str(tmp_path / "tar"), "--images", "3"])
    loader = create_dataset(opt(root=tmp_path / "tar"))
    names = [a for a, _ in seen(loader)]
    assert len(names) == 6
    assert "3.png" not in names
    assert "trainA-00000" in caplog.text
    assert "3.png (not an image)" in caplog.text
    strict = create_dataset(opt("--max_bad_images", "0", root=tmp_path / "tar"))
    with pytest.raises(DataError, match=r"3\.png"):
        seen(strict)


def test_a_damaged_shard_is_named(opt: Make, shards: Path, tmp_path: Path) -> None:
    root = copy(shards, tmp_path / "cut")
    shard = root / "trainA-000002.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"trainA-000002\.tar has another size than .*index\.json"):
        create_dataset(opt(root=root))
    source = pipes(root)
    loader = create_dataset(opt("--dataroot_B", source["B"], root=source["root"]))
    with pytest.raises(DataError, match=r"cannot read image . of the shard .*trainA-000002\.tar"):
        seen(loader)
    (root / "trainA-index.json").unlink()
    with pytest.raises(UserError, match=r"cannot read the shard .*trainA-000002\.tar"):
        create_dataset(opt(root=root))


def test_a_stream_that_fails_is_opened_again(
    opt: Make, shards: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = sums(create_dataset(opt()))
    source = pipes(shards)
    monkeypatch.setattr(shard_streams, "PAUSES", (0.0,))
    take = shard_streams._Stream.take
    failed: set[str] = set()

    def fails_once(self: shard_streams._Stream, position: int) -> bytes:
        if self.url not in failed and position > 1:
            failed.add(self.url)
            raise OSError("connection lost")
        return take(self, position)

    monkeypatch.setattr(shard_streams._Stream, "take", fails_once)
    loader = create_dataset(opt("--dataroot_B", source["B"], root=source["root"]))
    assert sums(loader) == expected
    assert failed
    assert "connection lost" in caplog.text


def test_a_missing_package_is_one_line(opt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(UserError, match="pip install webdataset"):
        create_dataset(opt())


def test_mistakes_of_the_command_line(opt: Make, shards: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(UsageError, match="--dataroot_B"):
        create_dataset(opt(root=piped(shards, "A", 4)))
    with pytest.raises(UsageError, match="--dataroot_B"):
        create_dataset(opt("--dataroot_B", piped(shards, "B", 2)))
    with pytest.raises(UserError, match=r"valA-\*\.tar .*pack_shards\.py"):
        create_dataset(opt("--phase", "val"))
    missing = f"{shards.as_posix()}/trainA-{{000000..000009}}.tar"
    with pytest.raises(UserError, match=r"does not list .*trainA-000005\.tar"):
        create_dataset(opt("--dataroot_B", missing.replace("A-", "B-"), root=missing))
    root = copy(shards, tmp_path / "index")
    (root / "trainA-index.json").write_text(json.dumps({"shards": []}))
    with pytest.raises(UserError, match=r"cannot read .*trainA-index\.json"):
        create_dataset(opt(root=root))
    for parse in (
        lambda: opt("--shard_streams", "0"),
        lambda: TestOptions().parse(["--dataset_mode", "shards", "--model", "cycle_gan"]),
    ):
        with pytest.raises(SystemExit) as error:
            parse()
        assert error.value.code == 2
    text = capsys.readouterr().err
    assert "--shard_streams 0: must be above 0" in text
    assert "--dataset_mode shards is for training: unpack the shards" in text


def test_the_data_set_survives_pickling(opt: Make) -> None:
    import pickle

    dataset = ShardsDataset(opt())
    again = pickle.loads(pickle.dumps(dataset))
    assert again[5]["A_paths"] == dataset[5]["A_paths"]
