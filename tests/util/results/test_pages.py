"""util/results/pages.py and source.py: pages that are all linked; results of other weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from options.test_options import TestOptions
from util.html import page_links
from util.options import Options
from util.results.pages import ResultPages
from util.results.source import own_folder, source_of


@pytest.fixture
def options(tmp_path: Path) -> Any:
    """options("--model_suffix", "_A"): of an inference with the run `exp` of G_A and G_B."""
    run = tmp_path / "checkpoints" / "exp"
    run.mkdir(parents=True)
    for name in ("latest_net_G_A", "latest_net_G_B", "latest_net_D_A", "5_net_G_A"):
        (run / f"{name}.pth").touch()

    def make(*words: str, checkpoints: str = "checkpoints") -> Options:
        where = ["--checkpoints_dir", str(tmp_path / checkpoints), "--name", "exp"]
        where += ["--results_dir", str(tmp_path / "results"), "--input", str(tmp_path / "in")]
        return TestOptions().parse([*where, *words])

    return make


def write(opt: Options, count: int) -> Path:
    """Write the page of `count` images; return its folder."""
    with ResultPages(opt, ["real", "fake"]) as results:
        for number in range(count):
            image = torch.zeros(1, 3, 6, 9)
            results.add({"real": image, "fake": image}, [f"{opt.dataroot}/{number:02d}.png"])
    return results.close().parent


def links(page: Path) -> list[list[str]]:
    """The addresses of each row of page numbers."""
    rows = re.findall(r'<nav [^>]*class="pages".*?</nav>', page.read_text(), re.DOTALL)
    return [re.findall(r'href="([^"]+)"', row) for row in rows]


def test_all_pages_link_each_other_at_both_ends(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("util.results.pages.ROWS_PER_PAGE", 2)
    folder = write(options("--model_suffix", "_A"), 7)
    names = ["index.html", "page_0002.html", "page_0003.html", "page_0004.html"]
    first, second, last = names[0], names[1], names[3]
    assert links(folder / first) == [[*names[1:], second]] * 2
    assert links(folder / second) == [[first, first, *names[2:], names[2]]] * 2
    assert links(folder / last) == [[names[2], *names[:3]]] * 2
    assert links(write(options("--model_suffix", "_B"), 2) / first) == []


def test_pages_of_an_earlier_inference_with_more_images_are_removed(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("util.results.pages.ROWS_PER_PAGE", 2)
    opt = options("--model_suffix", "_A")
    write(opt, 7)
    folder = write(opt, 3)
    assert sorted(page.name for page in folder.glob("*.html")) == ["index.html", "page_0002.html"]


def test_of_many_pages_those_nearby_are_linked() -> None:
    row = page_links(9, 20, lambda number: f"{number}.html")
    assert re.findall(r'href="(\d+)\.html"', row) == ["8", "1", "7", "8", "10", "11", "20", "10"]
    assert row.count("\u2026") == 2


def test_images_have_their_size_and_the_page_its_source(options: Any) -> None:
    folder = write(options("--model_suffix", "_B"), 1)
    text = (folder / "index.html").read_text()
    for label in ("real", "fake"):
        (image,) = re.findall(f'<img [^>]*src="images/00_{label}.png"[^>]*>', text)
        assert 'width="9"' in image and 'height="6"' in image
    compared = 'data-before="images/00_real.png" href="images/00_fake.png">'
    assert re.findall("data-before=.*?>", text) == [compared]
    assert "<h1>exp, B to A, test, epoch latest</h1>" in text
    assert "latest_net_G_B.pth" in text


def test_the_direction_is_that_of_the_weights(options: Any, tmp_path: Path) -> None:
    stored = tmp_path / "checkpoints/exp/train_opt.json"
    assert source_of(options("--model_suffix", "_A")).direction == "A to B"
    assert source_of(options("--model", "cycle_gan")).direction == "A to B and back"
    stored.write_text(json.dumps({"direction": "BtoA"}))
    assert source_of(options("--model_suffix", "_A")).direction == "B to A"
    stored.write_text(json.dumps({"model": "colorization"}))
    assert source_of(options("--model_suffix", "")).direction == ""


OTHERS = {
    "another run of that name": ([], "elsewhere"),
    "both generators": (["--model", "cycle_gan"], "checkpoints"),
    "the other direction": (["--model", "cycle_gan", "--direction", "BtoA"], "checkpoints"),
}


def test_results_of_other_weights_stay_untouched(
    options: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = write(options("--model_suffix", "_A"), 1)
    assert first == tmp_path / "results/exp/test_latest" and not caplog.messages
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    for place, (words, checkpoints) in enumerate(OTHERS.values(), start=2):
        for _ in range(2):  # the same command again gives the same folder
            folder = write(options(*words, checkpoints=checkpoints), 2)
            assert folder == first.with_name(f"test_latest_{place}")
    assert f"{first} is left as it is: it holds results of" in caplog.text
    assert "checkpoints/exp (A to B, latest_net_G_A.pth)" in caplog.text.replace("\\", "/")
    assert {path: path.read_bytes() for path in before} == before
    assert write(options("--model_suffix", "_A"), 1) == first


def test_folders_without_results_or_without_a_source_are_taken(
    options: Any, tmp_path: Path
) -> None:
    first = own_folder(options("--model_suffix", "_A"))  # which ended before its first image
    assert own_folder(options("--model", "cycle_gan")) == first
    (first / "index.html").touch()
    for damage in ("", "{}", "[]", '{"weights": 3}'):  # as by an older version
        (first / "source.json").write_text(damage)
        assert own_folder(options("--model_suffix", "_A")) == first


def test_a_project_that_was_moved_keeps_its_folders(options: Any, tmp_path: Path) -> None:
    first = write(options("--model_suffix", "_A"), 1)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("checkpoints", "results"):
        (tmp_path / name).rename(moved / name)
    where = ["--checkpoints_dir", str(moved / "checkpoints"), "--name", "exp"]
    opt = TestOptions().parse(
        [*where, "--results_dir", str(moved / "results"), "--model_suffix", "_A"]
    )
    assert own_folder(opt) == moved / first.relative_to(tmp_path)
