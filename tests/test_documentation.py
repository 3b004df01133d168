"""What documents say of the tree is so: packages, files and functions that they name exist."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("options", "data", "models", "util")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def packages() -> dict[str, set[str]]:
    """Every folder of modules -> the names of its modules."""
    folders = [
        file.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("__init__.py")
    ]
    modules = {folder: {file.stem for file in (ROOT / folder).glob("*.py")} for folder in folders}
    return {folder: names - {"__init__"} for folder, names in modules.items()}


def described() -> dict[str, list[str]]:
    """Every folder that CONTRIBUTING describes -> the module names in its sentence."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Repository layout")[1].split("\n## ")[0]
    items = re.findall(r"^\* `([\w/]+)/`:(.*(?:\n  .*)*)", section, flags=re.MULTILINE)
    return {folder: re.findall(r"`((?:\*_)?\w+)`", sentence) for folder, sentence in items}


def test_contributing_describes_the_packages_that_there_are() -> None:
    assert set(described()) == set(packages())


@pytest.mark.parametrize("folder", packages())
def test_contributing_names_every_file_of_a_package_and_no_other(folder: str) -> None:
    patterns, modules = described().get(folder, []), packages()[folder]
    unnamed = {m for m in modules if not any(fnmatch(m, pattern) for pattern in patterns)}
    assert not unnamed, f"CONTRIBUTING.md does not name {sorted(unnamed)} of {folder}/"
    gone = [p for p in patterns if not any(fnmatch(module, p) for module in modules)]
    assert not gone, f"CONTRIBUTING.md names {gone}, which {folder}/ does not have"


def definitions(file: Path) -> set[str]:
    """`function`, `Class` and `Class.method` of a file."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{x.name}" for x in node.body if isinstance(x, ast.FunctionDef)}
    return names


def test_every_path_in_the_architecture_exists() -> None:
    paths = re.findall(r"`([\w/]+(?:\.py|/))`", ARCHITECTURE)
    assert len(paths) > 50
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing
    for target in re.findall(r"\]\(([^)#]+)", ARCHITECTURE):
        assert (ROOT / "docs" / target).exists(), target


def test_every_hop_in_the_architecture_is_a_function_of_its_file() -> None:
    hops = re.findall(r"^\| \d+ \| `([^`]+)` \| `([^`]+)` \|", ARCHITECTURE, flags=re.MULTILINE)
    numbered = re.findall(r"^\| \d+ \|", ARCHITECTURE, flags=re.MULTILINE)
    assert len(hops) == len(numbered) > 30
    for path, function in hops:
        assert function in definitions(ROOT / path), f"{path} has no {function}"
