"""A trained generator for Python programs: a picture in, a picture out."""

from pathlib import Path

import torch
from PIL import Image
from torch import nn

from util.checkpoints.find_weights import find_generator
from util.checkpoints.run_folder import read_training_options
from util.checkpoints.weights import load_into, read_weights
from util.devices import pick_device
from util.images import to_image_array, to_tensor, upright_rgb

from ..networks import define_G
from ..parts.architecture import Generator, read_generator
from .translator import InferenceSettings, Translator


class ImageTranslator:
    """Translates pictures as 02_inference.py does, pixel by pixel."""

    def __init__(self, translator: Translator, input_nc: int) -> None:
        self.translator, self.input_nc = translator, input_nc

    def __call__(self, picture: Image.Image) -> Image.Image:
        """A picture of any mode and size -> its translation, RGB, upright, of the same size."""
        picture = upright_rgb(picture)
        images = to_tensor(picture.convert("L") if self.input_nc == 1 else picture).unsqueeze(0)
        return Image.fromarray(to_image_array(self.translator(images)[0]))


def load_generator(
    run: str | Path,
    epoch: str = "latest",
    model_suffix: str | None = None,
    checkpoints_dir: str | Path = "./checkpoints",
    device: str | torch.device | None = None,
    eval: bool = False,
    settings: InferenceSettings | None = None,
) -> ImageTranslator:
    """The generator of a weight file, of a run's folder or of the run of that name.

    `model_suffix` chooses among the files of a run (by default none, else _A). Without `device`
    the first GPU is taken where there is one. Raises UserError where there is no such file.
    """
    path = find_generator(run, checkpoints_dir, epoch, model_suffix)
    net, found = build_generator(path)
    where = torch.device(device) if device is not None else pick_device([0], False)
    net = net.to(where).train(not eval)
    return ImageTranslator(Translator(net, where, settings or InferenceSettings()), found.input_nc)


def build_generator(path: Path) -> tuple[nn.Module, Generator]:
    """The network of a weight file, in training mode, and what its weights tell of it.

    Whether a U-Net has dropout its weights do not tell: the options stored with the run do.
    """
    weights = read_weights(path)
    found = read_generator(weights, path)
    no_dropout = found.no_dropout
    if no_dropout is None:
        no_dropout = bool(read_training_options(path.parent).get("no_dropout", False))
    net = define_G(
        found.input_nc, found.output_nc, found.ngf, found.netG, found.norm, not no_dropout
    )
    load_into(net, weights, path)
    return net, found
