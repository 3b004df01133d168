"""scripts/install_visdom_assets.py: visdom's own list, whole files from npm packages."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from script_modules import script as script_module

from util.sinks.dashboard.assets import list_assets, missing_assets, visdom_folder

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
    handler = request.BaseHandler()
    mathjax_version = "2.7.5"
    cdnjs_url = "https://js.example/libs/mathjax/%s/" % mathjax_version
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
    return script_module("install_visdom_assets")


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


class FakeRegistry(ThreadingHTTPServer):
    """Serves the descriptions of packages and their archives, as the npm registry does."""

    def __init__(self, packages: Path) -> None:
        super().__init__(("127.0.0.1", 0), FakeRegistryHandler)
        self.packages = packages
        self.damaged: set[str] = set()
        self.address = f"http://127.0.0.1:{self.server_address[1]}/npm"


class FakeRegistryHandler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def do_GET(self) -> None:
        packages, name = self.server.packages, unquote(self.path).removeprefix("/npm/")
        content = None
        if name.endswith(".tgz"):
            content = (packages / Path(name).name).read_bytes()
            content = content[::-1] if Path(name).name in self.server.damaged else content
        else:
            versions = {}
            for file in packages.glob(f"{name}-[0-9]*.tgz"):
                digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
                dist = {"tarball": f"files/{file.name}", "integrity": f"sha1-x sha512-{digest}"}
                versions[file.stem.removeprefix(f"{name}-")] = {"dist": dist}
            content = json.dumps({"versions": versions}).encode() if versions else None
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry(packages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry that npm's settings name."""
    server = FakeRegistry(packages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("npm_config_registry", f"{server.address}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_packages_come_from_the_registry_of_npms_settings(
    script: ModuleType, visdom: Path, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([]) == 0
    assert f"fetching 5 packages from {registry.address}\n" in capsys.readouterr().out
    assert not missing_assets(visdom)


def test_an_archive_that_is_not_what_the_registry_states_is_refused(
    script: ModuleType, visdom: Path, registry: FakeRegistry
) -> None:
    registry.damaged.add("mathjax-2.7.5.tgz")
    with pytest.raises(SystemExit, match=r"mathjax-2\.7\.5\.tgz is not what .* \(SHA-512 differs"):
        script.main(["--registry", registry.address])
    assert len(missing_assets(visdom)) == len(PLACES)


def test_a_package_or_a_registry_that_is_missing_is_named(
    script: ModuleType, visdom: Path, registry: FakeRegistry, packages: Path
) -> None:
    (packages / "bootstrap-3.3.7.tgz").unlink()
    with pytest.raises(SystemExit, match=r"cannot fetch http://.*/npm/bootstrap \(.*404.*--from"):
        script.main([])
    (packages / "jquery-3.1.1.tgz").rename(packages / "jquery-3.1.2.tgz")
    (packages / "bootstrap-3.3.7.tgz").write_bytes(b"any")
    with pytest.raises(SystemExit, match=r"/npm/jquery does not describe version 3\.1\.1"):
        script.main([])
    with pytest.raises(SystemExit, match=r"file:///npm/.* is no address of an npm registry"):
        script.main(["--registry", "file:///npm"])


def test_the_registry_of_a_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = script_module("npm_registry")
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    assert npm.configured_registry() == "https://registry.npmjs.org"
    (tmp_path / ".npmrc").write_text(
        "fund=false\n@own:registry=https://a/\nregistry = https://b/\n"
    )
    assert npm.configured_registry() == "https://b/"


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


@pytest.mark.parametrize("content", [b"", b"no archive", "cut"])
def test_damaged_archives_are_named(
    content: bytes | str, script: ModuleType, visdom: Path, packages: Path
) -> None:
    path = packages / "jquery-3.1.1.tgz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(SystemExit, match=r"^error: .*jquery-3.1.1.tgz is damaged \(.*\); pack"):
        script.main(["--from", str(packages)])


def test_a_folder_that_cannot_be_written_is_one_line(
    script: ModuleType, visdom: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, text: str, **_: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", refused)
    with pytest.raises(SystemExit, match=r"^error: .*version\.built"):
        script.main(["--from", str(packages)])


def test_ctrl_c_is_one_line(
    script: ModuleType,
    visdom: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "fetch", stopped)
    assert script.main([]) == 130
    assert capsys.readouterr().err == "stopped; the same command starts again\n"


def test_a_registry_without_a_hash_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = script_module("npm_registry")
    answer = {"versions": {"1.0": {"dist": {"tarball": "a.tgz", "integrity": None}}}}
    monkeypatch.setattr(npm, "_read", lambda *_: json.dumps(answer).encode())
    with pytest.raises(ValueError, match=r"does not describe version 1\.0"):
        npm.Registry("http://127.0.0.1/npm").fetch("a@1.0", tmp_path)
