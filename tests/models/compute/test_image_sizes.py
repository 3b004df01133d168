"""Which sizes of images a model can be trained on; inference takes any."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models import create_model
from models.compute.image_sizes import check_sizes
from models.parts.discriminators import patch_map_size, smallest_image
from util.errors import DataError
from util.options import Options

Make = Callable[..., Options]


def batch(width: int, height: int, side: str = "A") -> dict[str, Any]:
    """Return images of 256x256, with that of one side of another size."""
    images = {"A": torch.zeros(1, 3, 256, 256), "B": torch.zeros(1, 3, 256, 256)}
    images[side] = torch.zeros(1, 3, height, width)
    return {**images, "A_paths": ["a.png"], "B_paths": ["b.png"]}


UNET = ("--netG", "unet_128", "--preprocess", "none")


@pytest.mark.parametrize(
    ("words", "width", "height", "message"),
    [
        (UNET, 128, 200, "a.png has 128x200 pixels with --preprocess none, but --netG unet_128 "
                         "takes sides that are multiples of 128 pixels"),
        (UNET, 64, 128, "--netG unet_128 takes sides that are multiples of 128"),
        (UNET, 128, 256, ""),
        (("--preprocess", "none", "--netD", "pixel"), 4, 40,
         "a.png has 4x40 pixels with --preprocess none, but --netG resnet_6blocks takes sides of "
         "at least 8 pixels"),
        (("--preprocess", "none", "--netD", "pixel"), 8, 40, ""),
        (("--preprocess", "scale_width"), 40, 20, "--netD basic takes sides of at least 24 pixels"),
        (("--preprocess", "none"), 24, 24, ""),
        (("--netD", "n_layers", "--n_layers_D", "4", "--preprocess", "none"), 44, 60,
         "--netD n_layers takes sides of at least 48 pixels"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", "AB")
def test_a_size_that_a_network_does_not_take_is_named(
    side: str, words: tuple[str, ...], width: int, height: int, message: str, train_opt: Make
) -> None:
    """Sizes that pass can be trained on, which the second half of this test tries."""
    model = create_model(train_opt(*words))
    images = batch(width, height, side)
    if message:
        with pytest.raises(DataError) as error:
            model.check_sizes(images)
        assert message.replace("a.png", f"{side.lower()}.png") in str(error.value)
        return
    model.check_sizes(images)
    model.setup(model.opt)
    model.set_input({**images, "A": images[side], "B": images[side]})
    model.optimize_parameters()


@pytest.mark.parametrize("layers", range(1, 7))
def test_the_smallest_image_is_the_first_with_a_score(layers: int) -> None:
    side = smallest_image(layers)
    assert patch_map_size(side, layers) == 1
    assert patch_map_size(side - 1, layers) < 1


def test_entries_that_are_no_images_are_ignored() -> None:
    opt, net = Namespace(preprocess="none"), torch.nn.Linear(2, 1)
    check_sizes(opt, {"X": net}, {"A": torch.zeros(3, 2), "label": torch.zeros(1, 3, 1, 1)})
    images = {"A": torch.zeros(1, 3, 1, 1), "A_paths": ["a.png"]}
    check_sizes(opt, {"X": net}, images)
    net.smallest = 2  # type: ignore[assignment]
    with pytest.raises(DataError, match=r"a\.png has 1x1 .*network X takes sides of at least 2"):
        check_sizes(opt, {"X": net}, images)
