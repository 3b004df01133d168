"""Mistakes of plug-ins that would be silent, or a traceback, are one line with the remedy."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import data
from data.aligned_dataset import AlignedDataset
from data.base_dataset import BaseDataset
from data.colorization_dataset import ColorizationDataset
from data.inference.folder import ImagePrefetcher
from models import create_model
from models.compute.optimizer_state import load_optimizer
from models.cycle_gan_model import CycleGANModel
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import UserError

FLAGS = ["--dataroot", "somewhere", "--name", "x", "--gpu_ids", "-1"]


def create(monkeypatch: pytest.MonkeyPatch, cls: type[BaseDataset], *flags: str) -> Any:
    monkeypatch.setattr(data, "find_dataset_using_name", lambda name: cls)
    return data.create_dataset(TrainOptions().parse([*FLAGS, *flags]))


@pytest.mark.parametrize("mistake", ["flag", "assert"])
@pytest.mark.parametrize("of", ["model", "dataset"])
def test_a_plugin_that_fails_to_add_its_flags_is_named_with_its_line(
    of: str,
    mistake: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def modify(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        assert mistake == "flag" or not is_train, "only for tests"
        parser.add_argument("--seed", type=int, default=3)
        return parser

    cls: type = CycleGANModel if of == "model" else data.find_dataset_using_name("unaligned")
    monkeypatch.setattr(cls, "modify_commandline_options", staticmethod(modify))
    with pytest.raises(SystemExit) as stop:
        TrainOptions().parse(FLAGS)
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert ("--model cycle_gan" if of == "model" else "--dataset_mode unaligned") in message
    assert "test_mistakes.py, line" in message
    assert ("--seed" if mistake == "flag" else "only for tests") in message


def test_a_data_set_of_2018_is_told_to_rename_initialize(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(AlignedDataset):
        def initialize(self, opt: Any) -> None:
            raise AssertionError

    with pytest.raises(UserError, match="rename initialize to __init__"):
        create(monkeypatch, Old)


@pytest.mark.parametrize("name", ["transform", "transform_A"])
@pytest.mark.parametrize("parent", [AlignedDataset, ColorizationDataset])
def test_a_transform_that_is_never_called_is_refused(
    parent: type[BaseDataset], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.aligned_dataset.make_dataset", lambda *_: ["a.png"])
    monkeypatch.setattr("data.colorization_dataset.make_dataset", lambda *_: ["a.png"])

    class Child(parent):  # type: ignore[misc, valid-type]
        def __init__(self, opt: Any) -> None:
            super().__init__(opt)
            setattr(self, name, None)

    channels = ["--input_nc", "1", "--output_nc", "2"] if parent is ColorizationDataset else []
    with pytest.raises(UserError, match=rf"assigns self\.{name},"):
        create(monkeypatch, Child, *channels)


@pytest.mark.parametrize("mode", ["unaligned", "aligned", "single", "colorization"])
def test_attributes_named_like_our_methods_do_not_disturb_a_parent(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("train", "trainA", "trainB"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 32), "red").save(tmp_path / folder / "a.png")
    parent: Any = data.find_dataset_using_name(mode)

    class Child(parent):  # type: ignore[misc]
        def __init__(self, opt: Any) -> None:
            super().__init__(opt)
            self.random = self.read = self.read_next = True

    flags = ["--dataroot", str(tmp_path / "train" if mode == "single" else tmp_path)]
    flags += ["--load_size", "32", "--crop_size", "32"]
    item = create(monkeypatch, Child, *flags).dataset[0]
    assert torch.is_tensor(item["A"])


def test_an_adam_with_entries_for_weights_without_gradients_is_restored() -> None:
    """Biases before an instance norm had gradients, and moments, in older checkpoints."""
    weight, bias = (torch.nn.Parameter(torch.ones(n)) for n in (3, 2))
    old = torch.optim.Adam([weight, bias])
    (weight.sum() + bias.sum()).backward()
    old.step()
    bias.grad = None
    new = torch.optim.Adam([weight, bias])
    load_optimizer(new, old.state_dict())
    new.step()
    assert new.state[weight]["step"] == 2 and new.state[bias]["step"] == 1


def test_an_optimizer_that_is_not_listed_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = [*FLAGS, "--ngf", "4", "--ndf", "4", "--checkpoints_dir", str(tmp_path)]
    model = create_model(TrainOptions().parse(flags))
    extra = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    model.optimizer_extra = extra
    model.setup(model.opt)
    assert "CycleGANModel.optimizer_extra is not in self.optimizers" in caplog.text
    assert caplog.text.count("is not in self.optimizers") == 1


def test_items_of_a_plugin_with_the_same_path_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Same(BaseDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"A": torch.zeros(3, 8, 8), "A_paths": "same.png"}

    Same.__module__ = "data.same_dataset"
    opt = TestOptions().parse(["--dataroot", str(tmp_path), "--name", "x", "--gpu_ids", "-1"])
    images = ImagePrefetcher(Same(opt), opt)
    images._read(0)
    assert "same.png" not in caplog.text
    images._read(1)
    assert "item 1 of Same has the path of an earlier item" in caplog.text
