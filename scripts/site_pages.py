"""The pages of the site that are no files of docs/: a hook of mkdocs, see mkdocs.yml.

README.md becomes the overview, CHANGELOG.md and CONTRIBUTING.md pages, and the docstrings of what a
Python program or a model of one's own uses become the page of the Python interface.
"""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "index.zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files beside docs/ -> their pages."""
INTERFACE = {
    "Translating in Python": ("models/inference/image_translator.py",),
    "Networks": ("models/networks.py",),
    "Models": ("models/base_model.py", "models/stored_networks.py"),
    "Data sets": ("data/base_dataset.py", "data/image_folder.py"),
    "Images": ("util/images.py", "util/image_pool.py"),
    "Several processes": ("util/ranks.py",),
    "Errors": ("util/errors.py",),
}
"""Headings of the page of the interface -> the files whose public names it lists."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages; mkdocs calls this after it has listed docs/."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=moved_links(text, at_root=True)))
    files.append(File.generated(config, "api.md", content=interface_page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links of a page of docs/ find README.md and its neighbours as pages."""
    return moved_links(markdown, at_root=False)


def moved_links(text: str, at_root: bool) -> str:
    """Return Markdown whose links between docs/ and the files beside it are those of the site.

    Links to other files, such as the licence, become their names alone.
    """

    def moved(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        if target.startswith(("http:", "https:")) or (not at_root and target[:3] != "../"):
            return match[0]
        name = target.removeprefix("../")
        if name.startswith("docs/"):
            return f"[{label}]({name.removeprefix('docs/')}{anchor})"
        if name in PAGES:
            return f"[{label}]({PAGES[name]}{anchor})"
        return label if name else match[0]

    return re.sub(r"\[([^\]\[]*)\]\(([^)#\s]*)(#[^)\s]*|)\)", moved, text)


def interface_page() -> str:
    """Return the page of the Python interface, in Markdown."""
    parts = ["# Python interface", "Made from the docstrings."]
    for heading, paths in INTERFACE.items():
        parts.append(f"## {heading}")
        for path in paths:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            module = path.removesuffix(".py").replace("/", ".")
            parts += [part for node in tree.body for part in described(node, module)]
    return "\n\n".join(parts) + "\n"


def described(node: ast.stmt, module: str) -> list[str]:
    """Return heading, signature and docstring of a public function or class, with its methods."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return []
    parts = [f"### {module}.{node.name}", signature(node), docstring(node)]
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                parts += [signature(method), docstring(method)]
    return parts


def signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return the first lines of a definition, up to the colon, as a code block."""
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        text = f"{node.name}({ast.unparse(node.args)}){returns}"
    else:
        made = [m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"]
        arguments = ast.unparse(made[0].args).removeprefix("self").lstrip(", ") if made else ""
        text = f"class {node.name}({arguments})"
    return f"```python\n{text}\n```"


def docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a docstring as Markdown: what looks like a tag is code there."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    return text.replace("<", "&lt;")
