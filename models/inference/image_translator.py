"""A trained generator for Python programs, which translates single images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from util.checkpoints.find_weights import find_generator
from util.checkpoints.run_folder import read_training_options
from util.checkpoints.weights import load_into, read_weights
from util.deep_images import kind_of, to_deep, to_levels, turned_upright
from util.devices import pick_device
from util.errors import UserError
from util.images import (
    BY_TYPE,
    Pixels,
    orientation,
    to_float_tensor,
    to_image_array,
    to_tensor,
    upright_rgb,
)

from ..networks import define_G
from ..parts.architecture import Generator, read_generator
from .translator import InferenceSettings, Translator


class ImageTranslator:
    """Translates images with the same result as 02_inference.py.

    `pixels` says how those are read that are not RGB of 8 bits.
    """

    def __init__(self, translator: Translator, input_nc: int, pixels: Pixels = BY_TYPE) -> None:
        self.translator, self.input_nc, self.pixels = translator, input_nc, pixels

    def __call__(self, image: Image.Image) -> Image.Image:
        """Translate an image of any mode and size; the result is RGB, upright, of the same size.

        More than 8 bits of gray are used as 02_inference.py uses them. Raises UserError where the
        generator takes neither gray nor RGB images.
        """
        if self.input_nc not in (1, 3):
            raise UserError(
                f"this generator takes {self.input_nc} channels, unlike Pillow's images: use "
                "02_inference.py with NPY or TIFF files"
            )
        if kind := kind_of(image) if len(image.getbands()) == 1 else "":
            gray = turned_upright(np.asarray(image), orientation(image))
            levels = np.ascontiguousarray(to_levels(gray, kind, self.pixels.value_range))
            images = to_float_tensor(levels).expand(1, self.input_nc, *levels.shape)
            # the upper 8 bits of the 16, which Pillow shows of the file that 02_inference.py writes
            deep = to_deep(self.translator(images)[0], "uint16", "", "PNG")
            array = (deep // 256).astype(np.uint8)
            return Image.fromarray(np.broadcast_to(array, (*array.shape[:2], 3)).copy())
        image = upright_rgb(image, self.pixels)
        images = to_tensor(image.convert("L") if self.input_nc == 1 else image).unsqueeze(0)
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
    """Load the generator of a weight file, of the folder of a run, or of the run of that name.

    `model_suffix` chooses among the weight files of a run: by default none, else _A. By default
    the device is the first GPU, or the CPU without one. `eval` turns dropout off and has batch norm
    use its running statistics. Raises UserError if there is no such file, it cannot be loaded, or
    it makes no whole images, as of --model colorization.
    """
    path = find_generator(run, checkpoints_dir, epoch, model_suffix)
    options = read_training_options(path.parent)
    if options.get("model") == "colorization":
        raise UserError(
            f"{path}: this generator makes the colours of an image without its lightness; use "
            "02_inference.py --model colorization"
        )
    net, architecture = build_generator(path)
    target = torch.device(device) if device is not None else pick_device([0], False)
    net = net.to(target).train(not eval)
    translator = Translator(net, target, settings or InferenceSettings())
    return ImageTranslator(translator, architecture.input_nc, Pixels.of(options))


def build_generator(path: Path) -> tuple[nn.Module, Generator]:
    """Return the network of a weight file, in training mode, and its architecture.

    The weights of a U-Net do not tell whether it has dropout: the options stored with the run do.
    Raises UserError if the file cannot be read or holds no generator.
    """
    weights = read_weights(path)
    a = read_generator(weights, path)
    no_dropout = a.no_dropout
    if no_dropout is None:
        no_dropout = bool(read_training_options(path.parent).get("no_dropout", False))
    how = (a.input_nc, a.output_nc, a.ngf, a.netG, a.norm, not no_dropout)
    net = define_G(*how, upsample=a.upsample, skip_connections=bool(a.skip_connections))
    load_into(net, weights, path)
    return net, a
