"""Weight files of every origin load; other files are refused with their name and the reason."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_figures import GOLDEN, assert_like, image, load
from tiny_runs import tiny_generator

from models import networks
from models.parts.architecture import read_discriminator, read_generator
from util.checkpoints.weights import load_into, read_weights, save_weights
from util.errors import UserError

FOLDER = GOLDEN / "checkpoints"


@pytest.mark.parametrize("case", load("checkpoints"), ids=lambda case: case["file"])
def test_every_golden_file_loads_and_gives_its_output(case: dict[str, Any]) -> None:
    path = FOLDER / case["file"]
    weights = read_weights(path)
    generator = read_generator(weights, path)
    assert (generator.netG, generator.norm, generator.ngf) == (
        case["netG"],
        case["norm"],
        case["ngf"],
    )
    assert generator.no_dropout in (None, not case["dropout"])
    net = networks.define_G(
        *(generator.input_nc, generator.output_nc, generator.ngf, generator.netG),
        generator.norm,
        case["dropout"],
    )
    load_into(net, weights, path)
    output = net.eval()(image(case["input_seed"], 1, generator.input_nc, case["size"]))
    assert_like(output, case)


@pytest.mark.parametrize("case", load("state_dicts"), ids=str)
def test_architecture_is_read_from_every_reference_state_dict(case: dict[str, Any]) -> None:
    state = {key: torch.empty(shape) for key, shape in case["keys"].items()}
    if "ngf" in case:
        generator = read_generator(state, Path("x.pth"))
        assert (generator.netG, generator.norm, generator.ngf) == (case["net"], case["norm"], 64)
        if case["net"].startswith("resnet"):
            assert generator.no_dropout is not case["dropout"]
    else:
        discriminator = read_discriminator(state, Path("x.pth"))
        assert (discriminator.netD, discriminator.norm) == (case["net"], case["norm"])
        assert discriminator.input_nc == case["input_nc"]
        assert discriminator.n_layers_D in (None, case["n_layers_D"])


class Touch:
    """An object whose unpickling would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trap, path = tmp_path / "trap", tmp_path / "latest_net_G.pth"
    torch.save({"model.1.weight": Touch(trap)}, path)
    with pytest.raises(UserError, match=r"latest_net_G\.pth is refused.*could run code"):
        read_weights(path)
    path.write_bytes(pickle.dumps(Touch(trap)))
    with pytest.raises(UserError, match=r"latest_net_G\.pth"):
        read_weights(path)
    assert not trap.exists()


def broken(kind: str, path: Path) -> None:
    """Write a file that is not a state dict."""
    net = networks.define_G(3, 3, 4, "resnet_6blocks")
    if kind == "truncated":
        save_weights(net, path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("404: not found")
    elif kind == "list":
        torch.save([torch.zeros(2)], path)
    elif kind == "nested":
        torch.save({"state_dict": dict(net.state_dict()), "epoch": 3}, path)
    elif kind == "empty dict":
        torch.save({}, path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "truncated or damaged"),
        ("empty", "is empty"),
        ("text", "not a file that torch.save wrote"),
        ("list", "is not a state dict: it holds a list"),
        ("nested", "'state_dict' is a dict"),
        ("empty dict", "holds an empty dict"),
        ("missing", "does not exist"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_reason(
    kind: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "7_net_G_A.pth"
    broken(kind, path)
    with pytest.raises(UserError, match=reason) as error:
        read_weights(path)
    assert "7_net_G_A.pth" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_of_a_training_that_diverged_are_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "9_net_G.pth"
    torch.save({"good": torch.ones(2), "bad": torch.tensor([1.0, value])}, path)
    with pytest.raises(UserError, match=r"9_net_G\.pth has values in 'bad' that are not finite"):
        read_weights(path)


def test_weights_that_do_not_fit_are_refused_naming_the_first_misfit(tmp_path: Path) -> None:
    small, large = (networks.define_G(3, 3, ngf, "resnet_6blocks") for ngf in (4, 8))
    path = tmp_path / "latest_net_G.pth"
    save_weights(small, path)
    before = {key: value.clone() for key, value in large.state_dict().items()}
    with pytest.raises(UserError, match=r"model\.1\.weight has \[4, 3, 7, 7\].*\[8, 3, 7, 7\]"):
        load_into(large, read_weights(path), path)
    assert all(torch.equal(value, before[key]) for key, value in large.state_dict().items())


def test_batch_norm_of_before_0_4_has_no_counts(tmp_path: Path) -> None:
    old, net = (tiny_generator(norm="batch") for _ in range(2))
    state = {k: v for k, v in old.state_dict().items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "latest_net_G.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    load_into(net, read_weights(path), path)
    for key, value in old.state_dict().items():
        assert torch.equal(net.state_dict()[key], value)


def test_stored_files_are_bare_cpu_state_dicts_also_of_wrapped_networks(tmp_path: Path) -> None:
    net = networks.define_G(3, 3, 4, "resnet_6blocks", "instance")
    wrapped = torch.nn.DataParallel(net)
    path = tmp_path / "latest_net_G.pth"
    save_weights(wrapped, path)
    stored = torch.load(path, weights_only=True)
    assert list(stored) == list(net.state_dict())
    assert all(value.device.type == "cpu" for value in stored.values())
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in stored.items())
