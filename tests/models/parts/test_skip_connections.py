"""--skip_connections: sums in the decoder, read off weight files, trained, translated, tiled."""

from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch
from tiny_runs import infer, pixels, train_epoch
from torch import Tensor, nn

from models import networks
from models.inference.image_translator import build_generator
from models.parts.architecture import read_generator
from models.parts.resnet_generator import SKIP_MARK

RESNETS = list(product(("resnet_6blocks", "resnet_9blocks"), networks.UPSAMPLINGS))


def generator(netG: str, upsample: str) -> nn.Module:
    torch.manual_seed(0)
    more = {"upsample": upsample, "skip_connections": True}
    return networks.define_G(3, 3, 4, netG, "instance", **more).double()


def inputs_and_outputs(net: nn.Module, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for layer in net.model:
        layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].clone()))
        layer.register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
    net(images)
    return inputs, outputs


@pytest.mark.parametrize(("netG", "upsample"), RESNETS)
def test_the_decoder_adds_what_the_encoder_made_of_each_size(netG: str, upsample: str) -> None:
    net = generator(netG, upsample)
    inputs, outputs = inputs_and_outputs(net, torch.rand(1, 3, 16, 24, dtype=torch.float64))
    sums = [n for n in range(1, len(inputs)) if not torch.equal(inputs[n], outputs[n - 1])]
    assert [tuple(inputs[n].shape[1:]) for n in sums] == [(8, 8, 12), (4, 16, 24)]
    for number, encoded in zip(sums, (outputs[6], outputs[3]), strict=True):
        torch.testing.assert_close(inputs[number], outputs[number - 1] + encoded)


@pytest.mark.parametrize(("netG", "upsample"), RESNETS)
def test_features_are_those_of_the_whole_pass(netG: str, upsample: str) -> None:
    net, images = generator(netG, upsample), torch.rand(1, 3, 16, 16, dtype=torch.float64)
    layers = [0, 4, 8, 12, len(net.model) - 4, len(net.model) - 2]
    features = net(images, layers)
    inputs, _ = inputs_and_outputs(net, images)
    for number, feature in zip(layers, features, strict=True):
        torch.testing.assert_close(feature, inputs[number + 1])


@pytest.mark.parametrize("netG", networks.GENERATORS)
def test_they_are_read_off_the_weights(netG: str) -> None:
    for skips in (False, True):
        state = networks.define_G(3, 3, 4, netG, skip_connections=skips).state_dict()
        found = read_generator(state, Path("x.pth")).flags().get("skip_connections")
        assert found is (skips if netG.startswith("resnet") else None)
        assert (SKIP_MARK in state) is bool(found)


def test_the_programs_train_fine_tune_and_translate_with_them(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = partial(train_epoch, pictures)
    assert train("--name", "run", "--skip_connections", "--ema", "0.9") == 0
    assert train("--name", "tuned", "--start_from", "run") == 0
    assert train("--name", "run", "--continue_train", "--n_epochs", "2") == 0
    for run, weights in (("run", "_A"), ("run", "_A_ema"), ("tuned", "_A")):
        path = pictures.parent / "checkpoints" / run / f"latest_net_G{weights}.pth"
        assert build_generator(path)[1].skip_connections
    outputs = []
    for tile in ("0", "32"):
        output = pictures.parent / f"tile {tile}"
        words = ("--input", pictures / "testA", "--output", output, "--tile", tile)
        assert infer(pictures.parent, "--model_suffix", "_A", *words) == 0
        outputs.append(pixels(output / "testA_0.png"))
    assert abs(outputs[0] - outputs[1]).max() <= 2
    assert train("--name", "plain") == 0
    capsys.readouterr()
    assert train("--name", "plain", "--continue_train", "--skip_connections") == 2
    assert "--continue_train cannot change --skip_connections" in capsys.readouterr().err
