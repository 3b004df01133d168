"""A run whose data have changed, or whose files are damaged, resumes or says what to do instead."""

import json
import re
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, picture

from util.checkpoints.training_state import read_state
from util.errors import UserError
from util.run.session import run_program

FLAGS = [*TINY, "--print_freq", "1", "--display_freq", "1000"]
FLAGS += ["--n_epochs", "1", "--n_epochs_decay", "0", "--save_latest_freq", "2"]
IMAGES = 5


def train(where: Path, *words: str) -> int:
    """The exit code of the real program, in this process."""
    argv = ["--dataroot", str(where / "pictures"), "--checkpoints_dir", str(where / "runs")]
    argv += ["--name", "run", "--num_threads", "0"]  # which a run does not store
    return run_program(lambda: import_module("01_train").main([*argv, *words]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and a run of one epoch."""
    where = tmp_path_factory.mktemp("trained")
    for number, side in enumerate(("trainA", "trainB")):
        (where / "pictures" / side).mkdir(parents=True)
        for i in range(IMAGES):
            picture(10 * number + i, 40, 40).save(where / "pictures" / side / f"{i}.png")
    assert train(where, *FLAGS) == 0
    return where


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def state_file(run: Path) -> Path:
    return run / "runs" / "run" / "training_state.pth"


def change_state(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(state_file(run), weights_only=True)
    change(state)
    torch.save(state, state_file(run))


def move_back(state: dict[str, Any]) -> None:
    """As if the save after three of five images were the last one."""
    state["progress"] |= {"epoch": 1, "epoch_iters": 3, "total_iters": 3, "total_steps": 3}


def steps(run: Path) -> list[tuple[int, int]]:
    lines = (run / "runs" / "run" / "loss_log.jsonl").read_text().splitlines()
    return [(record["epoch"], record["iters"]) for record in map(json.loads, lines)]


EXTENDED = ["--continue_train", "--n_epochs", "2"]


@pytest.mark.parametrize(("removed", "added"), [(1, 0), (3, 0), (0, 2), (1, 1)])
def test_a_run_resumes_with_other_images(
    removed: int, added: int, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_state(run, move_back)
    for side in ("trainA", "trainB"):
        for i in range(removed):
            (run / "pictures" / side / f"{i}.png").unlink()
        for i in range(added):
            picture(100 + i, 40, 40).save(run / "pictures" / side / f"new{i}.png")
    capsys.readouterr()
    assert train(run, *EXTENDED) == 0
    now = IMAGES - removed + added
    begin = min(3, now - 1)
    line = (
        "warning: the images have changed since the last save (an epoch had 5 and has "
        f"{now}): the order differs from image {begin + 1} of epoch 1 on; "
    )
    assert line in capsys.readouterr().out
    rest = [(1, i) for i in range(begin + 1, now + 1)]
    assert steps(run) == [(1, 1), (1, 2), (1, 3), *rest, *((2, i) for i in range(1, now + 1))]
    capsys.readouterr()
    assert train(run, "--continue_train", "--n_epochs", "3") == 0
    assert "have changed" not in capsys.readouterr().out


def test_the_same_images_elsewhere_are_no_change(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_state(run, lambda state: state["progress"].pop("pictures"))  # of an older version
    (run / "pictures").rename(run / "moved")
    assert train(run, *EXTENDED, "--dataroot", str(run / "moved")) == 0
    assert train(run, *EXTENDED[:2], "3", "--dataroot", str(run / "moved")) == 0
    assert "have changed" not in capsys.readouterr().out


def truncated(run: Path) -> None:
    state_file(run).write_bytes(state_file(run).read_bytes()[:5000])


def empty(run: Path) -> None:
    state_file(run).write_bytes(b"")


def garbage(run: Path) -> None:
    state_file(run).write_bytes(bytes(range(256)) * 100)


def flipped_bit(run: Path) -> None:
    """In the middle of a tensor, where loading does not notice it."""
    content = bytearray(state_file(run).read_bytes())
    content[len(content) // 2] ^= 1
    state_file(run).write_bytes(content)


def flipped_name(run: Path) -> None:
    content = state_file(run).read_bytes()
    state_file(run).write_bytes(content.replace(b"epoch_iters", b"epoch_itfrs"))


DAMAGE = [truncated, empty, garbage, flipped_bit, flipped_name]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_refused_and_its_remedy_works(
    damage: Callable[[Path], None], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run)
    before = sorted((run / "runs" / "run").iterdir())
    assert train(run, *EXTENDED) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {state_file(run)} ") and error.count("\n") == 1
    assert sorted((run / "runs" / "run").iterdir()) == before
    remedy = re.search(r": (--continue_train --epoch \w+) starts from the weights", error)
    assert remedy, error
    assert train(run, *remedy[1].split()) == 0
    assert "starting from weights alone (latest_net_G_A.pth" in capsys.readouterr().out
    assert (run / "runs" / "run.1" / "training_state.pth").is_file()


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return change


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no model": lambda state: state.pop("model"),
    "no networks": lambda state: state["model"].pop("networks"),
    "no weights": lambda state: state["model"]["networks"].pop("G_A"),
    "no random streams": lambda state: state.pop("random"),
    "no progress": lambda state: state.pop("progress"),
    "no epoch": lambda state: state["progress"].pop("epoch"),
    "no images": lambda state: state["progress"].pop("pictures_per_epoch"),
    "another format": put("format", value="new"),
    "a list": put("progress", value=[1, 2]),
    "a text": put("progress", "total_iters", value="many"),
    "nothing": put("progress", "epoch_iters", value=None),
    "other optimizers": put("model", "optimizers", value=[{}]),
    "other pools": put("model", "pools", "fake_A_pool", value=3),
    "other streams": put("random", "python", value=[1]),
    "a stream of another size": put("random", "torch", value=torch.zeros(3, dtype=torch.uint8)),
    "another evaluation": put("evaluation", value={"best": {"G_A": {"what": 1}}}),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_state_with_wrong_values_is_refused_with_the_remedy(
    change: Callable[[dict[str, Any]], object], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_state(run, change)
    assert train(run, *EXTENDED) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {state_file(run)} ") and error.count("\n") == 1
    assert "--continue_train --epoch latest starts from the weights beside it" in error


def test_each_part_of_a_state_has_a_checksum(run: Path) -> None:
    """A flipped bit is either found, or where it changes nothing (between the parts)."""
    path = state_file(run)
    content, expected = path.read_bytes(), read_state(path)
    found = 0
    for place in range(100, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        try:
            assert str(read_state(path)) == str(expected)
        except UserError:
            found += 1
    assert found > 35


def test_the_remedy_is_what_exists(run: Path) -> None:
    folder = state_file(run).parent
    truncated(run)
    for path in folder.glob("latest_net_*.pth"):
        path.rename(folder / path.name.replace("latest", "7"))
    with pytest.raises(UserError, match="--continue_train --epoch 7 starts from the weights"):
        read_state(state_file(run))
    for path in folder.glob("*_net_*.pth"):
        path.unlink()
    with pytest.raises(UserError, match="no weights are beside it to start from"):
        read_state(state_file(run))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"lr": 0.0', r"train_opt\.json is damaged .*: delete it or correct it"),
        ("\0\0\0", r"train_opt\.json is damaged .*: delete it or correct it"),
        ("[]", r"train_opt\.json is damaged \(it holds a list\): delete it or correct it"),
        ('{"lr": "fast"}', r"stores --lr 'fast', which is no number: correct it .* give --lr"),
        ('{"no_flip": []}', r"stores --no_flip \[\], which is no number"),
        ('{"background": 5}', "stores --background 5, which is no text"),
        ('{"gan_mode": "no"}', "stores --gan_mode 'no', which is no choice of vanilla, lsgan,"),
    ],
)
def test_damaged_options_are_refused_and_their_remedy_works(
    content: str, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = run / "runs" / "run" / "train_opt.json"
    stored.write_text(content)
    assert train(run, *EXTENDED) == 1
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    stored.unlink()
    (stored.with_suffix(".txt")).write_bytes(b"\xff\0\n" + stored.with_suffix(".txt").read_bytes())
    assert train(run, *EXTENDED) == 0  # with those of train_opt.txt


@pytest.mark.parametrize("garbage", [b'{"epoch": 1, "it', b"\0" * 200_000, b"\xff\xfe\n[\n" * 9])
def test_damaged_logs_and_galleries_are_repaired(
    garbage: bytes, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run / "runs" / "run"
    for name in ("loss_log.txt", "loss_log.jsonl", "metrics.jsonl"):
        with (folder / name).open("ab") as file:
            file.write(garbage)
    (folder / "web" / "gallery.json").write_bytes(garbage)
    capsys.readouterr()
    assert train(run, *EXTENDED) == 0
    out, err = capsys.readouterr()
    assert "Traceback" not in err and "stopped" not in out and "left out" not in out
    assert out.count("warning: ") == 1 and "gallery.json is damaged" in out
    assert steps(run) == [(epoch, i) for epoch in (1, 2) for i in range(1, IMAGES + 1)]
