"""Training that starts from existing weights, whose files tell the architecture."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import TINY

from models import networks
from util.checkpoints.weights import read_weights, save_weights
from util.errors import UsageError, UserError

FLAGS = [*TINY[6:], "--no_html", "--num_threads", "0", "--n_epochs", "1", "--n_epochs_decay", "0"]
NETS = ("G_A", "G_B", "D_A", "D_B")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A run of another shape than the flags' defaults: resnet_6blocks, ngf 5, ndf 6, 2 layers."""
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    for name in NETS:
        if name.startswith("G"):
            net = networks.define_G(3, 3, 5, "resnet_6blocks", "instance")
        else:
            net = networks.define_D(3, 6, "n_layers", 2, "instance")
        save_weights(net, folder / f"latest_net_{name}.pth")
    return folder


def start(pictures: Path, *words: str) -> dict[str, dict[str, torch.Tensor]]:
    """Train with a learning rate of almost zero; returns the weights afterwards."""
    runs = pictures.parent / "runs"
    where = ["--dataroot", str(pictures), "--checkpoints_dir", str(runs), "--name", "new"]
    main = import_module("01_train").main
    assert main([*where, *FLAGS, "--lr", "1e-12", *words]) == 0
    return {name: read_weights(runs / "new" / f"latest_net_{name}.pth") for name in NETS}


def same(state: dict[str, torch.Tensor], path: Path) -> bool:
    """Return whether weights equal those of a file, up to the tiny steps of the training."""
    stored = read_weights(path)
    return state.keys() == stored.keys() and all(
        state[key].shape == stored[key].shape and torch.allclose(state[key], stored[key], atol=1e-9)
        for key in stored
    )


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_run_or_a_folder_gives_weights_and_architecture(
    by: str, weights: Path, pictures: Path
) -> None:
    after = start(pictures, "--start_from", "old" if by == "name" else str(weights))
    assert all(same(after[name], weights / f"latest_net_{name}.pth") for name in NETS)


def test_generators_alone_are_enough(weights: Path, pictures: Path, capsys) -> None:
    for name in ("D_A", "D_B"):
        (weights / f"latest_net_{name}.pth").unlink()
    after = start(pictures, "--start_from", "old", "--ndf", "4")
    out = capsys.readouterr().out
    assert "D_A, D_B start fresh" in out
    assert same(after["G_A"], weights / "latest_net_G_A.pth")
    assert after["D_A"]["model.0.weight"].shape[0] == 4


@pytest.mark.parametrize("name", ["G_A", "G_B"])
def test_one_file_gives_one_direction(name: str, weights: Path, pictures: Path, capsys) -> None:
    path = weights / f"latest_net_{name}.pth"
    after = start(pictures, "--start_from", str(path), "--ndf", "4")
    assert same(after[name], path)
    other = "G_B" if name == "G_A" else "G_A"
    assert not same(after[other], path)
    assert after[other].keys() == after[name].keys()
    assert f"{other}, D_A, D_B start fresh" in capsys.readouterr().out


def test_a_published_generator_without_a_direction_is_taken_as_G_A(
    weights: Path, pictures: Path
) -> None:
    path = (weights / "latest_net_G_A.pth").rename(weights / "latest_net_G.pth")
    assert same(start(pictures, "--start_from", str(path), "--ndf", "4")["G_A"], path)
    for name in NETS[1:]:
        (weights / f"latest_net_{name}.pth").unlink()
    assert same(start(pictures, "--start_from", "old", "--ndf", "4")["G_A"], path)


def test_continue_train_accepts_generators_alone_and_reads_the_architecture(
    weights: Path, pictures: Path, capsys
) -> None:
    weights.rename(weights.parent / "new")
    folder = weights.parent / "new"
    old = read_weights(folder / "latest_net_G_B.pth")
    (folder / "latest_net_D_B.pth").unlink()
    after = start(pictures, "--continue_train")
    assert "D_B start fresh" in capsys.readouterr().out
    assert torch.allclose(after["G_B"]["model.1.weight"], old["model.1.weight"], atol=1e-9)
    assert after["D_B"].keys() == after["D_A"].keys()  # 2 layers of ndf 6, as D_A's file tells


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ngf", "8"], "--ngf 8 does not fit .*latest_net_G_A.pth; .*--ngf 5"),
        (["--netG", "unet_128", "--crop_size", "128", "--load_size", "128"], "--netG resnet_6"),
        (["--ndf", "64"], "--ndf 64 does not fit .*latest_net_D_A.pth; .*--ndf 6"),
        (["--netD", "pixel"], "--netD pixel does not fit .*; .*--netD n_layers"),
        (["--norm", "batch"], "--norm batch does not fit .*; .*--norm instance"),
    ],
)
def test_a_flag_that_contradicts_the_file_is_an_error_with_the_value_that_fits(
    words: list[str], message: str, weights: Path, pictures: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        start(pictures, "--start_from", "old", *words)
    assert not (weights.parent / "new").exists()


def test_dropout_is_read_off_the_file(weights: Path, pictures: Path) -> None:
    net = networks.define_G(3, 3, 5, "resnet_6blocks", "instance", use_dropout=True)
    path = weights / "latest_net_G_A.pth"
    save_weights(net, path)
    assert same(start(pictures, "--start_from", str(path), "--ndf", "4")["G_A"], path)
    with pytest.raises(UsageError, match=r"--no_dropout does not fit .*leave the flag out"):
        start(pictures, "--start_from", str(path), "--no_dropout")
    save_weights(networks.define_G(3, 3, 5, "resnet_6blocks", "instance"), path)
    with pytest.raises(UsageError, match=r"--use_dropout does not fit .*leave the flag out"):
        start(pictures, "--start_from", str(path), "--use_dropout")


def test_an_epoch_without_a_run_to_load_it_from_is_told(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(pictures, "--epoch", "3")
    assert "--epoch is for --continue_train and --start_from: this is a new run" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--start_from", "nowhere"], "there is no run .*nowhere; .*runs holds: old$"),
        (["--start_from", "old", "--model", "cut"], "no latest_net_{G,D}.*latest_net_G_B.pth$"),
        (["--start_from", "old", "--epoch", "9"], "no 9_net_.*D_A.pth.* Choose with --epoch"),
        (["--start_from", "FILE"], "the name must tell which network"),
        (["--start_from", "old", "--continue_train"], "leave out --start_from"),
    ],
)
def test_wrong_starts(words: list[str], message: str, weights: Path, pictures: Path) -> None:
    odd = (weights / "latest_net_G_A.pth").rename(weights / "monet.pth")
    with pytest.raises(UserError, match=message):
        start(pictures, *[str(odd) if word == "FILE" else word for word in words])
