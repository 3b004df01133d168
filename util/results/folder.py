"""Translated pictures as files: the format that is asked for, with the metadata that matters.

The folder `--output`, and how its files are encoded.
"""

import io
import logging
import struct
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image
from torch import Tensor

from ..errors import UserError
from ..files import make_folder, write_atomically
from ..images import PNG_LEVEL, stretched, to_image_array
from .results import TRANSLATION, Results, Visuals, inside_input, unique_stem

log = logging.getLogger(__name__)

FORMATS = ("same", "png", "jpg", "tiff", "webp")
"""What `--format` accepts; same is that of the input."""

METADATA_DAMAGE = (OSError, ValueError, TypeError, LookupError, SyntaxError, struct.error)
"""What Pillow raises where metadata cannot be read, or not be written in another format."""

LOSSY = {"JPEG", "WEBP"}
ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
CAMERA_TAGS = {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298}
"""EXIF: description, make, model, resolution (3), software, date, artist, copyright."""


class EncodeError(UserError):
    """A picture that its format has no place for."""


class OutputFolder(Results):
    """`<output>/<sub-folders and stem of the input>.<format>`: the translations alone."""

    def has(self, path: str) -> bool:
        """Whether the translation of `path` is there."""
        return self.place(path).is_file()

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Save the translations, with the metadata of their inputs."""
        for image, path in zip(visuals[TRANSLATION], paths, strict=True):
            self.threads.submit(self._save, image, path)

    def close(self) -> Path:
        """The folder."""
        self.threads.finish()
        return Path(self.opt.output)

    def place(self, path: str) -> Path:
        """The file that the translation of `path` is saved in."""
        inside, picture_format = inside_input(path, self.opt), self.opt.format
        if picture_format != "same":
            inside = inside.with_name(unique_stem(path, self.opt) + ending(inside, picture_format))
        return Path(self.opt.output) / inside

    def _save(self, image: Tensor, path: str) -> None:
        picture = stretched(Image.fromarray(to_image_array(image)), self.opt.aspect_ratio)
        try:
            write_image(picture, self.place(path), self.opt.quality, Path(path))
        except EncodeError as error:  # the others can perhaps
            self.failures.append(str(error))
            log.warning("skipped: %s", error)


def ending(path: PurePath, picture_format: str) -> str:
    """The ending, with its dot, of the translation of `path`."""
    return path.suffix if picture_format == "same" else f".{picture_format}"


def write_image(image: Image.Image, path: Path, quality: int, source: Path | None = None) -> None:
    """Write an upright RGB picture, whole or not at all, with the metadata of `source`.

    The ending of `path` decides the format; `quality` (1 to 100) counts for JPEG and WebP. Raises
    UserError where the format or the file cannot be written, EncodeError where the format has no
    place for this picture (JPEG and WebP have a largest size). Metadata without a place are left
    out.
    """
    file_format = Image.registered_extensions().get(path.suffix.lower(), "")
    if file_format not in Image.SAVE:
        raise UserError(
            f"{path}: pictures of the format {path.suffix or '(none)'} cannot be written; "
            "choose another with --format"
        )
    how: dict[str, Any] = {"format": file_format}
    if file_format in LOSSY:
        how["quality"] = quality
    elif file_format == "PNG":
        how["compress_level"] = PNG_LEVEL
    try:  # encoded first: a failure leaves no file behind
        content = _encoded(image, **how, **(metadata_of(source) if source else {}))
    except METADATA_DAMAGE as error:
        try:
            content = _encoded(image, **how)
        except (OSError, ValueError) as reason:
            raise EncodeError(f"{path} cannot be written ({reason}); try --format png") from reason
        log.warning("%s is written without metadata (%s)", path, error)
    make_folder(path.parent)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def _encoded(image: Image.Image, **how: Any) -> io.BytesIO:
    content = io.BytesIO()
    image.save(content, **how)
    return content


def metadata_of(source: Path) -> dict[str, Any]:
    """`icc_profile` and `exif` of an image file, for `Image.save`.

    A profile that is not for RGB is left out, since the translation is RGB. So are the EXIF
    orientation, since the translation is upright, and what describes the file, not the picture.
    """
    kept: dict[str, Any] = {}
    with Image.open(source) as image:
        profile = image.info.get("icc_profile")
        if profile and profile[16:20] == b"RGB ":
            kept["icc_profile"] = profile
        exif, old = Image.Exif(), image.getexif()
        for tag in CAMERA_TAGS & set(old):
            exif[tag] = old[tag]
        for ifd in (EXIF_IFD, GPS_IFD):
            if entries := old.get_ifd(ifd):
                exif[ifd] = dict(entries)
        if exif:
            kept["exif"] = exif.tobytes()  # TIFF would lose parts of an Exif object
    return kept
