"""Data sets in the manner of the reference run unchanged as data/<name>_dataset.py."""

import importlib
import json
import logging
import os
import pickle
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from equality import assert_same
from PIL import Image
from tiny_runs import infer, make_run, names
from training_processes import train

import data
from data import create_dataset
from data.inference.fixed_samples import fixed_samples
from options.train_options import TrainOptions
from util.checkpoints.training_state import read_state
from util.errors import UserError
from util.options import Options
from util.run.health import Health
from util.run.session import run_program

Make = Callable[..., Options]

HEAD = """
import os
import random
import numpy as np
import torch
from PIL import Image
from data.base_dataset import BaseDataset, get_params, get_transform
from data.image_folder import make_dataset


class {name}Dataset(BaseDataset):
"""

PAIRS = """
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument('--noise', type=float, default=0.1)
        parser.set_defaults(max_dataset_size=4)
        return parser

    def __init__(self, opt):
        BaseDataset.__init__(self, opt)
        self.dir_A = os.path.join(opt.dataroot, opt.phase + 'A')
        self.dir_B = os.path.join(opt.dataroot, opt.phase + 'B')
        self.A_paths = sorted(make_dataset(self.dir_A, opt.max_dataset_size))
        self.B_paths = sorted(make_dataset(self.dir_B, opt.max_dataset_size))
        self.A_size, self.B_size = len(self.A_paths), len(self.B_paths)
        self.transform_A = get_transform(self.opt, grayscale=(opt.input_nc == 1))
        self.transform_B = get_transform(self.opt, grayscale=(opt.output_nc == 1))
        self.epoch, self.reader, self.random, self.read = 'latest', None, 3, Image.open
        self.transform = None

    def __getitem__(self, index):
        A_path = self.A_paths[index % self.A_size]
        B_path = self.B_paths[random.randint(0, self.B_size - 1)]
        A = self.transform_A(Image.open(A_path).convert('RGB'))
        B = self.transform_B(Image.open(B_path).convert('RGB'))
        A = (A + self.opt.noise * torch.randn(A.shape)).clamp(-1, 1)
        if np.random.rand() < 0.5:
            B = torch.flip(B, [1])
        return {{'A': A, 'B': B, 'A_paths': A_path, 'B_paths': B_path}}

    def __len__(self):
        return max(self.A_size, self.B_size)
"""

BARE = """
    def __init__(self, opt):
        self.numbers = list(range(3))

    def __getitem__(self, index):
        side = np.full((3, 32, 32), 0.1 * index, np.float32)
        return {{'A': side, 'B': side[:, ::-1], 'label': index}}

    def __len__(self):
        return 3
"""

ONLY_A = """
    def __init__(self, opt):
        BaseDataset.__init__(self, opt)
        self.paths = sorted(make_dataset(self.root, opt.max_dataset_size))
        self.transform = get_transform(opt)

    def __getitem__(self, index):
        path = self.paths[index]
        image = self.transform(Image.open(path).convert('RGB'))
        return {{'A': image + 0.1 * torch.rand(1), 'A_paths': [path, 'more'], 'number': 1.5}}

    def __len__(self):
        return len(self.paths)
"""

RETURNS = """
    def __init__(self, opt):
        BaseDataset.__init__(self, opt)

    def __getitem__(self, index):
        return {value}

    def __len__(self):
        return {count}
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a data set as a file of the package data; returns its name."""
    folder = tmp_path / "plug-ins"
    folder.mkdir()
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(folder)])
    made = []

    def make(name: str, body: str, **values: Any) -> str:
        text = (HEAD + body).format(name=name.capitalize(), **values)
        (folder / f"{name}_dataset.py").write_text(text)
        importlib.invalidate_caches()
        made.append(f"data.{name}_dataset")
        return name

    yield make
    for module in made:
        sys.modules.pop(module, None)


def words(pictures: Path, name: str, mode: str, *more: str) -> list[str]:
    runs = str(pictures.parent / "checkpoints")
    flags = ["--dataroot", str(pictures), "--checkpoints_dir", runs, "--name", name, *TINY]
    flags += ["--dataset_mode", mode, "--print_freq", "1", "--no_html", "--n_epochs", "2"]
    return [*flags, "--n_epochs_decay", "0", *more]


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next training end itself, as Ctrl-C does, after so many steps."""
    watch, count = Health.watch, iter(range(1, 10**6))

    def watch_and_stop(self: Any, *arguments: Any) -> None:
        watch(self, *arguments)
        if next(count) == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Health, "watch", watch_and_stop)


@pytest.mark.skipif(os.name != "posix", reason="os.kill")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_with_choices_from_all_global_streams_resumes_bit_for_bit(
    workers: str, pictures: Path, plug_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout and image pools, which draw from streams of the main process."""
    monkeypatch.setattr("data.loader.cpu_cores", lambda: 2)
    mode = plug_in("pairs", PAIRS)
    more = ["--num_threads", workers, "--model", "pix2pix", "--netG", "resnet_6blocks"]
    more += ["--norm", "instance"]
    assert train(words(pictures, "whole", mode, *more)) == 0
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        assert train(words(pictures, "stopped", mode, *more)) == 143
    assert train(words(pictures, "stopped", mode, *more, "--continue_train")) == 0
    runs = pictures.parent / "checkpoints"
    states = [read_state(runs / name / "training_state.pth") for name in ("whole", "stopped")]
    assert states[0]["progress"]["total_iters"] == 8
    assert_same(*states)
    if workers == "2":  # the same as without workers
        assert train(words(pictures, "main", mode, "--num_threads", "0", *more[2:])) == 0
        assert_same(states[0], read_state(runs / "main" / "training_state.pth"))


def test_an_item_depends_on_seed_epoch_and_index_and_disturbs_no_stream(
    pictures: Path, plug_in: Any
) -> None:
    opt = TrainOptions().parse(words(pictures, "x", plug_in("pairs", PAIRS), "--num_threads", "0"))
    loader = create_dataset(opt)
    states = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    first = {batch["A_paths"][0]: batch for batch in loader.batches(1)}
    assert fixed_samples(opt, loader.dataset)
    after = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    assert states == after
    random.seed(5)
    torch.manual_seed(5)
    for batch in loader.batches(1):
        assert_same(batch, first[batch["A_paths"][0]])
    for batch in loader.batches(2):
        assert not torch.equal(batch["A"], first[batch["A_paths"][0]]["A"])
    pickle.loads(pickle.dumps(loader.dataset))  # as worker processes that are spawned get it


def test_no_base_init_no_paths_arrays_and_numbers(pictures: Path, plug_in: Any) -> None:
    mode = plug_in("bare", BARE)
    argv = words(pictures, "bare", mode, "--batch_size", "2", "--num_threads", "0")
    batches = list(create_dataset(TrainOptions().parse(argv)).batches(1))
    assert [len(batch["A_paths"]) for batch in batches] == [2, 1]
    assert batches[0]["A"].shape == (2, 3, 32, 32)
    assert batches[0]["label"].dtype == torch.int64
    assert train(argv) == 0
    folder = pictures.parent / "checkpoints" / "bare"
    lines = (folder / "loss_log.jsonl").read_text().splitlines()
    assert [json.loads(line)["total_iters"] for line in lines] == [2, 3, 5, 6]


@pytest.mark.parametrize("output", [False, True])
def test_model_test_translates_a_plug_in_and_names_results_by_its_paths(
    output: bool, pictures: Path, plug_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    where, mode = pictures.parent, plug_in("onlya", ONLY_A)
    make_run(where, "_A")
    more = ["--dataroot", pictures / "testA", "--dataset_mode", mode, "--load_size", "32"]
    more += ["--crop_size", "32", "--batch_size", "2", "--skip_existing"]
    more += ["--output", where / "out"] if output else []
    assert infer(where, *more) == 0
    if output:
        assert names(where / "out") == ["deeper/testA_1.png", "testA_0.png"]
    else:
        page = where / "results" / "run" / "test_latest" / "images"
        assert len(names(page)) == 4
        assert (page / "testA_0_fake.png").is_file()
    assert infer(where, *more) == 0
    assert "2 of 2 had their results already" in caplog.text


@pytest.mark.parametrize("output", [False, True])
def test_items_without_paths_are_named_by_their_index(
    output: bool, pictures: Path, plug_in: Any
) -> None:
    where, mode = pictures.parent, plug_in("bare", BARE)
    make_run(where, "_A")
    more = ["--output", where / "out"] if output else []
    assert infer(where, "--dataroot", pictures, "--dataset_mode", mode, *more) == 0
    made = where / "out" if output else where / "results" / "run" / "test_latest" / "images"
    labels = [""] if output else ["_fake", "_real"]
    assert names(made) == [f"item_{i:06}{label}.png" for i in range(3) for label in labels]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_run_of_two_domains_is_tested_with_its_plug_in(
    direction: str, pictures: Path, plug_in: Any
) -> None:
    where, mode = pictures.parent, plug_in("pairs", PAIRS)
    argv = words(pictures, "run", mode, "--n_epochs", "1", "--direction", direction)
    assert train([*argv, "--num_threads", "0"]) == 0
    more = ["--model", "cycle_gan", "--dataset_mode", mode]
    assert infer(where, *more) == 0
    made = names(where / "results" / "run" / "test_latest" / "images")
    assert len([name for name in made if name.endswith("_fake_B.png")]) >= 1
    side = "testA" if direction == "AtoB" else "testB"
    assert all(Path(name).name.startswith(side) for name in made)


@pytest.mark.parametrize("program", ["train", "test"])
def test_an_empty_data_set_says_so(
    program: str, pictures: Path, plug_in: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mode = plug_in("nothing", RETURNS, value={}, count=0)
    if program == "train":
        assert run_program(lambda: train(words(pictures, "x", mode))) == 1
    else:
        make_run(pictures.parent, "_A")
        assert infer(pictures.parent, "--dataroot", pictures, "--dataset_mode", mode) == 1
    error = capsys.readouterr().err
    assert "NothingDataset is empty" in error
    assert str(pictures) in error


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("(1, 2)", "item 0 must be a dict of images and paths, not a tuple"),
        ("{'A': Image.new('RGB', (4, 4))}", "'A' of item 0 is an image of Pillow; return a tensor"),
        ("{}", "item 0 must be a dict of images and paths, not an empty one"),
    ],
)
def test_items_that_no_model_can_take_are_named(
    value: str, message: str, pictures: Path, plug_in: Any
) -> None:
    mode = plug_in("wrong", RETURNS, value=value, count=1)
    argv = words(pictures, "x", mode, "--num_threads", "0")
    with pytest.raises(UserError, match=f"^WrongDataset: {message.replace('(', '.')}"):
        list(create_dataset(TrainOptions().parse(argv)))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{'A': torch.zeros(3, 8, 8)}", "must have the same keys, but B"),
        ("{'A': torch.zeros(3, 8, 9), 'B': torch.zeros(1)}", "8x8 and 9x8 do not stack"),
        ("{'A': torch.zeros(3, 8, 8), 'B': torch.zeros(2)}", "'B' has the shapes"),
    ],
)
def test_items_that_do_not_stack_are_named(
    second: str, message: str, pictures: Path, plug_in: Any
) -> None:
    first = "{'A': torch.zeros(3, 8, 8), 'B': torch.zeros(1)}"
    mode = plug_in("wrong", RETURNS, value=f"{second} if index else {first}", count=2)
    argv = words(pictures, "x", mode, "--num_threads", "0", "--batch_size", "2")
    with pytest.raises(UserError, match=message):
        list(create_dataset(TrainOptions().parse([*argv, "--serial_batches"])))


def test_model_test_needs_an_A(
    pictures: Path, plug_in: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mode = plug_in("onlyb", RETURNS, value="{'B': torch.zeros(3, 32, 32)}", count=1)
    make_run(pictures.parent, "_A")
    assert infer(pictures.parent, "--dataroot", pictures, "--dataset_mode", mode) != 0
    assert "--model test translates A, and the items of OnlybDataset hold: B" in (
        capsys.readouterr().err
    )


SUBCLASS = """
    def other(self):
        pass

from data.{parent}_dataset import {Parent}Dataset


class {Name}Dataset({Parent}Dataset):
    def __init__(self, opt):
        {Parent}Dataset.__init__(self, opt)
        {line}
"""


def subclass(plug_in: Any, parent: str, line: str) -> str:
    names = {"parent": parent, "Parent": parent.capitalize(), "Name": "Child", "line": line}
    mode = plug_in("child", SUBCLASS, **names)
    path = Path(data.__path__[-1]) / "child_dataset.py"
    path.write_text(path.read_text().replace("class ChildDataset(BaseDataset)", "class Other"))
    return str(mode)


def test_subclasses_of_our_data_sets_are_heard(pictures: Path, plug_in: Any) -> None:
    line = "self.transform_A = lambda image: torch.full((3, 32, 32), 0.5); self.A_size = 2"
    mode = subclass(plug_in, "unaligned", line)
    dataset = create_dataset(TrainOptions().parse(words(pictures, "x", mode))).dataset
    assert len(dataset) == max(2, dataset.B_size) == 3
    assert bool((dataset[0]["A"] == 0.5).all())
    assert dataset[2]["A_paths"] == dataset.A_paths[0]
    assert dataset.dir_A == str(pictures / "trainA")
    assert dataset.transform_B(Image.new("RGB", (50, 50))).shape == (3, 32, 32)


def test_a_transform_assigned_to_a_single_data_set_is_used(pictures: Path, plug_in: Any) -> None:
    mode = subclass(plug_in, "single", "self.transform = lambda image: torch.full((3, 8, 8), 0.5)")
    argv = words(pictures / "trainA", "x", mode, "--model", "template")
    dataset = create_dataset(TrainOptions().parse(argv)).dataset
    assert bool((dataset[0]["A"] == 0.5).all())


def test_the_helpers_of_the_reference_have_both_their_names() -> None:
    base = importlib.import_module("data.base_dataset")
    image = Image.new("RGB", (50, 41))
    image.putpixel((0, 0), (255, 0, 0))
    assert base.make_power_2(image, 4).size == (48, 40)
    assert base.make_power_2(image, 32, method=Image.NEAREST).size == (64, 32)
    assert base.scale_width(image, 25, 10).size == (25, 20)
    assert base.scale_width(image, 25, 30, method=Image.BICUBIC).size == (25, 30)
    assert base.scale_width(image, 50, 30) is image
    assert base.crop(image, (0, 0), 20).size == (20, 20)
    assert base.crop(image, (0, 0), 20).getpixel((0, 0)) == (255, 0, 0)
    assert base.crop(image, (5, 5), 50) is image
    assert base.flip(image, True).getpixel((49, 0)) == (255, 0, 0)
    assert base.flip(image, False) is image
    names = ("make_power_2", "scale_width", "crop", "flip", "transforms2pil_resize")
    for name in (*names, "print_size_warning"):
        assert vars(base)[f"__{name}"] is vars(base)[name]


def test_extensions_are_a_list_that_a_data_set_extends(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = importlib.import_module("data.image_folder")
    assert ".JPG" in folder.IMG_EXTENSIONS
    monkeypatch.setattr(folder, "IMG_EXTENSIONS", [*folder.IMG_EXTENSIONS, ".npy"])
    shutil.copy(pictures / "testA" / "testA_0.png", pictures / "testA" / "x.npy")
    assert [Path(path).suffix for path in folder.make_dataset(pictures / "testA")].count(
        ".npy"
    ) == 1
