"""JPEG draft decoding: files that the resize shrinks are decoded at a fraction of their size.

Legend: sizes are (width, height) of the upright image, in pixels.

The decoder skips the frequencies that the smaller image cannot show; PyTorch's vector instructions
do the rest of the resize. Peak signal-to-noise ratio against full decoding and Pillow's resize: at
least 40 dB on photographs (38 dB on a scan of text), above 70 dB where only the resize differs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from util.images import Uint8Image, orientation, to_uint8

Size = tuple[int, int]

FRACTIONS = (4, 2)
"""A side is decoded at one of 1/4 and 1/2 of its length; at 1/8 photographs fall below 40 dB."""
MIN_AREA, MIN_SIDE = 2.4, 1.3
"""A decoded image has at least so many times the final area and side; fewer fall below 40 dB."""
LIMITS = (FRACTIONS, MIN_AREA, MIN_SIDE)
"""The settings that decide the pixels; part of the key of a cached image."""
QUICK_RESIZE = torch.backends.cpu.get_cpu_capability().startswith("AVX")
"""Whether PyTorch resizes faster than Pillow; without AVX it does not."""


@dataclass
class JpegDraft:
    """Prepares an opened file for its final size, `final(size)`, and resizes what was decoded.

    The file holds `parts` images of one size side by side. More than one are decoded in full, since
    the cut between them has to fall between two pixels. `prepare` sets `applies`, which is true for
    a JPEG file whose images shrink.
    """

    final: Callable[[Size], Size]
    parts: int = 1
    applies: bool = False
    size: Size = (0, 0)
    fraction: int = 1

    def prepare(self, image: Image.Image) -> None:
        """Choose the fraction at which `read_image` will decode the opened file."""
        if not isinstance(image, JpegImageFile):
            return
        across, down = _upright_size(image)
        self.size = max(1, across // self.parts), down
        width, height = self.final(self.size)
        self.applies = width < self.size[0] and height < self.size[1]
        if self.applies and self.parts == 1:
            self._reduce(image, width, height)

    def resize(self, image: Image.Image) -> Uint8Image:
        """Resize a decoded image to the final size -> uint8 (C, H, W).

        The decoder rounds fractions of a side up, hence the scale is that of the image in the file,
        not that of the decoded image.
        """
        size = self.final(self.size)
        across, down = (side / self.fraction for side in self.size)
        if not QUICK_RESIZE:
            image = image.resize(size, Image.Resampling.BICUBIC, box=(0, 0, across, down))
            return to_uint8(image)
        # torchvision resizes to whole numbers of pixels from whole numbers of pixels
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(to_uint8(image))[None],
            # 1e-9 more, since the product is rounded down and could lose the last pixel
            scale_factor=(size[1] / down * (1 + 1e-9), size[0] / across * (1 + 1e-9)),
            mode="bicubic",
            antialias=True,
            recompute_scale_factor=False,
        )
        return resized[0].numpy()

    def _reduce(self, image: JpegImageFile, width: int, height: int) -> None:
        for fraction in FRACTIONS:
            across, down = (side / fraction for side in self.size)
            if _is_rotated(image) and (image.width % fraction or image.height % fraction):
                continue  # the column or row from rounding up would lie at the wrong edge
            large_enough = across * down >= MIN_AREA * width * height
            if large_enough and across >= MIN_SIDE * width and down >= MIN_SIDE * height:
                # the sides as stored in the file: its orientation is undone after decoding
                if image.draft(None, (image.width // fraction, image.height // fraction)):
                    self.fraction = fraction
                return


def _is_rotated(image: Image.Image) -> bool:
    return orientation(image) != 1


def _upright_size(image: Image.Image) -> Size:
    transposed = orientation(image) in (5, 6, 7, 8)
    return (image.height, image.width) if transposed else (image.width, image.height)
