"""util/sinks/gallery.py: newest epochs first, constant work per update, resumed, damaged."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from util.html import Picture
from util.sinks.gallery import ROWS_PER_PAGE, Gallery, Row, fixed_grid


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
    shown = re.findall(r'src="(images/[^"]+)"', html)
    assert all((tmp_path / "web" / name).is_file() for name in shown)
    columns = [
        f"images/epoch{epoch:03d}_fixed{n}_fake_B.png" for epoch in (3, 2, 1) for n in (1, 2)
    ]
    assert shown[:8] == ["images/fixed1_real_A.png", "images/fixed2_real_A.png", *columns]
    assert len(shown) == 8 + 6  # and the training images
    assert (tmp_path / "web" / "images" / "epoch003_samples.png").is_file()  # all as one image


def test_the_first_fixed_images_are_shown_before_the_epoch_has_ended(
    tmp_path: Path, sample: Any
) -> None:
    gallery, page = Gallery(tmp_path, "exp", 64), tmp_path / "web" / "index.html"
    assert gallery.is_empty
    gallery.samples(sample(1, store=False))
    assert "10 images" in page.read_text()
    gallery.samples(replace(sample(1, store=False), total_iters=15))
    assert "15 images" not in page.read_text() and not gallery.is_empty
    gallery.samples(replace(sample(1), total_iters=20))
    assert "20 images" in page.read_text() and "10 images" not in page.read_text()


def test_a_finished_page_no_longer_reads_itself_again(tmp_path: Path, frame: Any) -> None:
    gallery, page = Gallery(tmp_path, "exp", 64), tmp_path / "web" / "index.html"
    gallery.images(frame(1))
    assert 'data-refresh="30"' in page.read_text() and 'http-equiv="refresh"' in page.read_text()
    gallery.close()
    assert 'data-refresh="0"' in page.read_text() and 'http-equiv="refresh"' not in page.read_text()
    resumed = Gallery(tmp_path, "exp", 64)
    resumed.images(frame(2))
    assert 'data-refresh="30"' in page.read_text()


def test_fixed_images_that_an_older_version_stored_are_linked(tmp_path: Path, frame: Any) -> None:
    web = tmp_path / "web"
    web.mkdir()
    row = {"epoch": 1, "labels": ["real_A"], "samples": True}
    (web / "gallery.json").write_text(json.dumps({"rows": [row], "pages": 0}))
    Gallery(tmp_path, "exp", 64).images(frame(2))
    assert 'href="images/epoch001_samples.png"' in (web / "index.html").read_text()


def test_the_columns_of_fixed_images(sample: Any) -> None:
    labels = ["real_A", "fake_B", "real_B", "fake_A"]
    row = Row(7, samples=True, fixed=2, fixed_labels=labels, total_iters=1200)
    heads, rows = fixed_grid([row])
    assert heads == ["real_A \u2192 fake_B"] * 2 + ["real_B \u2192 fake_A"] * 2
    assert [picture.file for picture in rows[0].pictures if picture] == [
        "fixed1_real_A.png", "fixed2_real_A.png", "fixed1_real_B.png", "fixed2_real_B.png",
    ]  # fmt: skip
    last = rows[1].pictures[3]
    assert last == Picture("epoch007_fixed2_fake_A.png", "fake_A 2", "fixed2_real_B.png")
    assert (rows[1].title, rows[1].note) == ("epoch 7", "1,200 images")
    heads, rows = fixed_grid([Row(1, samples=True, fixed=1, fixed_labels=["depth", "edges"])])
    assert heads == ["depth", "edges"]  # no label tells which is an input
    assert [row.title for row in rows] == ["epoch 1"]


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
    "a wrong number": '{"rows": [{"epoch": 1, "fixed": "4"}], "pages": 0}',
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
