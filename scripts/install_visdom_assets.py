"""Install the scripts, styles and fonts of visdom's pages, without visdom's own download.

They are taken from packages of the npm registry, or of the mirror that npm is configured for; the
program npm is not needed. Without a network: --list prints what to pack on another machine, --from
DIR reads the folder.
"""

import argparse
import re
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from npm_registry import Registry, archive_name, configured_registry

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
    parser.add_argument(
        "--registry", metavar="URL", help="npm registry; when not given, that of npm's settings"
    )
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
            folder = Path(args.folder or temporary)
            if not args.folder:
                fetch(packages, Registry(args.registry or configured_registry()), folder)
            for asset in assets:
                put(asset, folder, visdom / "static")
        return check(visdom)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped; the same command starts again", file=sys.stderr)
        return 130


def source(asset: Asset) -> tuple[str, str]:
    """Return name@version of the npm package that holds an asset, and the asset's path in it.

    Raises ValueError where no package is known.
    """
    address = re.split(r"[?#]", asset.url)[0]
    for pattern, package, path in PACKAGES:
        if match := re.search(pattern + "$", address):
            return match.expand(package), match.expand(path)
    raise ValueError(f"this visdom needs {asset.url}, for which no npm package is known here")


def fetch(packages: list[str], registry: Registry, folder: Path) -> None:
    """Download packages (name@version) into a folder. Raises ValueError where one fails."""
    if packages:
        print(f"fetching {len(packages)} packages from {registry.address}", flush=True)
    for package in packages:
        try:
            registry.fetch(package, folder)
        except ValueError as error:
            raise ValueError(
                f"{error}; --registry URL names a mirror, --list says what to fetch on another "
                "machine for --from DIR"
            ) from error


def put(asset: Asset, folder: Path, static: Path) -> None:
    """Copy an asset from its package. Raises ValueError where it is missing."""
    package, path = source(asset)
    archive = folder / archive_name(package)
    if not archive.is_file():
        raise ValueError(f"{archive} does not exist; create it with: npm pack {package}")
    try:
        with tarfile.open(archive) as tar:
            names = tar.getnames()
            member = tar.extractfile(f"package/{path}") if f"package/{path}" in names else None
            content = member.read() if member else b""
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{archive} is damaged ({reason}); pack {package} again") from error
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
