"""The page of results and the gallery of a training in a real Chromium."""

# ruff: noqa: F811 - a parameter of the name of a fixture

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_dashboard_browser import browser, wait  # noqa: F401 - a fixture
from test_epochs_page_browser import press

from options.test_options import TestOptions
from util.results import pages
from util.results.pages import ResultPages
from util.sinks.gallery import Gallery
from util.sinks.sink import ImageRecord, SampleRecord

pytestmark = pytest.mark.slow

WIDTHS = [390, 1280, 1920]
LABELS = ("real_A", "fake_B", "real_B", "fake_A")
DIALOG = "document.querySelector('dialog')"
HEIGHT = "document.documentElement.scrollHeight"
NAME = "a <b>name</b> of a run & its 'images' \u2192 that is rather long for a small screen"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 60 pairs on three pages; the images are 96 x 64."""
    where = tmp_path_factory.mktemp("results")
    words = ["--name", "exp", "--results_dir", str(where), "--input", str(where / "in")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "ROWS_PER_PAGE", 25)
        with ResultPages(TestOptions().parse(words), ["real", "fake"]) as found:
            for number in range(60):
                visuals = {
                    label: torch.full((1, 3, 64, 96), level - number / 100)
                    for label, level in (("real", 0.0), ("fake", 1.0))
                }
                found.add(visuals, [f"{where}/in/a <i>scene</i> & more {number:02d}.png"])
        return found.close().parent


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training of 12 epochs at 256 px."""
    folder = tmp_path_factory.mktemp("run")
    shown = Gallery(folder, NAME, 256)
    for epoch in range(1, 13):
        images = {label: np.full((256, 256, 3), 20 * epoch, np.uint8) for label in LABELS}
        record = {"epoch": epoch, "total_iters": 1000 * epoch, "store": True}
        shown.images(ImageRecord(images=images, **record))
        shown.samples(SampleRecord(rows=[images] * 4, **record))
    shown.close()
    return folder / "web"


@contextmanager
def screen(browser: Any, width: int, scheme: str = "light") -> Iterator[None]:
    """Show pages as on a screen of that width, in the light or dark colour scheme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def run(browser: Any, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def enlarged(browser: Any) -> str | None:
    """The file that is shown large, if any."""
    return run(
        browser, f"{DIALOG}.open ? {DIALOG}.querySelector('.after').getAttribute('src') : null"
    )


def click(browser: Any, file: str) -> None:
    browser.find_element("css selector", f'a.zoom[href="{file}"]').click()


def check_layout(browser: Any, page: Path, width: int) -> None:
    """Nothing is wider than the screen, and the page stays as high as it was before scrolling."""
    browser.get(page.as_uri())
    assert run(browser, "document.documentElement.scrollWidth") <= width
    height = run(browser, HEIGHT)
    sizes = "[...document.querySelectorAll('a.zoom img')].every(i => i.getAttribute('height') > 0)"
    assert run(browser, sizes)  # which the browser knows before it has read the images
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    wait(
        browser, "[...document.images].filter(i => i.src).every(i => i.complete && i.naturalWidth)"
    )
    browser.execute_script(f"scrollTo(0, {HEIGHT})")
    assert run(browser, HEIGHT) == height


@pytest.mark.parametrize("width", WIDTHS)
def test_results_fit_every_screen_and_do_not_grow(browser: Any, results: Path, width: int) -> None:
    with screen(browser, width):
        check_layout(browser, results / "index.html", width)
        tops = run(
            browser,
            "[...document.querySelectorAll('section')].map(e => e.getBoundingClientRect().top)",
        )
        assert len(tops) == 25 and tops.count(tops[0]) == {390: 1, 1280: 2, 1920: 3}[width]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_gallery_fits_every_screen_and_does_not_grow(
    browser: Any,
    gallery: Path,
    width: int,
) -> None:
    with screen(browser, width):
        check_layout(browser, gallery / "index.html", width)
        first = run(browser, "[...document.querySelectorAll('tbody tr:nth-child(2) img')].length")
        assert first == 8
        widest = run(
            browser, "Math.max(...[...document.querySelectorAll('td img')].map(i => i.width))"
        )
        assert widest <= 128
        row = "[...document.querySelectorAll('tbody tr:nth-child(2) img')].map(i => i.width)"
        assert len(set(run(browser, row))) == 1


def top_of(browser: Any, file: str) -> float:
    """Return where an image begins on the page, in pixels."""
    top = f"document.querySelector(`a[href='{file}']`).getBoundingClientRect().top"
    return run(browser, f"{top} + scrollY")


@pytest.mark.parametrize("width", WIDTHS)
def test_arrow_keys_move_over_the_page_and_escape_closes(
    browser: Any,
    results: Path,
    width: int,
) -> None:
    def file(number: int, label: str) -> str:
        return f"images/a%20%3Ci%3Escene%3C/i%3E%20%26%20more%20{number:02d}_{label}.png"

    with screen(browser, width):
        browser.get((results / "index.html").as_uri())
        assert enlarged(browser) is None
        click(browser, file(0, "fake"))
        seen = [enlarged(browser)]
        for key in ("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_DOWN", "ARROW_LEFT", "ARROW_UP"):
            press(browser, key)
            seen.append(enlarged(browser))
        # down by a line, which has room for more pairs on a wider screen
        below = next(
            n
            for n in range(2, 60)
            if top_of(browser, file(n, "real")) > top_of(browser, file(1, "real"))
        ) + (1 if width > 390 else 0)
        places = [(0, "fake"), (1, "real"), (1, "fake"), (below, "fake"), (below, "real")]
        assert seen == [file(*place) for place in [*places, (1, "real")]]
        box = run(browser, f"{DIALOG}.getBoundingClientRect().toJSON()")
        assert box["left"] >= 0 and box["right"] <= width and box["bottom"] <= 900
        press(browser, *["ARROW_LEFT"] * 3)  # there is none before the first
        assert enlarged(browser) == file(0, "real")
        press(browser, "ESCAPE")
        assert enlarged(browser) is None


def test_the_input_is_uncovered_by_slider_and_mouse(browser: Any, results: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    with screen(browser, 1280):
        browser.get((results / "index.html").as_uri())
        links = browser.find_elements("css selector", "a.zoom")
        links[0].click()
        assert run(browser, f"{DIALOG}.querySelector('label').hidden")  # the input itself
        press(browser, "ARROW_RIGHT")
        assert not run(browser, f"{DIALOG}.querySelector('label').hidden")
        before = run(browser, f"{DIALOG}.querySelector('.compare img').getAttribute('src')")
        assert before == links[0].get_attribute("href").split("test_latest/")[1]
        clip = f"getComputedStyle({DIALOG}.querySelector('.after')).clipPath"
        assert run(browser, clip) == "inset(0px 0px 0px 0%)"
        browser.execute_script(
            f"const e = {DIALOG}.querySelector('input'); e.value = 40; e.oninput()"
        )
        assert run(browser, clip) == "inset(0px 0px 0px 40%)"
        box = browser.find_element("css selector", "dialog .compare")
        ActionChains(browser).move_to_element(box).click_and_hold().release().perform()
        assert abs(float(run(browser, f"{DIALOG}.querySelector('input').value")) - 50) <= 1


def test_pages_are_turned_at_both_ends(browser: Any, results: Path) -> None:
    with screen(browser, 390):
        browser.get((results / "index.html").as_uri())
        for link, place, page in (
            ("next", 0, "page_0002.html"),
            ("next", -1, "page_0003.html"),
            ("previous", -1, "page_0002.html"),
            ("1", 0, "index.html"),
            ("3", -1, "page_0003.html"),
        ):
            row = browser.find_elements("css selector", "nav.pages")[place]
            row.find_element("partial link text", link).click()
            wait(browser, f"location.pathname.endsWith('/{page}')")
        assert run(browser, "document.querySelectorAll('section').length") == 10


def test_in_the_gallery_a_column_is_one_image(browser: Any, gallery: Path) -> None:
    with screen(browser, 1280):
        browser.get((gallery / "index.html").as_uri())
        assert run(browser, "document.querySelector('h1').textContent") == NAME
        click(browser, "images/epoch012_fixed3_fake_B.png")
        press(browser, "ARROW_DOWN", "ARROW_DOWN")
        assert enlarged(browser) == "images/epoch010_fixed3_fake_B.png"
        before = run(browser, f"{DIALOG}.querySelector('.compare img').getAttribute('src')")
        assert before == "images/fixed3_real_A.png"
        press(browser, *["ARROW_UP"] * 3)
        assert enlarged(browser) == "images/fixed3_real_A.png"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_readable_in_both_colour_schemes(
    browser: Any,
    tmp_path: Path,
    point: Any,
    scheme: str,
) -> None:
    gallery = Gallery(tmp_path, "exp", 64)
    for step in (1, 2, 3):
        gallery.losses(point(step))
    image = np.zeros((8, 8, 3), np.uint8)
    gallery.images(ImageRecord(1, 3, {"real_A": image, "fake_B": image}, store=True))
    with screen(browser, 1280, scheme):
        browser.get((tmp_path / "web" / "index.html").as_uri())
        colours = run(
            browser,
            "[getComputedStyle(document.body).backgroundColor,"
            "...[...document.querySelectorAll('p, a, h1, h3, figcaption, svg text')].map(e =>"
            " getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color'])]",
        )
    back, *texts = (luminance(colour) for colour in colours)
    assert len(texts) > 20
    assert (back > 0.5) == (scheme == "light")
    contrasts = [(max(text, back) + 0.05) / (min(text, back) + 0.05) for text in texts]
    assert min(contrasts) > 4.5, dict(zip(colours[1:], contrasts, strict=True))


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)` by WCAG 2."""
    levels = [float(level) / 255 for level in colour.strip("rgb()").split(",")]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_page_of_a_run_that_goes_on_is_read_again_but_not_while_an_image_is_enlarged(
    browser: Any,
    tmp_path: Path,
) -> None:
    from util.html import HTML

    page = HTML(tmp_path, "exp", refresh=1)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    page.add_images(["a.png"], ["a"], ["a.png"])
    page.save()
    browser.get((tmp_path / "index.html").as_uri())
    browser.execute_script("window.seen = true")
    wait(browser, "!window.seen")  # it has been read again
    browser.execute_script(
        "window.seen = true; window.ticks = 0; document.querySelector('a.zoom').click();"
        "setInterval(() => ++window.ticks, 1000)"
    )
    wait(browser, "window.ticks >= 2 || !window.seen")
    assert run(browser, "window.seen")
    press(browser, "ESCAPE")
    wait(browser, "!window.seen")
