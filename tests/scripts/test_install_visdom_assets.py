"""scripts/install_visdom_assets.py: visdom's own list, whole files from npm packages."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from util.sinks.dashboard.assets import list_assets, missing_assets, visdom_folder

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/install_visdom_assets.py"
BUILD = """
def download_scripts(proxies=None, install_dir=None):
    b = "https://cdn.example/"
    bb = "%sbootstrap@3.3.7/dist/" % b
    ext_files = {
        "%sjquery@3.1.1/dist/jquery.min.js" % b: "jquery.min.js",
        "https://plots.example/plotly-2.11.1.min.js": "plotly-plotly.min.js",
        "%sclassnames@2.2.5" % b: "classnames",
        "%sfonts/icons.svg#icons" % bb: "icons.svg#icons",
        "%scss/bootstrap.min.css" % bb: "bootstrap.min.css",
    }
    cdnjs_url = "https://js.example/libs/mathjax/2.7.5/"
    mathjax_path = ["config/Safe.js?V=2.7.5", "MathJax.js?config=TeX"]
"""
PACKED = {
    "jquery-3.1.1": ["dist/jquery.min.js"],
    "plotly.js-dist-min-2.11.1": ["plotly.min.js"],
    "classnames-2.2.5": ["index.js"],
    "bootstrap-3.3.7": ["dist/css/bootstrap.min.css", "dist/fonts/icons.svg"],
    "mathjax-2.7.5": ["config/Safe.js", "MathJax.js"],
}
PLACES = {
    "js/jquery.min.js",
    "js/plotly-plotly.min.js",
    "fonts/classnames",
    "fonts/icons.svg#icons",
    "css/bootstrap.min.css",
    "js/mathjax/2.7.5/config/Safe.js",
    "js/mathjax/2.7.5/MathJax.js",
}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_visdom_assets", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def visdom(tmp_path: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "visdom"
    (folder / "server").mkdir(parents=True)
    (folder / "static").mkdir()
    (folder / "server" / "build.py").write_text(BUILD)
    (folder / "VERSION").write_text("0.2.4\n")
    monkeypatch.setattr(script, "visdom_folder", lambda: folder)
    return folder


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    for name, paths in PACKED.items():
        with tarfile.open(folder / f"{name}.tgz", "w:gz") as tar:
            for path in paths:
                entry = tarfile.TarInfo(f"package/{path}")
                content = f"{name} {path}".encode()
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return folder


def test_files_are_installed_from_packages(
    script: ModuleType, visdom: Path, packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {asset.place for asset in missing_assets(visdom)} == PLACES
    assert script.main(["--from", str(packages)]) == 0
    assert "all 7 files" in capsys.readouterr().out
    assert not missing_assets(visdom)
    static = visdom / "static"
    assert (static / "fonts/icons.svg#icons").read_text() == "bootstrap-3.3.7 dist/fonts/icons.svg"
    assert (static / "version.built").read_text() == "0.2.4"  # visdom itself downloads nothing then


def test_only_what_is_missing_unless_forced(
    script: ModuleType, visdom: Path, packages: Path
) -> None:
    mine = visdom / "static/js/jquery.min.js"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert script.main(["--from", str(packages)]) == 0
    assert mine.read_text() == "mine"
    assert script.main(["--from", str(packages), "--force"]) == 0
    assert mine.read_text() != "mine"


def test_a_missing_package_is_named_with_the_remedy(
    script: ModuleType, visdom: Path, packages: Path
) -> None:
    (packages / "mathjax-2.7.5.tgz").unlink()
    with pytest.raises(SystemExit, match=r"npm pack mathjax@2\.7\.5"):
        script.main(["--from", str(packages)])
    assert not (visdom / "static" / "version.built").exists()


def test_list_names_what_to_pack(
    script: ModuleType, visdom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--list"]) == 0
    words = capsys.readouterr().out.split()
    assert words[:2] == ["npm", "pack"]
    assert "plotly.js-dist-min@2.11.1" in words and "bootstrap@3.3.7" in words


def test_every_asset_of_the_installed_visdom_has_a_package(script: ModuleType) -> None:
    folder = visdom_folder()
    if folder is None:
        pytest.skip("visdom is not installed")
    assets = list_assets(folder)
    assert len(assets) >= 20
    for asset in assets:
        package, path = script.source(asset)
        assert "@" in package and path


def test_a_list_of_another_shape_is_an_error_and_no_warning_at_training(visdom: Path) -> None:
    (visdom / "server" / "build.py").write_text("def download_scripts(): pass\n")
    with pytest.raises(ValueError, match="has no"):
        list_assets(visdom)
    assert missing_assets(visdom) == []


def test_without_visdom_the_line_that_installs_it(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "visdom_folder", lambda: None)
    with pytest.raises(SystemExit, match=r'--no-build-isolation "visdom>=0\.2\.4"'):
        script.main([])
