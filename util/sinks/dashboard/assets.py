"""Lists the scripts, styles and fonts that visdom's pages need and that its package lacks.

visdom downloads them when it is first started. Their list is read from the source of the installed
visdom, without importing it, which takes seconds.
"""

import ast
import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from util.programs import words_of

INSTALL_COMMAND = " ".join(words_of("scripts/install_visdom_assets.py"))
INSTALL_VISDOM = (
    'pip install "setuptools<81" wheel && pip install --no-build-isolation "visdom>=0.2.4"'
)
"""visdom 0.2.4 builds with pkg_resources, which setuptools 81 and later lack."""
_NAMES = {"ext_files", "cdnjs_url", "mathjax_path"}


@dataclass(frozen=True)
class Asset:
    """A file that visdom needs: the address of its download, and its path below `static`."""

    url: str
    place: str


def visdom_folder() -> Path | None:
    """Return the folder of the installed visdom package; None where it is not installed."""
    spec = importlib.util.find_spec("visdom")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) if folders else None


def list_assets(visdom: Path) -> list[Asset]:
    """Return the assets of the installed visdom. Raises ValueError where its list has changed."""
    lists = _read_lists(visdom / "server" / "build.py")
    assets = [Asset(url, _place(name)) for url, name in lists["ext_files"].items()]
    address = lists["cdnjs_url"]
    folder = "/".join(address.strip("/").split("/")[-2:])
    for path in lists["mathjax_path"]:
        assets.append(Asset(address + path, f"js/{folder}/{path.split('?')[0]}"))
    return assets


def missing_assets(visdom: Path) -> list[Asset]:
    """Return the assets that are not installed; none where visdom's list cannot be read."""
    try:
        assets = list_assets(visdom)
    except (OSError, ValueError):
        return []
    return [asset for asset in assets if not _is_installed(visdom / "static" / asset.place)]


def _is_installed(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _place(name: str) -> str:
    if name.endswith((".js", ".js.map")):
        return f"js/{name}"
    return f"css/{name}" if name.endswith(".css") else f"fonts/{name}"


def _read_lists(source: Path) -> dict[str, Any]:
    """Return the values of the few variables that hold visdom's list."""
    values: dict[str, Any] = {}
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError, TypeError):  # other variables are calls, for example
                values[node.targets[0].id] = _value(node.value, values)
    if missing := _NAMES - set(values):
        raise ValueError(f"{source} has no {', '.join(sorted(missing))} that can be read")
    return values


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    """Evaluate a constant, a known name, a list or dictionary of such, or `text % text`."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.List):
        return [_value(item, known) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key, known) for key in node.keys if key is not None]
        return dict(zip(keys, [_value(item, known) for item in node.values], strict=True))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _value(node.left, known) % _value(node.right, known)
    raise ValueError(f"cannot read line {node.lineno} of visdom's list of assets")
