"""scripts/download_model.py: a weight file under the name by which it is then translated with."""

import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from conftest import PATIENCE
from PIL import Image
from script_modules import SCRIPTS, script
from tiny_runs import make_run

from util.run.session import run_program


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    for variable in ("CYCLEGAN_MODELS_URL", "PIX2PIX_MODELS_URL"):
        monkeypatch.setenv(variable, folder.as_uri())
    weights = make_run(tmp_path / "made", norm="batch") / "latest_net_G.pth"
    shutil.copy(weights, folder / "style_monet.pth")
    return folder


def fetch(tmp_path: Path, *words: str) -> int:
    argv = ["--checkpoints_dir", str(tmp_path / "checkpoints"), *words]
    return run_program(lambda: script("download_model").main(argv))


def test_a_model_that_inference_takes(tmp_path: Path, mirror: Path) -> None:
    assert fetch(tmp_path, "style_monet") == 0
    folder = tmp_path / "checkpoints" / "style_monet_pretrained"
    assert sorted(path.name for path in folder.iterdir()) == [
        "latest_net_G.pth",
        "latest_net_G.pth.sha256",
    ]
    assert (folder / "latest_net_G.pth").read_bytes() == (mirror / "style_monet.pth").read_bytes()
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "photos" / "1.png")
    argv = ["--name", "style_monet_pretrained", "--model", "test", "--gpu_ids", "-1"]
    argv += ["--checkpoints_dir", str(tmp_path / "checkpoints")]
    argv += ["--input", str(tmp_path / "photos"), "--output", str(tmp_path / "out")]
    assert run_program(lambda: import_module("02_inference").main(argv)) == 0
    assert (tmp_path / "out" / "1.png").is_file()


def test_a_file_that_holds_no_weights_is_not_stored(
    tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (mirror / "style_monet.pth").read_bytes()
    (mirror / "map2sat.pth").write_bytes(whole[:-500])
    assert fetch(tmp_path, "map2sat") == 1
    assert "cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "checkpoints" / "map2sat_pretrained").exists()
    assert fetch(tmp_path, "sat2map") == 1  # which is not there
    assert not (tmp_path / "checkpoints" / "sat2map_pretrained").exists()


def test_names(tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(tmp_path, "style_money") == 2
    error = capsys.readouterr().err
    assert "did you mean style_monet?" in error and "day2night" in error
    assert fetch(tmp_path, "--pix2pix", "day2night") == 1  # which the mirror lacks
    assert "PIX2PIX_MODELS_URL" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("kind", ["cyclegan", "pix2pix"])
def test_the_older_names_pass_their_arguments_on(tmp_path: Path, kind: str) -> None:
    (tmp_path / "python3").write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        [str(shutil.which("bash")), str(SCRIPTS / f"download_{kind}_model.sh"), "map2sat"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    flag = ["--pix2pix"] if kind == "pix2pix" else []
    assert done.stdout.split() == [str(SCRIPTS / "download_model.py"), *flag, "map2sat"]
