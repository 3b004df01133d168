"""--upsample resize: no checkerboard, read off weight files, tiled, trained and translated."""

from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch
from tiny_runs import infer, make_run, pixels, tiny_generator, train_epoch

from models import networks
from models.inference.image_translator import build_generator
from models.inference.tiling import run_in_tiles
from models.parts.architecture import read_generator
from models.parts.convolutions import ConvTranspose2d
from models.parts.layers import Identity
from models.parts.upsampling import RepeatPixels, resize_convolution
from util.checkpoints.weights import save_weights

GENERATORS = list(product(networks.GENERATORS, ("instance", "batch", "none"), (False, True)))


def test_a_constant_image_stays_constant_which_a_transposed_convolution_lacks() -> None:
    torch.manual_seed(0)
    images = torch.ones(1, 4, 8, 8)
    resize = torch.nn.Sequential(*resize_convolution(4, 3, lambda _: Identity()))
    shape = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
    transposed = ConvTranspose2d(4, 3, lambda _: Identity(), **shape)
    inside = (..., slice(2, -2), slice(2, -2))
    with torch.no_grad():
        even, uneven = resize(images), transposed(images)
    assert even.shape == uneven.shape == (1, 3, 16, 16)
    assert float(even[inside].std(dim=(2, 3)).max()) < 1e-6
    assert float(uneven[inside].std(dim=(2, 3)).min()) > 1e-3


@pytest.mark.parametrize("upsample", networks.UPSAMPLINGS)
@pytest.mark.parametrize(("netG", "norm", "dropout"), GENERATORS)
def test_it_is_read_off_the_weights(netG: str, norm: str, dropout: bool, upsample: str) -> None:
    net = networks.define_G(2, 5, 4, netG, norm, dropout, upsample=upsample)
    found = read_generator(net.state_dict(), Path("x.pth"))
    assert (found.netG, found.input_nc, found.output_nc, found.ngf) == (netG, 2, 5, 4)
    assert (found.norm, found.upsample) == (norm, upsample)
    if netG.startswith("resnet"):
        assert found.no_dropout is not dropout


@pytest.mark.parametrize(("netG", "height"), [("resnet_6blocks", 32), ("unet_128", 128)])
def test_every_parameter_is_trained(netG: str, height: int) -> None:
    net = networks.define_G(3, 3, 4, netG, "batch", upsample="resize")
    output = net(torch.rand(2, 3, height, height))
    assert output.shape == (2, 3, height, height)
    output.square().mean().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert sum(isinstance(layer, RepeatPixels) for layer in net.modules()) == (
        2 if netG == "resnet_6blocks" else 7
    )


@pytest.mark.parametrize(("netG", "height"), [("resnet_6blocks", 100), ("unet_128", 256)])
def test_tiles_give_the_result_of_the_whole_image(netG: str, height: int) -> None:
    net = tiny_generator(netG, upsample="resize")
    x = torch.rand(1, 3, height, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        tiles, whole = run_in_tiles(net, x, 32, torch.device("cpu")), net(x)
    assert whole.std() > 1e-3
    assert float((tiles - whole).abs().max()) <= 2e-3 * min(1, float(whole.std()) * 10)


def test_an_unknown_name_is_refused() -> None:
    for netG in ("resnet_6blocks", "unet_128"):
        with pytest.raises(ValueError, match="--upsample bilinear: choose from transposed, resize"):
            networks.define_G(3, 3, 4, netG, upsample="bilinear")


def test_the_programs_train_fine_tune_and_translate_with_it(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = partial(train_epoch, pictures)
    assert train("--name", "run", "--upsample", "resize") == 0
    run = pictures.parent / "checkpoints" / "run"
    assert build_generator(run / "latest_net_G_A.pth")[1].upsample == "resize"
    assert infer(pictures.parent, "--model_suffix", "_A") == 0
    capsys.readouterr()
    assert infer(pictures.parent, "--model_suffix", "_A", "--upsample", "transposed") == 2
    assert "--upsample transposed does not fit" in capsys.readouterr().err
    assert train("--name", "tuned", "--start_from", "run") == 0
    tuned = pictures.parent / "checkpoints" / "tuned"
    assert build_generator(tuned / "latest_net_G_A.pth")[1].upsample == "resize"
    assert train("--name", "run", "--continue_train", "--upsample", "transposed") == 2
    assert "--continue_train cannot change --upsample" in capsys.readouterr().err


def test_a_single_image_is_translated_alike_whole_and_in_tiles(pictures: Path) -> None:
    folder = make_run(pictures.parent, "", upsample="resize")
    save_weights(tiny_generator(upsample="resize"), folder / "latest_net_G.pth")
    outputs = []
    for tile in ("0", "32"):
        output = pictures.parent / f"tile {tile}"
        words = ("--input", pictures / "testA", "--output", output, "--tile", tile)
        assert infer(pictures.parent, *words) == 0
        outputs.append(pixels(output / "testA_0.png"))
    assert abs(outputs[0] - outputs[1]).max() <= 1
