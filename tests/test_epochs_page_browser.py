"""The page of scripts/compare_epochs.py in a real Chromium."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_dashboard_browser import browser, wait  # noqa: F401 - a fixture

from util.evaluation.epochs_page import EpochsPage, Side
from util.evaluation.figures import Figure

pytestmark = pytest.mark.slow

EPOCHS = [str(5 * number) for number in range(1, 31)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """30 epochs of two directions; epoch 60 has the best KID of G_A."""
    folder = tmp_path_factory.mktemp("web")
    page = EpochsPage(folder, "exp")
    for key in ("G_A", "G_B"):
        side = Side(key, f"{key}: a title", ["scene_1", "deeper/scene_2"], answers=key == "G_A")
        page.sides.append(side)
        columns = ["input", "answer", *EPOCHS] if side.answers else ["input", *EPOCHS]
        for column in columns:
            level = (
                250 if column == "input" else 8 * (EPOCHS.index(column) if column in EPOCHS else 0)
            )
            for place in range(2):
                page.add(side, column, place, np.full((40, 60, 3), level, np.uint8))
        for number, epoch in enumerate(EPOCHS):
            value = abs(number - 11) / 100 + 0.01
            kid, l1 = Figure("kid", value, ""), Figure("l1", 30.0 - number, "")
            side.figures[epoch] = {"KID[efficientnet-lite0]": kid, "L1": l1}
    return page.save().as_uri()


def text(browser: Any, element: str) -> str:  # noqa: F811
    return str(browser.execute_script(f"return document.getElementById('{element}').textContent"))


def source(browser: Any, element: str) -> str:  # noqa: F811
    script = f"return document.getElementById('{element}').getAttribute('src')"
    return str(browser.execute_script(script))


def press(browser: Any, *keys: str) -> None:  # noqa: F811
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    for key in keys:
        ActionChains(browser).send_keys(getattr(Keys, key)).perform()


def heads(browser: Any) -> list[str]:  # noqa: F811
    script = (
        "return [...document.querySelectorAll('thead tr:first-child th')].map(e => e.textContent)"
    )
    return list(browser.execute_script(script))


def test_arrow_keys_and_the_slider_change_epoch_and_image(browser: Any, page: str) -> None:  # noqa: F811
    browser.set_window_size(1280, 900)
    browser.get(page)
    assert text(browser, "now") == "epoch 60 ★ best KID[efficientnet-lite0]"
    assert source(browser, "after") == "epochs/G_A/60/0.jpg"
    press(browser, "ARROW_RIGHT", "ARROW_DOWN")
    assert text(browser, "now") == "epoch 65"
    assert source(browser, "after") == "epochs/G_A/65/1.jpg"
    assert source(browser, "before") == "epochs/G_A/input/1.jpg"
    assert "deeper/scene_2" in text(browser, "image")
    browser.execute_script("const e = document.getElementById('epoch'); e.value = 29; e.oninput()")
    assert text(browser, "now") == "epoch 150"
    press(browser, "ARROW_RIGHT")  # there is none after the last
    assert text(browser, "now") == "epoch 150"
    marks = browser.execute_script(
        "return [...document.querySelectorAll('thead th.best')].map(e => e.dataset.column)"
    )
    assert marks == ["11", "29"]
    assert "29.00" in text(browser, "table")  # L1 of the second epoch


def test_before_and_after_over_the_input(browser: Any, page: str) -> None:  # noqa: F811
    browser.get(page)
    script = "return getComputedStyle(document.getElementById('after')).clipPath"
    assert browser.execute_script(script) == "inset(0px 0px 0px 0%)"
    browser.execute_script("const e = document.getElementById('cut'); e.value = 40; e.oninput()")
    assert browser.execute_script(script) == "inset(0px 0px 0px 40%)"
    from selenium.webdriver.common.action_chains import ActionChains

    box = browser.find_element("id", "compare")
    ActionChains(browser).move_to_element_with_offset(
        box, 0, 0
    ).click_and_hold().release().perform()
    value = float(browser.execute_script("return document.getElementById('cut').value"))
    assert abs(value - 50) <= 1


def test_pinned_columns_stay_beside_the_input(browser: Any, page: str) -> None:  # noqa: F811
    browser.set_window_size(1280, 900)
    browser.get(page)
    for column in (20, 3):
        script = f"document.querySelector('thead th[data-column=\"{column}\"] button').click()"
        browser.execute_script(script)
    assert [head.split()[0] for head in heads(browser)[:4]] == ["epoch", "105", "20", "5"]
    browser.execute_script("document.querySelector('.scroll').scrollLeft = 2000")
    lefts = browser.execute_script(
        "return [...document.querySelectorAll('tbody tr:first-child > *')].slice(0, 3)"
        ".map(e => e.getBoundingClientRect().left)"
    )
    assert lefts == sorted(lefts)
    assert 0 <= lefts[0] < lefts[1] < lefts[2] < 700
    browser.execute_script("document.querySelector('thead th.pinned button').click()")
    assert [head.split()[0] for head in heads(browser)[:3]] == ["epoch", "20", "5"]


def test_the_other_direction(browser: Any, page: str) -> None:  # noqa: F811
    browser.get(page)
    assert heads(browser)[-1] == "true answer"
    browser.execute_script("document.querySelectorAll('#directions button')[1].click()")
    assert text(browser, "about") == "G_B: a title"
    assert source(browser, "after") == "epochs/G_B/60/0.jpg"
    assert "true answer" not in heads(browser)


@pytest.mark.parametrize("width", [1920, 1280, 390])
def test_it_fits_every_screen_and_all_images_load(browser: Any, page: str, width: int) -> None:  # noqa: F811
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        browser.get(page)
        browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        wait(browser, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.execute_script("return document.documentElement.clientWidth") == width
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        stage = "document.querySelector('.stage').getBoundingClientRect().height"
        assert browser.execute_script(f"return {stage}") < 1000
        column = browser.execute_script(  # the chosen column is in view
            "const box = document.querySelector('.scroll').getBoundingClientRect(), "
            "c = document.querySelector('thead .current').getBoundingClientRect();"
            "return c.left >= box.left && c.right <= box.right + 1"
        )
        assert column
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
