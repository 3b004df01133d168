"""The dashboard and the gallery of a run in a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE

from util.sinks.curves import Curves
from util.sinks.dashboard.assets import missing_assets, visdom_folder
from util.sinks.dashboard.sink import Dashboard, DashboardSettings
from util.sinks.gallery import Gallery
from util.sinks.sink import ImageRecord, SampleRecord

pytestmark = pytest.mark.slow

LOSSES = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1400,1000"
)


def absent(reason: str) -> None:
    """Skip by hand, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run the browser tests: {reason}")
    pytest.skip(reason)


def need_assets() -> None:
    folder = visdom_folder()
    assert folder is not None
    if missing_assets(folder):
        absent("visdom's scripts are missing: python scripts/install_visdom_assets.py")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        absent("there is no chromium with chromedriver (Debian: chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    with webdriver.Chrome(options=options, service=Service(driver)) as started:
        yield started


def wait(browser: Any, script: str) -> Any:
    """The first true value of a script."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(f"return {script}"))


def images(seed: int) -> dict[str, Any]:
    noise = np.random.default_rng(seed)
    return {
        label: noise.integers(0, 256, (24, 24, 3), np.uint8)
        for label in ("real_A", "fake_B", "real_B", "fake_A")
    }


NAMES = "[...document.querySelectorAll('.legendtext')].map(e => e.textContent)"
PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"


def test_dashboard_shows_eight_named_curves_and_both_images(
    browser: Any, visdom_server: Any, tmp_path: Path, point: Any
) -> None:
    need_assets()
    settings = DashboardSettings(name="my run/ü", env="my run/ü", port=visdom_server.port, width=64)
    sink = Dashboard(settings, tmp_path, Curves(point(step) for step in range(1, 4)))
    sink.images(ImageRecord(1, 3, images(1), store=True))
    sink.samples(SampleRecord(1, 3, [images(2), images(3)], store=True))
    sink.flush()
    browser.get(sink.client.link)
    wait(browser, f"{NAMES}.length >= 10")
    found = browser.execute_script(f"return {NAMES}")
    assert sorted(name for name in found if name in LOSSES) == sorted(LOSSES)
    sizes = wait(
        browser,
        "(s => s.length == 2 && s.every(w => w > 100) && s)"
        "([...document.querySelectorAll('img')].map(e => e.naturalWidth))",
    )
    assert len(sizes) == 2
    sink.losses(point(4))  # arrives in the open page
    sink.flush()
    sink.client.close()
    last = f"Math.max(...{PLOTS}.map(p => p.data[0].x.at(-1)))"
    wait(browser, f"{last} == 4")
    browser.save_screenshot(str(tmp_path / "dashboard.png"))


def test_curves_of_two_runs_are_compared(
    browser: Any, visdom_server: Any, tmp_path: Path, point: Any
) -> None:
    need_assets()
    for name in ("first", "second"):
        settings = DashboardSettings(name=name, env=name, port=visdom_server.port)
        sink = Dashboard(settings, tmp_path, Curves(point(step) for step in (1, 2)), PATIENCE)
        sink.close()
        assert sink.failures == 0
    # as the page stores a choice: the address /compare/first+second needs a folder ~/.visdom
    browser.get(f"http://127.0.0.1:{visdom_server.port}/")
    browser.execute_script("localStorage.setItem('envIDs', '[\"first\", \"second\"]')")
    browser.get(f"http://127.0.0.1:{visdom_server.port}/")
    # visdom 0.2 numbers the runs, 0.3 names them
    curve = "/^([01]|first|second)_(D|G|cycle|idt)_[AB]$/"
    wait(browser, f"{NAMES}.filter(name => {curve}.test(name)).length == 16")
    colours = "new Set(p.data.filter(t => t.showlegend).map(t => t.line.color)).size"
    drawn = f"{PLOTS}.map(p => p._fullData).map(data => ({{data}})).map(p => {colours})"
    assert browser.execute_script(f"return Math.min(...{drawn}.filter(n => n > 2))") == 4
    browser.save_screenshot(str(tmp_path / "compare.png"))


@pytest.mark.parametrize("width", [1400, 500])
def test_page_opens_from_disk_on_any_screen(
    browser: Any, tmp_path: Path, point: Any, width: int
) -> None:
    gallery = Gallery(tmp_path, "exp", 256)
    for epoch in (1, 2):
        gallery.losses(point(epoch))
        gallery.images(ImageRecord(epoch, epoch, images(epoch), store=True))
        gallery.samples(SampleRecord(epoch, epoch, [images(1), images(2)], store=True))
    gallery.close()
    browser.set_window_size(width, 900)
    browser.get((tmp_path / "web" / "index.html").as_uri())
    curves = "[...document.querySelectorAll('svg path.smooth')].map(e => e.dataset.name)"
    assert sorted(browser.execute_script(f"return {curves}")) == sorted(LOSSES)
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    wait(browser, "[...document.images].every(i => i.complete)")
    widths = browser.execute_script(
        "return [...document.images].filter(i => i.src).map(i => i.naturalWidth)"
    )
    assert len(widths) == 8 + 4 + 8 and min(widths) > 0  # training images, inputs, fixed images
    overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(f"return {overhang}") <= 0
    browser.save_screenshot(str(tmp_path / f"page_{width}.png"))
