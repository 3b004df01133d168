"""A script may assign options that exist; our own code assigns none."""

import ast
import copy
import json
import logging
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, TINY
from tiny_runs import make_run

from data import create_dataset
from models import create_model
from options.recipes import RECIPES
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import UsageError, UserError
from util.options import Options
from util.util import init_ddp

BASE = ["--dataroot", "x"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path) -> Any:
    """script("--lr", "1"): the options of a training script that was started so."""
    monkeypatch.setattr("sys.excepthook", None)

    def start(*words: str) -> Options:
        where = ["--dataroot", str(pictures), "--checkpoints_dir", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", ["train.py", *where, *TINY, *words])
        return TrainOptions().parse()

    return start


def test_a_known_option_can_be_assigned_and_counts_as_given() -> None:
    opt = TrainOptions().parse(BASE)
    opt.batch_size = 3
    assert opt.batch_size == 3
    assert "batch_size" in opt.given
    test = TestOptions().parse([])
    test.display_id = -1
    assert test.display_id == -1


def test_an_unknown_option_is_an_error_that_lists_near_ones() -> None:
    opt = TrainOptions().parse(BASE)
    with pytest.raises(AttributeError, match=r"no option 'batchsize' \(near ones: batch_size"):
        opt.batchsize = 3
    with pytest.raises(AttributeError, match=r"'epoch_cuont' \(near ones: epoch_count"):
        print(opt.epoch_cuont)
    assert not hasattr(opt, "nonsense")


def test_the_names_of_2017_are_those_of_today() -> None:
    opt = TestOptions().parse([])
    opt.nThreads, opt.batchSize, opt.how_many = 1, 2, 3
    assert (opt.num_threads, opt.batch_size, opt.num_test) == (1, 2, 3)
    assert (opt.which_epoch, opt.fineSize) == ("latest", 256)
    assert "nThreads" not in vars(opt)
    train = TrainOptions().parse(BASE)
    assert train.niter + train.niter_decay == 200


def test_assigned_options_are_copied_and_pickled(script: Any) -> None:
    opt = script()
    opt.batch_size = 3
    for same in (pickle.loads(pickle.dumps(opt)), copy.copy(opt), copy.deepcopy(opt)):
        assert same.values() == opt.values()
        assert same.script is None


def test_a_notebook_is_told_to_set_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/x/ipykernel_launcher.py", "-f", "kernel.json"])
    with pytest.raises(UserError, match=r"sys\.argv = "):
        TrainOptions().parse()


def test_assigned_options_take_effect(script: Any) -> None:
    opt = script()
    opt.batch_size, opt.num_threads, opt.serial_batches, opt.no_flip = 2, 0, True, True
    batches = [batch["A_paths"] for batch in create_dataset(opt)]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    flat = [path for batch in batches for path in batch]
    assert flat == sorted(flat)


def test_a_script_may_name_the_run_of_inference_after_parsing(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    runs = make_run(tmp_path, "_A").parent
    words = ["--dataroot", str(pictures / "trainA"), "--checkpoints_dir", str(runs)]
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("sys.argv", ["test.py", *words, "--model_suffix", "_A"])
    opt = TestOptions().parse()
    with pytest.raises(UserError, match="give --name: there is no run"):
        create_dataset(opt)
    opt.name = "run"
    assert len(list(create_dataset(opt))) == 5
    assert opt.ngf == 4


@pytest.mark.parametrize("value", ["-1", -1, [], [-1]])
def test_gpu_ids_may_be_text_a_number_or_a_list(script: Any, value: object) -> None:
    opt = script()
    opt.gpu_ids = value
    opt.device = init_ddp()
    model = create_model(opt)
    assert opt.gpu_ids == []
    assert model.device == opt.device == torch.device("cpu")


def test_a_device_that_was_assigned_is_that_of_the_model(script: Any) -> None:
    opt = script()
    opt.gpu_ids = [0]
    opt.device = torch.device("cpu")
    assert create_model(opt).device == torch.device("cpu")


def test_assigned_options_are_checked(script: Any) -> None:
    opt = script()
    opt.crop_size = 33
    with pytest.raises(UsageError, match="--crop_size 33"):
        create_dataset(opt)


def test_an_assigned_recipe_sets_its_options(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "better", {"upsample": "resize", "ema": 0.9})
    opt = script("--ema", "0.5")
    opt.recipe = "better"
    create_model(opt)
    assert (opt.upsample, opt.ema) == ("resize", 0.5)
    opt.recipe = "best"
    with pytest.raises(UsageError, match="--recipe best: choose from better"):
        create_model(opt)


def test_an_assigned_name_completes_the_options_from_that_run(
    script: Any, monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    first = script("--name", "first", "--pool_size", "7")
    model = create_model(first)
    model.setup(first)
    create_dataset(first)
    model.save_networks("latest")
    opt = script("--name", "second")
    opt.name, opt.continue_train = "first/", True
    create_dataset(opt)
    assert (opt.name, opt.resume, opt.pool_size) == ("first", "state", 7)

    folder = make_run(tmp_path, "_A").parent
    folder.joinpath("run").rename(folder / "other")
    make_run(tmp_path)
    words = ["--checkpoints_dir", str(folder), "--dataroot", str(pictures / "testA")]
    words += ["--gpu_ids", "-1", "--name", "run"]
    monkeypatch.setattr("sys.argv", ["test.py", *words])
    test = TestOptions().parse()
    assert test.model_suffix == ""
    test.name = "other"
    create_dataset(test)
    assert (test.model_suffix, test.preprocess, test.ngf) == ("_A", "keep", 4)


def test_a_script_begins_with_logging_and_seeded_streams(script: Any, caplog: Any) -> None:
    opt = script()
    drawn = (random.random(), torch.rand(1).item())
    opt = script()
    assert (random.random(), torch.rand(1).item()) == drawn
    opt.seed = 1
    create_dataset(opt)  # the seed that it was begun with: nothing is seeded anew
    assert (random.random(), torch.rand(1).item()) != drawn
    opt = script()
    opt.seed = 5
    create_dataset(opt)
    assert (random.random(), torch.rand(1).item()) != drawn
    assert logging.getLogger().level == logging.INFO


def test_parsing_an_explicit_command_line_begins_nothing() -> None:
    random.seed(3)
    state = random.getstate()
    opt = TrainOptions().parse(BASE)
    assert opt.script is None
    assert random.getstate() == state


@pytest.fixture(autouse=True)
def released_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Call what is to be called as the process ends as the test ends."""
    calls: list[Any] = []
    monkeypatch.setattr("atexit.register", lambda call, *args: calls.append((call, args)))
    yield
    for call, args in reversed(calls):
        call(*args)


def test_the_state_of_a_script_is_written_beside_its_weights(script: Any, tmp_path: Path) -> None:
    opt = script("--name", "run")
    opt.num_threads = 0
    model, dataset = create_model(opt), create_dataset(opt)
    model.setup(opt)
    assert not [path for path in tmp_path.glob("runs/*") if path.name != ".run.lock"]
    for batch in dataset:
        model.set_input(batch)
        model.optimize_parameters()
        break
    model.save_networks("latest")
    progress = torch.load(tmp_path / "runs/run/training_state.pth", weights_only=True)["progress"]
    assert (progress["epoch"], progress["epoch_iters"]) == (2, 0)  # it has left the first epoch
    assert json.loads((tmp_path / "runs/run/train_opt.json").read_text())["num_threads"] == 0


def our_files() -> Iterator[Path]:
    yield from (ROOT / "01_train.py", ROOT / "02_inference.py")
    for package in ("data", "models", "options", "util", "scripts"):
        yield from sorted((ROOT / package).rglob("*.py"))


SETTERS = ("setattr", "__setattr__", "delattr")
CHANGERS = ("update", "pop", "setdefault", "clear", "popitem")


def is_opt(node: ast.AST) -> bool:
    """Return whether a node reads `opt`, `x.opt` or `x_opt`."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return isinstance(node, ast.Name | ast.Attribute) and name.split("_")[-1] == "opt"


def is_vars(node: ast.AST) -> bool:
    """Return whether a node is `vars(opt)`."""
    call = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "vars"
    return call and any(map(is_opt, node.args))


def changes_opt(node: ast.AST) -> bool:
    """Return whether a node sets or deletes an attribute of `opt`, or changes its vars()."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = getattr(node.func, "value", node)
        sets = name in SETTERS and any(map(is_opt, node.args))
        return sets or (name in CHANGERS and is_vars(owner))
    if not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return False
    attribute = isinstance(node, ast.Attribute) and is_opt(node.value)
    return attribute or (isinstance(node, ast.Subscript) and is_vars(node.value))


def changes_of_opt(tree: ast.AST) -> list[int]:
    """Return the lines that change an option."""
    return [node.lineno for node in ast.walk(tree) if changes_opt(node)]


@pytest.mark.parametrize(
    "line",
    [
        "opt.lr = 1",
        "self.opt.lr += 1",
        "del opt.lr",
        "opt.lr: int = 1",
        "opt.a, x = 1, 2",
        "setattr(opt, 'lr', 1)",
        "vars(opt)['lr'] = 1",
        "vars(self.opt).update(lr=1)",
        "train_opt.lr = 1",
    ],
)
def test_a_change_of_opt_is_found(line: str) -> None:
    assert changes_of_opt(ast.parse(line)) == [1]


def test_our_own_code_assigns_no_option() -> None:
    for line in ("x = opt.lr", "opt = opt.replace(lr=1)", "self.opt = opt", "y = vars(opt)['lr']"):
        assert not changes_of_opt(ast.parse(line))
    for file in our_files():
        lines = changes_of_opt(ast.parse(file.read_text(encoding="utf-8")))
        assert not lines, f"{file}:{lines[0]} changes an option: use opt.replace"


def test_only_the_run_of_a_script_changes_its_options() -> None:
    for file in our_files():
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        if calls & {"belong_to"}:
            assert file.relative_to(ROOT).as_posix() == "util/run/script_run.py"
