"""util/sinks/dashboard/panels.py: the axis in epochs, the groups of losses, the line at the top."""

from __future__ import annotations

from typing import Any

import pytest

from util.sinks.curves import Curves
from util.sinks.dashboard.client import legend_place
from util.sinks.dashboard.panels import epoch_axis, headline, loss_panels

EPOCH = 100


@pytest.mark.parametrize(
    ("images", "texts"),
    [
        (1, ["0", "0.1", "0.2"]),
        (300, ["0", "0.5", "1"]),
        (301, ["0", "0.5", "1"]),
        (401, ["0", "1", "2"]),
        (20_000, ["0", "50", "100"]),
    ],
)
def test_ticks_are_epochs_at_the_images_where_they_end(images: int, texts: list[str]) -> None:
    axis = epoch_axis(images, EPOCH)
    assert axis["ticktext"][:3] == texts and axis["title"] == "epoch"
    assert axis["tickvals"] == pytest.approx([float(text) * EPOCH for text in axis["ticktext"]])
    assert axis["tickvals"][-1] >= images


def test_the_axis_stays_for_a_while_as_a_run_grows() -> None:
    assert epoch_axis(410, EPOCH) == epoch_axis(800, EPOCH)
    assert epoch_axis(50, 0) == {"title": "images seen"}


def test_losses_of_both_directions_share_a_panel(point: Any) -> None:
    curves = Curves([point(1), point(2)])
    panels = loss_panels(curves.points, curves.names)
    assert list(panels) == ["loss D", "loss G", "loss cycle", "loss idt"]
    assert [t["name"] for t in panels["loss D"]] == ["D_A", "D_B", "D_A raw", "D_B raw"]
    pix2pix = Curves([point(1, losses={"G_GAN": 1.0, "G_L1": 20.0, "D_real": 0.5, "D_fake": 0.4})])
    assert list(loss_panels(pix2pix.points, pix2pix.names)) == ["loss G", "loss D"]


@pytest.mark.parametrize(
    ("curves", "place"),
    [
        ([[400.0, None, 380.0], [260.0, 250.0, 250.0]], "bottom"),
        ([[0.7, 0.2, 0.18], [0.5, 0.2, 0.2]], "top"),
        ([[1.0], [0.9]], "top"),  # where they go is not known
        ([[-1.0, -0.9], [-1.0, -0.9]], "top"),
        ([[None], []], "top"),
    ],
)
def test_the_legend_is_where_the_curves_are_not(curves: list[Any], place: str) -> None:
    assert legend_place([{"y": values} for values in curves])["yanchor"] == place


def test_the_line_at_the_top(point: Any) -> None:
    known = {"epochs": 200, "epoch_images": 50, "seconds_left": 7200.0}
    assert headline("a<b", None, closed=False) == "<b>a&lt;b</b>: starting"
    assert headline("x", point(3), closed=False) == "<b>x</b>: epoch 1, 9 images/s"
    assert headline("x", point(3, **known), closed=False) == (
        "<b>x</b>: epoch 1 / 200, 2 h 0 min left, 9 images/s"
    )
    assert "stopped, epoch 1 / 200" in headline("x", point(3, **known), closed=True)
    last = point(50, epoch=200, **known)
    assert "finished, epoch 200 / 200" in headline("x", last, closed=True)
