"""The shell scripts with the well-known commands, on tiny data.

bash calls a `python` that stores its arguments; this process then runs the program with them.
"""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, picture
from tiny_runs import names

from util.run.session import run_program

SCRIPTS = ROOT / "scripts"
TINY = ["--ngf", "4", "--gpu_ids", "-1"]
TRAIN = [*TINY, "--ndf", "4", "--n_epochs", "1", "--n_epochs_decay", "0", "--display_id", "-1"]
TRAIN += ["--load_size", "128", "--crop_size", "128", "--num_threads", "0", "--no_html"]
UNET = ["--netG", "unet_128"]
RESNET = ["--netG", "resnet_6blocks"]
FAKE_PYTHON = '#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "$RECORDED"\n'

needs_bash = pytest.mark.skipif(
    os.name != "posix" or shutil.which("bash") is None, reason="shell scripts"
)


def command(name: str, where: Path, *words: str) -> list[str]:
    """What a script calls python with: the program and its arguments."""
    python = where / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    recorded = where / "recorded"
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "RECORDED": str(recorded)}
    script = ["bash", str(SCRIPTS / f"{name}.sh"), *words]
    done = subprocess.run(script, cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return recorded.read_text().splitlines()


def run(name: str, where: Path, *words: str) -> list[str]:
    """Run the program that a script calls; return its command line."""
    program, *argv = command(name, where, *words)
    main = importlib.import_module(program.removesuffix(".py")).main
    assert run_program(lambda: int(main(argv))) == 0
    return [program, *argv]


def fill(folder: Path, width: int) -> None:
    folder.mkdir(parents=True)
    for number in range(2):
        picture(number, width, 128).save(folder / f"{number}.png")


def results(where: Path, run_name: str) -> list[str]:
    return names(where / "results" / run_name / "test_latest" / "images")


@needs_bash
@pytest.mark.slow
def test_the_scripts_train_and_translate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for side in ("trainA", "trainB", "testA", "testB"):
        fill(Path("datasets/maps") / side, 128)
    for side, width in {"train": 256, "test": 256, "testB": 128}.items():
        fill(Path("datasets/facades") / side, width)
    for side in ("train", "test"):
        fill(Path("datasets/colorization") / side, 128)

    run("train_cyclegan", tmp_path, *TRAIN, *RESNET)
    run("test_cyclegan", tmp_path, *TINY, *RESNET)
    shown = results(tmp_path, "maps_cyclegan")
    assert {"0_fake_B.png", "1_rec_A.png"} <= set(shown)

    run("train_pix2pix", tmp_path, *TRAIN, *UNET)
    run("test_pix2pix", tmp_path, *TINY, *UNET)
    assert "1_fake_B.png" in results(tmp_path, "facades_pix2pix")
    run("test_single", tmp_path, *TINY, *UNET, "--results_dir", "single")
    single = names(Path("single/facades_pix2pix/test_latest/images"))
    assert single == ["0_fake.png", "0_real.png", "1_fake.png", "1_real.png"]

    run("train_colorization", tmp_path, *TRAIN, *UNET)
    run("test_colorization", tmp_path, *TINY, *UNET)
    assert "0_fake_B_rgb.png" in results(tmp_path, "color_pix2pix")


@needs_bash
@pytest.mark.parametrize(
    ("name", "data", "run_name"),
    [
        ("train_cyclegan", "maps", "maps_cyclegan"),
        ("test_cyclegan", "maps", "maps_cyclegan"),
        ("train_pix2pix", "facades", "facades_pix2pix"),
        ("test_pix2pix", "facades", "facades_pix2pix"),
        ("test_single", "facades/testB/", "facades_pix2pix"),
        ("train_colorization", "colorization", "color_pix2pix"),
        ("test_colorization", "colorization", "color_pix2pix"),
    ],
)
def test_the_commands_are_the_well_known_ones(
    name: str, data: str, run_name: str, tmp_path: Path
) -> None:
    words = command(name, tmp_path, "--suffix", "a b")
    program = "01_train.py" if name.startswith("train") else "02_inference.py"
    begin = [program, "--dataroot", f"./datasets/{data}", "--name", run_name, "--model"]
    assert words[: len(begin)] == begin
    assert words[-2:] == ["--suffix", "a b"]
