"""02_inference.py never overwrites inputs, other results or the stored run."""

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image
from script_modules import script
from tiny_runs import infer, make_run, names, pixels

from models import load_generator
from options.test_options import TestOptions
from util.errors import UserError
from util.results.results import results_folder
from util.run.session import run_program

BOTH = ["--model", "cycle_gan"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write three images, and a run with G, G_A and G_B."""
    make_run(tmp_path, "", "_A", "_B")
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture(number, 40, 40).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def test_inference_leaves_the_stored_options_of_the_training_alone(folder: Path) -> None:
    stored = folder.parent / "checkpoints/run/train_opt.json"
    stored.write_text(json.dumps({"model": "cycle_gan", "n_epochs": 7}))
    (folder / "train").mkdir()
    picture(0, 20, 20).save(folder / "train/x.png")
    assert infer(folder.parent, "--input", folder, "--phase", "train") == 0
    assert json.loads(stored.read_text()) == {"model": "cycle_gan", "n_epochs": 7}
    assert (stored.parent / "test_opt.json").is_file()


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize(("in_A", "in_B"), [(2, 5), (5, 2), (3, 3)])
def test_no_pair_takes_the_name_of_another(
    folder: Path, direction: str, in_A: int, in_B: int, caplog
) -> None:
    for side, count in (("A", in_A), ("B", in_B)):
        (folder / f"test{side}").mkdir()
        for number in range(count):
            picture(10 * count + number, 32, 32).save(folder / f"test{side}/{side}{number}.png")
    words = [*BOTH, "--dataroot", folder, "--direction", direction]
    assert infer(folder.parent, *words) == 0
    images = folder.parent / "results/run/test_latest/images"
    longer = max(in_A, in_B)
    first = "A" if direction == "AtoB" else "B"
    side = first if in_A == in_B else "A" if in_A > in_B else "B"
    stems = [f"{side}{number}" for number in range(longer)]
    labels = ["real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"]
    assert names(images) == sorted(f"{stem}_{label}.png" for stem in stems for label in labels)
    real = f"real_{'A' if side == first else 'B'}"  # the domains are swapped by --direction
    for stem in stems:
        shown = pixels(images / f"{stem}_{real}.png")
        assert np.array_equal(shown, pixels(folder / f"test{side}/{stem}.png"))
    caplog.set_level("INFO")
    assert infer(folder.parent, *words, "--skip_existing") == 0
    assert f"{longer} of {longer} had their results already" in caplog.text


@pytest.mark.parametrize("words", [[], ["--format", "jpg"], ["--skip_existing"]])
def test_results_never_overwrite_the_input(folder: Path, words: list[str], capsys) -> None:
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    for source in (folder, folder / "0.png"):
        more = words if source == folder else []
        with pytest.raises(SystemExit, match="2"):
            infer(folder.parent, "--input", source, "--output", folder / ".", *more)
        assert "would overwrite the input" in capsys.readouterr().err
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    one = ["--input", folder / "0.png", "--output", folder, "--format", "jpg"]
    assert infer(folder.parent, *one) == 0
    assert (folder / "0.jpg").is_file()


def test_results_inside_the_input_folder_are_not_translated(folder: Path, caplog) -> None:
    words = ["--input", folder, "--output", folder / "monet"]
    assert infer(folder.parent, *words) == 0
    caplog.set_level("INFO")
    assert infer(folder.parent, *words) == 0
    assert "translating 3 of 3 images" in caplog.text
    assert names(folder / "monet") == ["0.png", "1.png", "2.png"]


def test_results_among_the_inputs_are_left_out_however_these_are_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    monkeypatch.chdir(folder.parent)
    caplog.set_level("INFO")
    words = ["--input", "./in", "--output", "./in/0 out", "--max_dataset_size", "2"]
    for _ in range(2):
        assert infer(folder.parent, *words) == 0
    assert caplog.text.count("translating 2 of 2 images") == 2


def test_an_image_too_large_for_its_format_is_skipped_and_named(folder: Path, caplog) -> None:
    picture(9, 16400, 8).save(folder / "1wide.png")
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", out, "--format", "webp") == 1
    assert names(out) == ["0.webp", "1.webp", "2.webp"]
    assert "1 of 4 images were skipped" in caplog.text
    assert "1wide.webp cannot be written" in caplog.text


@pytest.mark.parametrize("output", [True, False], ids=["folder", "gallery"])
def test_where_no_image_can_be_read_earlier_results_stay(
    output: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, bad = folder.parent, folder.parent / "bad.png"
    bad.write_bytes(b"no image")
    words = ["--output", where / "out"] if output else ["--model_suffix", "_A"]
    if not output:
        assert infer(where, "--input", folder, *words) == 0
    page = where / "results/run/test_latest/index.html"
    before = None if output else page.read_bytes()
    capsys.readouterr()
    assert run_program(lambda: infer(where, "--input", bad, *words)) == 1
    said = "".join(capsys.readouterr())
    assert said.count("cannot read the image") == 1
    assert "nothing was translated" in said
    assert "results:" not in said
    assert (page.read_bytes() if page.exists() else None) == before


def test_the_pairs_of_a_training_are_not_translated_undivided(folder: Path, capsys) -> None:
    stored = {"model": "pix2pix", "dataset_mode": "aligned", "dataroot": str(folder)}
    run = folder.parent / "checkpoints/run"
    (run / "train_opt.json").write_text(json.dumps(stored))
    assert infer(folder.parent, "--input", folder, "--model_suffix", "_A") == 2
    assert "holds the pairs of the training: use --model pix2pix" in capsys.readouterr().err
    assert infer(folder.parent, "--input", folder / "0.png", "--model_suffix", "_A") == 0


def test_a_run_tells_its_data_set_where_its_model_translates(tmp_path: Path) -> None:
    run = make_run(tmp_path, "_A", "_B")
    (tmp_path / "data/test").mkdir(parents=True)
    picture(0, 64, 32).save(tmp_path / "data/test/0.png")
    stored = {"model": "cycle_gan", "dataset_mode": "aligned", "dataroot": f"{tmp_path / 'data'}"}
    (run / "train_opt.json").write_text(json.dumps({**stored, "crop_size": 32}))
    assert infer(tmp_path, "--model", "cycle_gan") == 0
    assert pixels(tmp_path / "results/run/test_latest/images/0_fake_B.png").shape == (32, 32, 3)
    words = ("--model", "cycle_gan", "--dataset_mode", "unaligned")
    assert infer(tmp_path, *words) == 1  # what is typed has precedence


def test_a_direction_that_contradicts_the_suffix_is_told(folder: Path, caplog) -> None:
    caplog.set_level("INFO")
    for suffix, count in (("_B", 0), ("_A", 1)):
        words = ["--direction", "BtoA", "--model_suffix", suffix]
        assert infer(folder.parent, "--input", folder, *words) == 0
        assert caplog.text.count("--direction BtoA has no effect: --model_suffix _A") == count


def test_metadata_that_the_format_cannot_hold_are_left_out(folder: Path, caplog) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a prompt " * 9000  # more than JPEG has room for
    picture(0, 16, 16).save(folder / "0.png", exif=exif.tobytes())
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", out, "--format", "jpg") == 0
    assert names(out) == ["0.jpg", "1.jpg", "2.jpg"]
    assert "0.jpg is written without metadata" in caplog.text


def test_the_run_need_not_be_writable(folder: Path, caplog) -> None:
    caplog.set_level("INFO")
    (folder.parent / "checkpoints/run/test_opt.txt").mkdir()  # nothing can be renamed to it
    assert infer(folder.parent, "--input", folder, "--output", folder.parent / "out") == 0
    assert "the options of this translation are not stored" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, folder: Path, capsys) -> None:
    path = folder.parent / "checkpoints/run/latest_net_G.pth"
    state = torch.load(path, weights_only=True)
    next(iter(state.values())).view(-1)[3] = value
    torch.save(state, path)
    assert infer(folder.parent, "--input", folder, "--output", folder.parent / "out") == 1
    assert re.match(rf"error: {re.escape(str(path))} .* not finite", capsys.readouterr().err)
    with pytest.raises(UserError, match="not finite"):
        load_generator(path)


def test_long_names_get_a_hash(folder: Path) -> None:
    stems = ["ä" * 120 + end for end in ("a" * 11, "b" * 11)]  # of 251 bytes
    for number, stem in enumerate(stems):
        (folder / f"{number}.png").rename(folder / f"{stem}.png")
    assert infer(folder.parent, "--input", folder) == 0
    shown = names(folder.parent / "results/run/test_latest/images")
    assert len(shown) == 6
    assert all(len(name.encode()) < 255 for name in shown)
    for output, format_name in (("same", "same"), ("webp", "webp")):
        words = ["--output", folder.parent / output, "--format", format_name]
        assert infer(folder.parent, "--input", folder, *words) == 0
    assert names(folder.parent / "same") == names(folder)
    assert len(names(folder.parent / "webp")) == 3


def test_control_characters_of_names_do_not_reach_the_terminal(folder: Path, capsys) -> None:
    (folder / "\x1b]0;x\x07\nwarning: y.png").write_bytes(b"no image")
    assert infer(folder.parent, "--input", folder, "--output", folder.parent / "out") == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\nwarning: y.png" not in shown
    assert r"\x1b]0;x\x07\nwarning: y.png (not an image)" in shown


def test_names_that_differ_in_case_alone_stay_two(tmp_path: Path) -> None:
    make_run(tmp_path, "")
    (tmp_path / "in").mkdir()
    for name in ("x.jpg", "X.png"):
        picture(0, 16, 16).save(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert infer(tmp_path, "--input", tmp_path / "in", "--output", out, "--format", "png") == 0
    assert len({name.lower() for name in names(out)}) == 2


def test_the_generators_of_a_run_have_results_of_their_own(folder: Path, caplog) -> None:
    (folder.parent / "checkpoints/run/latest_net_G.pth").unlink()
    caplog.set_level("INFO")
    shown = {}
    for suffix, page in (("_A", "test_latest"), ("_B", "test_latest_B")):
        caplog.clear()
        assert infer(folder.parent, "--input", folder, "--model_suffix", suffix) == 0
        index = folder.parent / "results/run" / page / "index.html"
        assert caplog.messages[-1] == f"results: {index}"
        assert index.is_file()
        shown[page] = (index.parent / "images/0_fake.png").read_bytes()
    results = folder.parent / "results/run"
    assert (results / "test_latest/images/0_fake.png").read_bytes() == shown["test_latest"]
    assert names(results / "test_latest") == names(results / "test_latest_B")
    caplog.clear()  # the results of one are not taken for those of the other
    assert infer(folder.parent, "--input", folder, "--direction", "BtoA", "--skip_existing") == 0
    assert "3 of 3 had their results already" in caplog.text
    assert not (results / "test_latest_A").exists()


@pytest.mark.parametrize(
    ("words", "folder_name"),
    [
        ([], "test_latest"),
        (["--model_suffix", "_A"], "test_latest"),
        (["--model_suffix", "_B"], "test_latest_B"),
        (["--model_suffix", "_B", "--load_iter", "30"], "test_latest_iter30_B"),
        (["--model", "cycle_gan", "--epoch", "5", "--phase", "val"], "val_5"),
        (["--model_suffix", "_B", "--ema", "--self_ensemble", "8"], "test_latest_B_ema_ensemble8"),
    ],
)
def test_the_folder_of_results(words: list[str], folder_name: str) -> None:
    opt = TestOptions().parse(["--name", "run", *words])
    assert results_folder(opt) == Path("results/run") / folder_name


def test_names_with_spaces_and_other_letters(folder: Path, caplog) -> None:
    caplog.set_level("INFO")
    run = folder.parent / "checkpoints"
    (run / "run").rename(run / "mein Lauf ü")
    source = folder.rename(folder.parent / "bilder ö")
    (source / "0.png").rename(source / "ä b.png")
    words = ["--name", "mein Lauf ü", "--input", source]
    assert infer(folder.parent, *words) == 0
    page = folder.parent / "results" / "mein Lauf ü" / "test_latest" / "index.html"
    assert quote("ä b_fake.png") in page.read_text(encoding="utf-8")
    assert infer(folder.parent, *words, "--output", folder.parent / "aus ß") == 0
    assert names(folder.parent / "aus ß") == ["1.png", "2.png", "ä b.png"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--use_wandb", "--ndf", "64"], "--ndf, --use_wandb"),
        (["--output", "out", "--results_dir", "r"], "--results_dir"),
        (["--no_dropout", "--num_test", "1"], ""),
    ],
)
def test_flags_without_effect_are_named_in_one_line(
    folder: Path, words: list[str], named: str, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with caplog.at_level("WARNING"):
        assert infer(folder.parent, "--input", folder, "--model_suffix", "_A", *words) == 0
    told = [r.message for r in caplog.records if "no effect" in r.message]
    assert told == ([f"no effect on this translation: {named}"] if named else [])


def test_names_that_are_not_utf_8_are_translated_and_measured(folder: Path) -> None:
    name = os.fsdecode("caf\xe9.png".encode("latin-1"))
    try:
        (folder / "0.png").rename(folder / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    output = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", output) == 0
    assert names(output) == sorted([name, "1.png", "2.png"])
    assert infer(folder.parent, "--input", folder) == 0
    page = (folder.parent / "results/run/test_latest/index.html").read_text(encoding="utf-8")
    assert "caf" in page
    words = ["--real", folder, "--fake", output, "--metrics", "l1", "--max", "2", "--gpu_ids", "-1"]
    main = script("evaluate").main
    assert run_program(lambda: main([*map(str, words)])) == 0
