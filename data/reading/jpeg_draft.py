"""Large JPEG pictures that training shrinks: decoded at a fraction of their size, resized quickly.

Legend: sizes are (width, height) of the upright picture, in pixels.

The decoder skips the frequencies that the smaller picture could not show; what is left is resized
with the vector instructions of PyTorch. Measured against the whole decode and Pillow's resize: at
least 40 dB on photographs (a scan of text: 38 dB), above 70 dB where only the resizing differs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from util.images import ORIENTATION, Uint8Image, to_uint8

Size = tuple[int, int]

FRACTIONS = (4, 2)
"""1 / what Pillow may decode; at 1/8 photographs fall below 40 dB."""
AREA_LEFT, SIDE_LEFT = 2.4, 1.3
"""How many times the final area, and the final side, the decoded picture has at least."""
LIMITS = (FRACTIONS, AREA_LEFT, SIDE_LEFT)
QUICK_RESIZE = torch.backends.cpu.get_cpu_capability().startswith("AVX")
"""Elsewhere Pillow resizes faster than PyTorch."""


@dataclass
class JpegDraft:
    """Prepares an opened file for `final(size)`, its size after the resize; then resizes it.

    The file holds `parts` pictures of one size side by side. More than one are decoded in full,
    since the cut has to fall between two pixels. `applies` is set by `prepare`: a JPEG file whose
    pictures shrink.
    """

    final: Callable[[Size], Size]
    parts: int = 1
    applies: bool = False
    size: Size = (0, 0)
    fraction: int = 1

    def prepare(self, image: Image.Image) -> None:
        """For read_image: choose the fraction to decode at."""
        if not isinstance(image, JpegImageFile):
            return
        across, down = _upright_size(image)
        self.size = max(1, across // self.parts), down
        width, height = self.final(self.size)
        self.applies = width < self.size[0] and height < self.size[1]
        if self.applies and self.parts == 1:
            self._reduce(image, width, height)

    def resize(self, image: Image.Image) -> Uint8Image:
        """Levels (C, H, W) of the final size from a picture that was decoded.

        A fraction of a side that it does not divide is rounded up, hence the scale is that of the
        picture in the file, not of the decoded one.
        """
        size = self.final(self.size)
        across, down = (side / self.fraction for side in self.size)
        if not QUICK_RESIZE:
            image = image.resize(size, Image.Resampling.BICUBIC, box=(0, 0, across, down))
            return to_uint8(image)
        # torchvision resizes to whole numbers of pixels from whole numbers of pixels
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(to_uint8(image))[None],
            # a trifle more, lest rounding should lose the last pixel
            scale_factor=(size[1] / down * (1 + 1e-9), size[0] / across * (1 + 1e-9)),
            mode="bicubic",
            antialias=True,
            recompute_scale_factor=False,
        )
        return resized[0].numpy()

    def _reduce(self, image: JpegImageFile, width: int, height: int) -> None:
        for fraction in FRACTIONS:
            across, down = (side / fraction for side in self.size)
            if _turned(image) and (image.width % fraction or image.height % fraction):
                continue  # what is rounded up would lie at the wrong edge
            enough = across * down >= AREA_LEFT * width * height
            if enough and across >= SIDE_LEFT * width and down >= SIDE_LEFT * height:
                # the file's own sides: its orientation is undone after decoding
                if image.draft(None, (image.width // fraction, image.height // fraction)):
                    self.fraction = fraction
                return


def _turned(image: Image.Image) -> bool:
    return image.getexif().get(ORIENTATION, 1) != 1


def _upright_size(image: Image.Image) -> Size:
    aside = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if aside else (image.width, image.height)
