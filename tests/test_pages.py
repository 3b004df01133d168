"""The pages: they build as a site without broken links, and their commands are accepted."""

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import picture
from script_modules import script
from tiny_runs import optional_package

from options.test_options import TestOptions
from options.train_options import TrainOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
OPTIONS = {"01_train.py": TrainOptions, "02_inference.py": TestOptions}


def commands(page: Path) -> Iterator[list[str]]:
    """The command lines in the fenced blocks of a page, as words from the program on."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:bash|)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?<![\w/])((?:scripts/|datasets/)?\w+\.py)(?: .*)?$", line)
            if found and re.match(r"^\s*(\S+=\S+ |\S*time -v )*(srun )?(python|torchrun)", line):
                words = shlex.split(line[found.start() :].replace("\\", "/"), comments=True)
                yield words


def blocks(page: str) -> list[str]:
    """The Python code in a page of docs/, without the indentation of lists."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^( *)```python\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model and the data set that docs/extending.md makes from the templates."""
    flag, names, step, item = blocks("extending.md")
    model = (ROOT / "models/template_model.py").read_text(encoding="utf-8")
    model = model.replace("Template", "Edges").replace(
        "            parser.add_argument(",
        textwrap.indent(flag, " " * 12) + " " * 12 + "parser.add_argument(",
        1,
    )
    model = model.replace('        self.loss_names = ["G"]\n', textwrap.indent(names, " " * 8))
    model = model.split("    def optimize_parameters")[0] + textwrap.indent(step, "    ")
    data = (
        (ROOT / "data/template_dataset.py").read_text(encoding="utf-8").replace("Template", "Night")
    )
    data = data.split("    def __getitem__")[0] + textwrap.indent(item, "    ")
    for package, file, code in (("models", "edges_model", model), ("data", "night_dataset", data)):
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{file}.py").write_text(code, encoding="utf-8")
        module = importlib.import_module(package)
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package}.{file}", raising=False)


@pytest.mark.usefixtures("own_files")
def test_the_model_and_the_data_set_of_the_page_train_and_translate(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(2):
        picture(number, 32, 32).save(tmp_path / "images" / f"{number}.png")
    where = [
        "--dataroot",
        str(tmp_path / "images"),
        "--checkpoints_dir",
        str(tmp_path),
        "--gpu_ids",
        "-1",
    ]
    where += ["--name", "night", "--model", "edges", "--dataset_mode", "night"]
    tiny = "--netG resnet_6blocks --ngf 4 --load_size 32 --crop_size 32 --n_epochs 1"
    tiny += " --n_epochs_decay 0 --display_id 0 --num_threads 0 --print_freq 1"
    train, infer = (importlib.import_module(name) for name in ("01_train", "02_inference"))
    assert train.main([*where, *tiny.split()]) == 0
    assert "edges: " in (tmp_path / "night" / "loss_log.txt").read_text()
    assert infer.main([*where, "--results_dir", str(tmp_path / "results")]) == 0
    assert list((tmp_path / "results").rglob("*_output.png"))


def test_the_site_has_no_broken_link_and_needs_no_network(tmp_path: Path) -> None:
    optional_package("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.glob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|link)[^>]*(?:src|href)=\"?(https?:[^\" >]*)",
            page.read_text(encoding="utf-8"),
        )
        assert not loaded, f"{page.name} loads {loaded}"


def test_the_pages_have_commands() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 50


@pytest.mark.usefixtures("own_files")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_accept_the_commands_of_a_page(page: Path) -> None:
    for program, *words in commands(page):
        assert (ROOT / program).is_file(), f"{page.name}: {program}"
        if "..." in words:
            words = [*(word for word in words if word != "..."), "--dataroot", "DIR"]
        if program in OPTIONS:
            OPTIONS[program]().parse(words)  # raises UsageError
        elif program != "scripts/benchmark.py":  # which takes the flags of 01_train.py
            flags = {word for word in words if word.startswith("--")}
            known = set(re.findall(r"--[\w-]+", usage(program)))
            assert flags <= known, f"{page.name}: {program} has no {flags - known}"


@lru_cache
def usage(program: str) -> str:
    """The text of --help."""
    folder, name = program.removesuffix(".py").split("/")
    if folder == "datasets":
        done = subprocess.run([sys.executable, program, "--help"], cwd=ROOT, capture_output=True)
        return done.stdout.decode()
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        script(name).main(["--help"])
    return printed.getvalue()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "docs/tutorial.md"], ids=lambda path: path.name
)
def test_the_chinese_page_has_the_headings_commands_and_links_of_the_english_one(
    page: Path,
) -> None:
    english, chinese = (
        path.read_text(encoding="utf-8") for path in (page, page.with_suffix(".zh-CN.md"))
    )
    for what in (r"^(#+) ", r"^(```.*?^```)$", r"\]\(([^)]*)\)", r"^(\|[-|]+)$"):
        found = [re.findall(what, text, re.MULTILINE | re.DOTALL) for text in (english, chinese)]
        if what.startswith(r"\]"):  # in Chinese a sentence may have another order
            found = [sorted(t.replace(".zh-CN", "") for t in targets) for targets in found]
        if what.startswith(r"^(`"):  # each language says in words what is in a folder
            found = [[re.sub(r"(?m)^(photos/\S+).*", r"\1", b) for b in blocks] for blocks in found]
        assert found[0] == found[1], f"{page.name}: {what}"
