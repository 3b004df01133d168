"""util/checkpoints/find_weights.py: one search, whoever asks."""

from argparse import Namespace
from pathlib import Path

import pytest

from util.checkpoints.find_weights import (
    GENERATORS,
    find_generator,
    find_start_weights,
    find_weights,
    none_found,
)
from util.checkpoints.weights import epoch_label
from util.errors import UserError


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs: `old` has two generators and a discriminator, `single` one generator."""
    for name in ("old/latest_net_G_A", "old/latest_net_G_B", "old/latest_net_D_A"):
        (tmp_path / "old").mkdir(exist_ok=True)
        (tmp_path / f"{name}.pth").touch()
    (tmp_path / "single").mkdir()
    (tmp_path / "single/iter_20_net_G.pth").touch()
    return tmp_path


def test_the_label_of_an_epoch_is_the_iteration_where_that_is_given() -> None:
    assert epoch_label(Namespace(epoch="7", load_iter=0)) == "7"
    assert epoch_label(Namespace(epoch="7", load_iter=20)) == "iter_20"


def test_missing_files_are_left_out(runs: Path) -> None:
    paths = find_weights(runs / "old", "latest", ["G_A", "D_A", "D_B"])
    assert paths == {name: runs / f"old/latest_net_{name}.pth" for name in ("G_A", "D_A")}
    assert find_weights(runs / "nowhere", "latest", ["G_A"]) == {}


def test_an_error_names_what_is_missing_and_what_exists(runs: Path) -> None:
    text = none_found(runs / "old", "5", ["G_A", "D_A"])
    assert text.startswith("there is no 5_net_{G_A,D_A}.pth; ")
    assert text.endswith("holds: latest_net_D_A.pth, latest_net_G_A.pth, latest_net_G_B.pth")
    of_generator = none_found(runs / "old", "5", ["G"], GENERATORS)
    assert of_generator.endswith("holds: latest_net_G_A.pth, latest_net_G_B.pth")


@pytest.mark.parametrize("by", ["name", "folder", "file"])
def test_a_run_is_named_by_its_name_its_folder_or_a_file(
    by: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "old").mkdir(parents=True)  # in the current folder: the run of that name is meant
    monkeypatch.chdir(elsewhere)
    file = runs / "old/latest_net_G_A.pth"
    run = {"name": "old", "folder": str(file.parent), "file": str(file)}[by]
    assert find_generator(run, runs, "latest", None) == file
    opt = Namespace(epoch="latest", load_iter=0, continue_train=False, start_from=run)
    opt.checkpoints_dir, opt.name = str(runs), "new"
    assert find_start_weights(opt, ["G_A", "G_B"], runs / "new")["G_A"] == file


def test_missing_weights_are_an_error(runs: Path) -> None:
    with pytest.raises(UserError, match=r"there is no run .*nowhere; .*holds: old, single"):
        find_generator("nowhere", runs, "latest", None)
    with pytest.raises(UserError, match=r"there is no latest_net_\{G,G_A\}\.pth; .*iter_20_net_G"):
        find_generator("single", runs, "latest", None)
