"""02_inference.py on images and folders."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
import torch
from conftest import PATIENCE, picture
from PIL import Image
from tiny_runs import infer, make_run, names, pixels

from models import load_generator
from models.inference.translator import InferenceSettings
from options.test_options import TestOptions
from util.errors import UserError
from util.results.results import _shared_stems, _stems

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write images of several sizes and formats, two of one stem, in sub-folders; with a run."""
    make_run(tmp_path, "")
    source = tmp_path / "in"
    for number, name in enumerate(["a.jpg", "a.png", "b #c.webp", "test1/x.png", "test2/x.png"]):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number, 30 + 7 * number, 41).save(source / name)
    return source


def test_output_has_the_names_sizes_and_formats_of_the_input(folder: Path, caplog) -> None:
    out = folder.parent / "out"
    caplog.set_level("INFO")
    assert infer(folder.parent, "--input", folder, "--output", out) == 0
    assert names(out) == names(folder)
    for name in names(folder):
        with Image.open(folder / name) as before, Image.open(out / name) as after:
            assert (after.size, after.format) == (before.size, before.format)
    assert not (folder.parent / "results").exists()
    assert "translating 5 of 5 images" in caplog.text
    assert "generator: no dropout, instance norm" in caplog.text


def test_one_format_for_all_and_no_two_under_one_name(folder: Path) -> None:
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", out, "--format", "png") == 0
    assert names(out) == ["a.png", "a_png.png", "b #c.png", "test1/x.png", "test2/x.png"]
    assert pixels(out / "a.png").shape[1] == 30
    assert pixels(out / "a_png.png").shape[1] == 37


def test_the_gallery_has_the_sub_folders_of_the_input(folder: Path) -> None:
    assert infer(folder.parent, "--dataroot", folder) == 0
    page = folder.parent / "results" / "run" / "test_latest"
    stems = ["a", "a_png", "b #c", "test1/x", "test2/x"]
    expected = [f"{stem}_{label}.png" for stem in stems for label in ("fake", "real")]
    assert names(page / "images") == sorted(expected)
    html = (page / "index.html").read_text()
    assert all(f'src="images/{quote(name)}"' in html for name in expected)
    assert np.array_equal(
        pixels(page / "images" / "test2/x_real.png"), pixels(folder / "test2/x.png")
    )


def test_a_file_alone(folder: Path) -> None:
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder / "a.png", "--output", out) == 0
    assert names(out) == ["a.png"]


def test_batches_and_tiles_give_the_same_as_single_images(folder: Path) -> None:
    for number in range(3):
        picture(number, 40, 40).save(folder / f"same{number}.png")
    words: dict[str, list[str]] = {
        "one": [],
        "four": ["--batch_size", "4"],
        "tiles": ["--tile", "32"],
    }
    for name, more in words.items():
        out = folder.parent / name
        more = [*more, "--format", "png"]
        assert infer(folder.parent, "--input", folder, "--output", out, *more) == 0
    for name in names(folder.parent / "one"):
        one = pixels(folder.parent / "one" / name)
        assert one.std() > 2
        for other in ("four", "tiles"):
            assert abs(pixels(folder.parent / other / name) - one).max() <= 1, (other, name)


def test_mirrored_and_shifted_copies_are_averaged(folder: Path) -> None:
    translate = load_generator(
        folder.parent / "checkpoints/run", settings=InferenceSettings(self_ensemble=8)
    )
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", out, "--self_ensemble", "8") == 0
    with Image.open(folder / "a.png") as image:
        averaged = np.asarray(translate(image))
    assert np.array_equal(pixels(out / "a.png"), averaged)
    plain = folder.parent / "plain"
    assert infer(folder.parent, "--input", folder, "--output", plain) == 0
    assert not np.array_equal(pixels(plain / "a.png"), averaged)


def test_size_flags_are_obeyed(folder: Path) -> None:
    def size(*words: object) -> tuple[int, int]:
        out = folder.parent / "out"
        assert infer(folder.parent, "--input", folder / "a.png", "--output", out, *words) == 0
        with Image.open(out / "a.png") as image:
            return image.size

    assert size() == (37, 41)
    assert size("--max_size", "20") == (18, 20)
    assert size("--max_size", "50") == (37, 41)
    assert size("--preprocess", "none") == (36, 40)
    assert size("--load_size", "24", "--crop_size", "24") == (24, 24)
    assert size("--crop_size", "512") == (512, 512)
    assert size("--load_size", "32") == (32, 32)
    assert size("--preprocess", "scale_width", "--load_size", "32", "--crop_size", "8") == (32, 36)


def test_damaged_images_are_named_and_the_others_translated(folder: Path, caplog) -> None:
    (folder / "0.png").write_bytes(b"no image")
    whole = (folder / "test1/x.png").read_bytes()
    (folder / "test1/cut.png").write_bytes(whole[: len(whole) // 2])
    out = folder.parent / "out"
    assert infer(folder.parent, "--input", folder, "--output", out) == 1
    assert len(names(out)) == 5
    assert "2 of 7 images were skipped" in caplog.text
    assert "0.png (not an image)" in caplog.text
    assert "cut.png (" in caplog.text


def test_the_last_line_says_where_the_results_are(folder: Path, caplog) -> None:
    (folder / "0.png").write_bytes(b"no image")
    caplog.set_level("INFO")
    assert infer(folder.parent, "--input", folder) == 1
    page = folder.parent / "results/run/test_latest/index.html"
    assert caplog.messages[-1] == f"results: {page}"


def test_images_with_results_do_not_count_when_compiling_is_decided(
    folder: Path, monkeypatch
) -> None:
    from importlib import import_module

    inference, remaining = import_module("02_inference"), []
    make = inference.make_translators
    monkeypatch.setattr(
        inference,
        "make_translators",
        lambda model, opt, images: (remaining.append(images), make(model, opt, images)),
    )
    assert infer(folder.parent, "--input", folder, "--num_test", "2") == 0
    assert infer(folder.parent, "--input", folder, "--skip_existing") == 0
    assert remaining == [2, 3]


@pytest.mark.parametrize("gallery", [True, False])
def test_existing_results_are_left_alone(folder: Path, gallery: bool, caplog) -> None:
    out = folder.parent / ("results/run/test_latest/images" if gallery else "out")
    words = ["--input", folder, "--skip_existing", *([] if gallery else ["--output", out])]
    assert infer(folder.parent, *words) == 0
    before = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    gone = names(out)[0]
    (out / gone).unlink()
    caplog.set_level("INFO")
    assert infer(folder.parent, *words) == 0
    assert "4 of 5 had their results already" in caplog.text
    after = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    assert set(after) == set(before)
    assert {name for name in before if after[name] != before[name]} <= {gone, "a_real.png"}
    if gallery:
        assert (out.parent / "index.html").read_text().count("<h3>") == 5


@pytest.mark.parametrize("gallery", [True, False])
def test_a_result_is_not_that_of_a_later_neighbour(tmp_path: Path, gallery: bool) -> None:
    make_run(tmp_path, "")
    (tmp_path / "in").mkdir()
    picture(0, 20, 12).save(tmp_path / "in/a.png")
    out = tmp_path / ("results/run/test_latest/images" if gallery else "out")
    words = ["--input", tmp_path / "in", "--skip_existing"]
    words += [] if gallery else ["--output", out, "--format", "png"]
    assert infer(tmp_path, *words) == 0
    for file in out.iterdir():
        os.utime(file, (0, file.stat().st_mtime - 60))
    picture(1, 28, 16).save(tmp_path / "in/a.jpg")  # takes the name that a.png had
    _stems.cache_clear()
    _shared_stems.cache_clear()
    assert infer(tmp_path, *words) == 0
    suffix = "_fake" if gallery else ""
    assert pixels(out / f"a{suffix}.png").shape == (16, 28, 3)
    assert pixels(out / f"a_png{suffix}.png").shape == (12, 20, 3)


@pytest.mark.parametrize("kind", ["same", "png"])
def test_a_result_that_was_retouched_is_left_alone(tmp_path: Path, kind: str) -> None:
    make_run(tmp_path, "")
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.jpg"):
        picture(0, 20, 12).save(tmp_path / "in" / name)
    words = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--skip_existing"]
    assert infer(tmp_path, *words, "--format", kind) == 0
    for file in names(tmp_path / "out"):
        picture(3, 20, 12).save(tmp_path / "out" / file)
        os.utime(tmp_path / "out" / file, (0, 1e9))
    before = [(tmp_path / "out" / file).read_bytes() for file in names(tmp_path / "out")]
    assert infer(tmp_path, *words, "--format", kind) == 0
    assert [(tmp_path / "out" / file).read_bytes() for file in names(tmp_path / "out")] == before


def test_all_images_are_translated_unless_num_test_is_given(tmp_path: Path, caplog) -> None:
    make_run(tmp_path, "")
    (tmp_path / "in").mkdir()
    for number in range(52):
        picture(number, 8, 8).save(tmp_path / "in" / f"{number:02}.png")
    caplog.set_level("INFO")
    words = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--batch_size", "16"]
    assert infer(tmp_path, *words) == 0
    assert len(names(tmp_path / "out")) == 52
    assert infer(tmp_path, *words, "--num_test", "50") == 0
    assert "translating 50 of 52 images" in caplog.text


def test_both_directions_with_reconstructions(pictures: Path, caplog) -> None:
    where = pictures.parent
    make_run(where, "_A", "_B")
    caplog.set_level("INFO")
    words = ["--dataroot", pictures, "--model", "cycle_gan"]
    assert infer(where, *words) == 0
    images = where / "results/run/test_latest/images"
    labels = ["real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"]
    stems = ["deeper/testA_1", "testA_0"]
    assert names(images) == sorted(f"{stem}_{label}.png" for stem in stems for label in labels)
    assert pixels(images / "deeper/testA_1_rec_A.png").shape == (48, 41, 3)
    real = pixels(pictures / "testA" / "testA_0.png")
    assert np.array_equal(pixels(images / "testA_0_real_A.png"), real)


def test_eval_and_dropout_do_what_is_logged(folder: Path, caplog) -> None:
    run = make_run(folder.parent, "", norm="batch", use_dropout=True)
    caplog.set_level("INFO")

    def translate(*words: str) -> np.ndarray:
        out = folder.parent / "out"
        infer(folder.parent, "--input", folder / "a.png", "--output", out, *words)
        return pixels(out / "a.png")

    assert not np.array_equal(translate(), translate())
    assert "dropout on, as in training (--eval: off)" in caplog.text
    assert np.array_equal(translate("--eval"), translate("--eval"))
    assert "dropout off (--eval), batch norm by the statistics of the training" in caplog.text
    assert json.loads((run / "test_opt.json").read_text())["eval"] is True


def test_memory_of_results_does_not_grow(tmp_path: Path) -> None:
    """At most a bounded number of tensors wait to be written."""
    from util.results.folder import OutputFolder

    make_run(tmp_path, "")
    (tmp_path / "in").mkdir()
    for number in range(40):
        picture(number, 16, 16).save(tmp_path / "in" / f"{number:02}.png")
    waiting = []
    add = OutputFolder.add

    def watch(self: OutputFolder, *what: object) -> None:
        add(self, *what)
        waiting.append(len(self.threads._calls))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFolder, "add", watch)
        assert infer(tmp_path, "--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert len(waiting) == 40
    assert max(waiting) <= 8


def test_no_place_for_results_is_one_line(folder: Path, capsys) -> None:
    file = folder / "a.png"
    assert infer(folder.parent, "--input", folder, "--output", file / "in") == 1
    assert infer(folder.parent, "--input", folder, "--results_dir", file) == 1
    err = capsys.readouterr().err
    assert err.count("cannot make the folder") == err.count("\n") == 2


def stop_at_the_fourth(error: BaseException, images: Path, monkeypatch) -> None:
    """Have the translation of the fourth image raise `error`, once the third image is written."""
    from models.test_model import TestModel

    steps = iter(range(5))
    test = TestModel.test

    def stop(self: TestModel) -> None:
        if next(steps) == 3:
            deadline = time.monotonic() + 60
            while len(list(images.rglob("*.png"))) < 6 and time.monotonic() < deadline:
                time.sleep(0.01)
            raise error
        test(self)

    monkeypatch.setattr(TestModel, "test", stop)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(143), UserError("full disk")], ids=repr
)
def test_an_interrupted_gallery_shows_what_is_done(
    folder: Path, error: BaseException, monkeypatch, caplog
) -> None:
    page = folder.parent / "results/run/test_latest"
    stop_at_the_fourth(error, page / "images", monkeypatch)
    caplog.set_level("INFO")
    try:
        assert infer(folder.parent, "--input", folder) in (1, 130)
    except SystemExit:
        assert isinstance(error, SystemExit)
    shown = re.findall(r'src="images/([^"]*)"', (page / "index.html").read_text())
    assert sorted(map(unquote, shown)) == names(page / "images")
    assert len(shown) == 6
    assert f"results so far: {page / 'index.html'}" in caplog.text


def test_the_pages_of_an_interrupted_gallery_are_linked(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("util.results.pages.ROWS_PER_PAGE", 2)
    page = folder.parent / "results/run/test_latest"
    stop_at_the_fourth(KeyboardInterrupt(), page / "images", monkeypatch)
    assert infer(folder.parent, "--input", folder) == 130
    assert (page / "index.html").read_text().count("<h3>") == 2
    assert 'href="page_0002.html"' in (page / "index.html").read_text()
    assert 'href="index.html"' in (page / "page_0002.html").read_text()
    assert (page / "page_0002.html").read_text().count("<h3>") == 1


def test_an_image_that_was_not_written_is_not_shown(folder: Path) -> None:
    from util.results.pages import ResultPages

    words = ["--name", "run", "--input", str(folder), "--results_dir", str(folder.parent / "r")]
    opt = TestOptions().parse(words)
    results = ResultPages(opt, ["real", "fake"])
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(KeyboardInterrupt), results:
        results.add({"real": image, "fake": image}, [str(folder / "a.jpg")])
        results.threads.finish()
        results.add_existing(
            str(folder / "a.png")
        )  # as if it had been dropped before it was written
        raise KeyboardInterrupt
    text = (folder.parent / "r/run/test_latest/index.html").read_text()
    assert "a_fake.png" in text
    assert "a_png_fake.png" not in text


STOPPED = """
import os, runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start jobs without it
from pathlib import Path
from util.results import make_results
from util.results.folder import OutputFolder
from util.results.pages import ResultPages
kind, number, folder = globals()[sys.argv[1]], int(sys.argv[2]), Path(sys.argv[3])
add, calls = kind.add, iter(range(1, 100))
def add_and_stop(self, *what):
    add(self, *what)
    if next(calls) == 20:  # of 60; some are written, and some wait to be
        while not list(folder.glob("*.png")):
            time.sleep(0.01)
        os.kill(os.getpid(), number)
kind.add = add_and_stop
sys.argv = sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def stopped(where: Path, kind: str, output: Path, number: int, *words: str) -> tuple[int, str]:
    """Exit code and stderr of 02_inference.py, signalled while it hands on the 20th of 60 images.

    `kind` is the class of the results that it writes to the folder `output`.
    """
    make_run(where, "")
    (where / "in").mkdir()
    for image in range(60):
        picture(image, 200, 200).save(where / "in" / f"{image:03}.png")
    program = [str(ROOT / "02_inference.py"), "--name", "run", "--gpu_ids", "-1", "--input", "in"]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, kind, str(int(number)), str(output), *program, *words],
        cwd=where,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_a_terminated_gallery_shows_what_is_done(tmp_path: Path) -> None:
    images = tmp_path / "results/run/test_latest/images"
    assert stopped(tmp_path, "ResultPages", images, signal.SIGTERM)[0] == 143
    shown = re.findall(r'src="images/([^"]*)"', (images.parent / "index.html").read_text())
    assert 0 < len(shown) < 120
    assert set(shown) <= set(names(images))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_no_half_written_image(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = stopped(tmp_path, "OutputFolder", out, signal.SIGINT, "--output", "out")
    assert code == (130, "stopped\n")
    written = list(out.glob("*.png"))
    assert 0 < len(written) < 60
    assert all(pixels(path).shape == (200, 200, 3) for path in written)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "x", "--model", "cycle_gan"], "--output takes the images of one generator"),
        (["--quality", "50"], "--quality is for images in --output DIR"),
        (
            ["--input", "a.mp4", "--output", "x", "--format", "png"],
            "--format is for images, and --input is a video: leave it out",
        ),
        (["--output", "x", "--quality", "500"], "--quality 500"),
        (["--max_size", "64", "--preprocess", "none"], "--max_size 64 is for images that keep"),
        (["--max_size", "0"], "--max_size 0"),
        (["--tile", "-1"], "--tile -1"),
        (
            ["--input", "video.mp4", "--model", "cycle_gan"],
            "a video is translated with --model test",
        ),
        (["--precision", "int8"], "--precision"),
    ],
)
def test_wrong_flags_are_one_line(words: list[str], message: str, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        infer(tmp_path, *words)
    err = capsys.readouterr().err
    assert (stop.value.code, err.count("\n")) == (2, 1)
    assert message in err
