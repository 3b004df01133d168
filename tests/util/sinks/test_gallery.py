"""util/sinks/gallery.py: newest epochs first, constant work per update, resumed, damaged."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from util.sinks.gallery import ROWS_PER_PAGE, Gallery


def epochs(page: Path) -> list[int]:
    return [int(n) for n in re.findall(r"<h3>epoch (\d+)</h3>", page.read_text())]


def test_page_shows_curves_fixed_images_and_the_newest_first(
    tmp_path: Path, point: Any, frame: Any, sample: Any
) -> None:
    gallery = Gallery(tmp_path, "exp", 64)
    for epoch in (1, 2, 3):
        gallery.losses(point(epoch))
        gallery.images(frame(epoch))
        gallery.samples(sample(epoch))
    gallery.images(frame(4, store=False))
    gallery.close()
    page = tmp_path / "web" / "index.html"
    assert epochs(page) == [3, 2, 1]
    html = page.read_text()
    assert html.count("<svg") == 4 and 'data-name="idt_B"' in html
    assert html.count('src="images/epoch003_samples.png"') == 1
    shown = re.findall(r'src="(images/[^"]+)"', html)
    assert len(shown) == 7 and all((tmp_path / "web" / name).is_file() for name in shown)


def test_an_update_costs_the_same_at_any_age(
    tmp_path: Path, point: Any, frame: Any, sample: Any
) -> None:
    gallery = Gallery(tmp_path, "exp", 64)
    page, sizes = tmp_path / "web" / "index.html", []
    for epoch in range(1, 101):
        for step in range(10):
            gallery.losses(point(epoch * 10 + step))
        gallery.images(frame(epoch))
        state = page.with_name("gallery.json")
        sizes.append(page.stat().st_size + state.stat().st_size)  # all that is written again
        assert epochs(page)[0] == epoch
    assert max(sizes[60:]) < 1.1 * max(sizes[20:60])
    everything = [page, *sorted(page.parent.glob("older_*.html"), reverse=True)]
    assert [n for file in everything for n in epochs(file)] == list(range(100, 0, -1))
    assert len(epochs(page)) <= 2 * ROWS_PER_PAGE
    for file in everything:
        links = re.findall(r'href="([\w.]+\.html)"', file.read_text())
        assert all((page.parent / link).is_file() for link in links)


def test_a_resumed_run_extends_its_gallery_and_removes_lost_epochs(
    tmp_path: Path, frame: Any, sample: Any
) -> None:
    gallery = Gallery(tmp_path, "exp", 64)
    for epoch in (1, 2, 3):
        gallery.images(frame(epoch))
    again = Gallery(tmp_path, "exp", 64)
    again.samples(sample(2))
    page = tmp_path / "web" / "index.html"
    assert epochs(page) == [2, 1]
    assert "epoch002_real_A.png" in page.read_text()  # shown beside the new fixed images


DAMAGED = {
    "cut off": '{"rows": [{"epoch": 1, "la',
    "empty": "",
    "binary": "\0\0\0",
    "a list": "[]",
    "an unknown key": '{"rows": [{"epoch": 1, "what": 2}], "pages": 0}',
    "a wrong type": '{"rows": [{"epoch": "one", "labels": ["real_A"]}], "pages": 0}',
    "wrong labels": '{"rows": [{"epoch": 1, "labels": [3]}], "pages": 0}',
    "wrong pages": '{"rows": [], "pages": null}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_state_is_set_aside_and_nothing_else_is_lost(
    content: str, tmp_path: Path, frame: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = Gallery(tmp_path, "exp", 64)
    for epoch in range(1, 2 * ROWS_PER_PAGE + 3):
        gallery.images(frame(epoch))
    web = tmp_path / "web"
    before = {path.name: path.read_bytes() for path in (web / "images").iterdir()}
    older = {path: path.read_bytes() for path in web.glob("older_*.html")}
    shown = epochs(web / "index.html")
    (web / "gallery.json").write_text(content)
    resumed = Gallery(tmp_path, "exp", 64)
    assert len(caplog.records) == 1 and "gallery.json is damaged" in caplog.text
    resumed.images(frame(50))
    resumed.close()
    assert (web / "gallery.json.damaged").read_text() == content
    assert epochs(web / "index.html") == [50]
    assert epochs(web / "older_0002.html") == shown
    assert 'href="older_0002.html"' in (web / "index.html").read_text()
    assert {path: path.read_bytes() for path in older} == older
    now = {path.name: path.read_bytes() for path in (web / "images").iterdir()}
    assert now == {**now, **before}
    assert Gallery(tmp_path, "exp", 64).pages == 2


def test_markup_in_names_and_labels_is_escaped(tmp_path: Path, point: Any, frame: Any) -> None:
    markup = "<b>& 'x'"
    gallery = Gallery(tmp_path, markup, 64)
    gallery.losses(point(1, losses={markup: 1.0}))
    record = frame(1)
    (image,) = {id(image): image for image in record.images.values()}.values()
    gallery.images(replace(record, images={markup: image}))
    gallery.close()
    html = (tmp_path / "web" / "index.html").read_text()
    assert "<b>" not in html and html.count("&lt;b&gt;&amp; ") > 4
    assert 'src="images/epoch001_%3Cb%3E%26%20%27x%27.png"' in html
