"""What scripts of each generation call of a visualizer gives the records of our own sinks."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import pixels

from util import html, util
from util.sinks.sink import ImageRecord, LossRecord, Sink
from util.visualizer import Visualizer, save_images

LOSSES = {"G": 1.5, "D": torch.tensor(0.25)}
NUMBERS = {"G": 1.5, "D": 0.25}


class Recorder(Sink):
    def __init__(self) -> None:
        self.losses_seen: list[LossRecord] = []
        self.images_seen: list[ImageRecord] = []

    def losses(self, record: LossRecord) -> None:
        self.losses_seen.append(record)

    def images(self, record: ImageRecord) -> None:
        self.images_seen.append(record)


@pytest.fixture
def shown() -> Any:
    """A visualizer with a recorder: (visualizer, recorder)."""
    recorder = Recorder()
    opt = Namespace(name="run", lr=0.1, checkpoints_dir="runs")
    visualizer = Visualizer(opt, [recorder])
    yield visualizer, recorder
    visualizer.close()


PLOTS = {
    "2017": lambda v: v.plot_current_losses(1, 0.5, Namespace(), LOSSES),
    "2024": lambda v: v.plot_current_losses(1, 0.5, LOSSES),
    "2024 by name": lambda v: v.plot_current_losses(epoch=1, counter_ratio=0.5, losses=LOSSES),
    "2025": lambda v: v.plot_current_losses(100, LOSSES),
    "2025 by name": lambda v: v.plot_current_losses(total_iters=100, losses=LOSSES),
}


@pytest.mark.parametrize("generation", PLOTS)
def test_print_and_plot_of_a_step_are_one_record(shown: Any, generation: str) -> None:
    visualizer, recorder = shown
    visualizer.print_current_losses(1, 50, LOSSES, 0.3, 0.1)
    PLOTS[generation](visualizer)
    (record,) = recorder.losses_seen
    assert (record.epoch, record.iters, record.losses) == (1, 50, NUMBERS)
    assert (record.time, record.data, record.learning_rate) == (0.3, 0.1, 0.1)


@pytest.mark.parametrize("generation", PLOTS)
def test_a_plot_alone_is_a_record(shown: Any, generation: str) -> None:
    visualizer, recorder = shown
    PLOTS[generation](visualizer)
    (record,) = recorder.losses_seen
    assert record.losses == NUMBERS
    if "2025" in generation:
        assert record.total_iters == 100
    else:
        assert record.epoch == 1


def test_losses_of_two_steps_are_two_records_on_one_axis(shown: Any) -> None:
    visualizer, recorder = shown
    for epoch, iters in ((1, 10), (1, 20), (2, 10)):
        visualizer.print_current_losses(epoch, iters, {"G": epoch + iters}, 0.3)
    assert [record.total_iters for record in recorder.losses_seen] == [10, 20, 30]


def test_other_losses_of_the_same_step_are_a_record_of_their_own(shown: Any) -> None:
    visualizer, recorder = shown
    visualizer.print_current_losses(1, 10, {"G": 1.0}, 0.3, 0.1)
    visualizer.print_current_losses(1, 10, {"validation": 1.0}, 0.3, 0.1)
    assert len(recorder.losses_seen) == 2


DISPLAYS = {
    "2018": lambda v, images, save: v.display_current_results(images, 3, save),
    "2018 by name": lambda v, images, save: v.display_current_results(images, 3, save_result=save),
    "2025": lambda v, images, save: v.display_current_results(images, 3, 70, save),
}


def test_images_without_a_word_on_storing_are_stored(shown: Any) -> None:
    visualizer, recorder = shown
    for _ in range(2):
        visualizer.display_current_results({"real": torch.zeros(1, 3, 4, 6)}, 3)
    assert [record.store for record in recorder.images_seen] == [True, True]


@pytest.mark.parametrize("generation", DISPLAYS)
def test_images_are_stored_where_asked_and_the_first_of_an_epoch(
    shown: Any, generation: str
) -> None:
    visualizer, recorder = shown
    image = np.full((4, 6, 3), 9, np.uint8)
    visuals = {"real": torch.zeros(2, 3, 4, 6), "array": image}
    for save in (False, True):
        DISPLAYS[generation](visualizer, visuals, save)
    visualizer.reset()
    for _ in range(2):
        DISPLAYS[generation](visualizer, visuals, False)
    assert [record.store for record in recorder.images_seen] == [False, True, True, False]
    record = recorder.images_seen[0]
    assert record.epoch == 3
    assert record.total_iters == (70 if generation == "2025" else 0)
    np.testing.assert_array_equal(record.images["array"], image)
    assert record.images["real"].shape == (4, 6, 3)


def test_the_visualizer_has_the_name_of_the_run(shown: Any) -> None:
    assert shown[0].name == "run"
    assert Path(shown[0].log_name) == Path("runs/run/loss_log.txt")


def test_results_of_a_page(tmp_path: Path) -> None:
    page = html.HTML(tmp_path / "web", "Experiment = run", refresh=0)
    array = np.full((4, 8, 3), 9, np.uint8)
    batch = torch.stack([torch.full((3, 4, 8), -1.0), torch.ones(3, 4, 8)])
    save_images(page, {"real": batch}, ["in/a.png", "in/b.png"], aspect_ratio=2.0, width=99)
    save_images(page, {"real": array}, ["other/a.png"], use_wandb=False)
    page.save()
    images = Path(page.get_image_dir())
    assert pixels(images / "a_real.png").shape == (4, 16, 3)
    assert pixels(images / "a_real.png").max() == 0
    assert pixels(images / "b_real.png").min() == 255
    np.testing.assert_array_equal(pixels(images / "a_2_real.png"), array)  # none is written over
    text = (tmp_path / "web/index.html").read_text()
    assert "Experiment = run" in text and "width:99px" in text and "images/b_real.png" in text
    assert page.title == "Experiment = run"


def test_helpers_of_images_and_folders(tmp_path: Path, capsys: Any) -> None:
    image = util.tensor2im(torch.tensor([[[[-1.0, 1.0]]] * 3]), np.float32)
    assert image.shape == (1, 2, 3) and image.dtype == np.float32
    assert image[0, :, 0].tolist() == [0, 255]
    beyond = util.tensor2im(torch.full((1, 1, 1, 1), 1.5), np.float32)
    assert beyond.shape == (1, 1, 3) and beyond.min() == 318.75  # for figures, not for a file
    same = np.zeros((2, 2), np.uint8)
    assert util.tensor2im(same) is same
    assert util.tensor2im(np.full((2, 2), 1.5)).dtype == np.uint8
    assert util.tensor2im("text") == "text"
    util.mkdirs([str(tmp_path / "a/b"), str(tmp_path / "c")])
    util.mkdirs(str(tmp_path / "d"))
    util.mkdir(str(tmp_path / "d"))
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c", "d"}
    util.save_image(np.zeros((4, 4, 3), np.uint8), str(tmp_path / "wide.png"), aspect_ratio=2.0)
    util.save_image(np.zeros((4, 4), np.uint8), str(tmp_path / "gray.png"))
    assert pixels(tmp_path / "wide.png").shape == (4, 8, 3)
    util.print_numpy(np.array([1.0, 3.0]), shp=True)
    assert "shape, (2,)\nmean = 2.000, min = 1.000" in capsys.readouterr().out
    net = torch.nn.Linear(1, 1)
    util.diagnose_network(net)
    net(torch.ones(1, 1)).sum().backward()
    util.diagnose_network(net, "mine")
    assert capsys.readouterr().out == "network\n0.0\nmine\n1.0\n"


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("util.run.script_run.ScriptRun.current", None)
    assert isinstance(util.init_ddp(), torch.device)
    util.cleanup_ddp()
