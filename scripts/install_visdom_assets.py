"""Install the scripts, styles and fonts of visdom's pages, without visdom's own download.

They are taken from npm packages: packed now (npm pack; npm may use a mirror), or packed before on
another machine: --list prints the command, --from DIR reads the folder.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.files import write_atomically
from util.sinks.dashboard.assets import (
    INSTALL_VISDOM,
    Asset,
    list_assets,
    missing_assets,
    visdom_folder,
)

PACKAGES = (
    # pattern of the end of an address, npm package that holds the file, path of the file in it
    (r"/((?:@[\w.-]+/)?[\w.-]+)@([\d.]+)/(.+)", r"\1@\2", r"\3"),
    (r"/(classnames)@([\d.]+)", r"\1@\2", "index.js"),
    (r"/plotly-([\d.]+)\.min\.js", r"plotly.js-dist-min@\1", "plotly.min.js"),
    (r"/d3\.v3\.min\.js", "d3@3.5.17", "d3.min.js"),
    (r"/d3-selection-multi\.v1\.js", "d3-selection-multi@1.0.1", "build/d3-selection-multi.js"),
    (r"/mathjax/([\d.]+)/(.+)", r"mathjax@\1", r"\2"),
)
"""visdom downloads from several hosts; all files are in npm packages of the same versions."""


def main(argv: list[str] | None = None) -> int:
    """Install what is missing, or everything with --force; return 0 where all is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="folder", metavar="DIR", help="folder of npm's .tgz files")
    parser.add_argument("--list", action="store_true", help="print the npm pack command and stop")
    parser.add_argument("--force", action="store_true", help="also replace installed files")
    args = parser.parse_args(argv)
    visdom = visdom_folder()
    if visdom is None:
        sys.exit(f"error: visdom is not installed: {INSTALL_VISDOM}")
    try:
        assets = list_assets(visdom) if args.force or args.list else missing_assets(visdom)
        packages = sorted({source(asset)[0] for asset in assets})
        if args.list:
            print(f"npm pack {' '.join(packages)}")
            return 0
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(args.folder) if args.folder else pack(packages, Path(temporary))
            for asset in assets:
                put(asset, folder, visdom / "static")
    except (OSError, ValueError, tarfile.TarError) as error:
        sys.exit(f"error: {error}")
    return check(visdom)


def source(asset: Asset) -> tuple[str, str]:
    """Return name@version of the npm package that holds an asset, and the asset's path in it.

    Raises ValueError where no package is known.
    """
    address = re.split(r"[?#]", asset.url)[0]
    for pattern, package, path in PACKAGES:
        if match := re.search(pattern + "$", address):
            return match.expand(package), match.expand(path)
    raise ValueError(f"this visdom needs {asset.url}, for which no npm package is known here")


def pack(packages: list[str], folder: Path) -> Path:
    """Let npm download packages into a folder; return it. Raises ValueError where npm fails."""
    if not packages:
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            "npm is not installed; pack on another machine (--list says what), copy the .tgz "
            "files here, and give --from DIR"
        )
    print(f"npm pack: {' '.join(packages)}", flush=True)
    done = subprocess.run(
        [npm, "pack", "--silent", *packages], cwd=folder, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        raise ValueError("npm pack failed (see above); --from DIR takes the packages from a folder")
    return folder


def put(asset: Asset, folder: Path, static: Path) -> None:
    """Copy an asset from its package. Raises ValueError where it is missing."""
    package, path = source(asset)
    archive = folder / f"{package.replace('@', '-').lstrip('-').replace('/', '-')}.tgz"
    if not archive.is_file():
        raise ValueError(f"{archive} does not exist; create it with: npm pack {package}")
    with tarfile.open(archive) as tar:
        try:
            member = tar.extractfile(f"package/{path}")
        except KeyError:
            member = None
        content = member.read() if member else b""
    if not content:
        raise ValueError(f"{archive} holds no {path}")
    target = static / asset.place
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda file: file.write(content))


def check(visdom: Path) -> int:
    """Report missing files; where none is, mark visdom's download as done. Return the exit code."""
    assets, missing = list_assets(visdom), missing_assets(visdom)
    if missing:
        print(f"{len(missing)} of {len(assets)} files are missing, e.g. {missing[0].place}")
        return 1
    version = (visdom / "VERSION").read_text(encoding="utf-8").strip()
    (visdom / "static" / "version.built").write_text(version, encoding="utf-8")
    size = sum((visdom / "static" / asset.place).stat().st_size for asset in assets)
    print(f"all {len(assets)} files ({size / 1e6:.1f} MB) are in {visdom / 'static'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
