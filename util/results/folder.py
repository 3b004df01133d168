"""The folder `--output`: translated images in the requested format, with their metadata."""

import hashlib
import io
import logging
from argparse import Namespace
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..array_files import NPY_ENDING, is_misread, kind_of_file, may_be_array
from ..deep_images import (
    BYTE,
    ENCODED,
    NPY,
    OF_ANY_CHANNELS,
    Deep,
    encode,
    kind_of,
    to_deep,
)
from ..errors import UsageError, UserError, printable
from ..files import make_folder, write_atomically
from ..image_files import DAMAGE, open_image
from ..images import PNG_LEVEL, Visual, images_of, stretched, stretched_size, to_image_array
from .results import TRANSLATION, Results, Visuals, relative_to_input, results_exist, unique_stem
from .written_files import WrittenFiles, refuse_inputs

log = logging.getLogger(__name__)

FORMATS = ("same", "png", "jpg", "tiff", "webp", "npy")
"""What `--format` accepts; `same` is the format of the input."""
RGB_OR_GRAY = (1, 3)
"""The numbers of channels that every format holds; others are in TIFF and NPY alone."""
OTHERWISE = ".tif"
"""What is appended to the name of an input whose format cannot hold other channels."""

LOSSY = {"JPEG", "WEBP"}
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
CAMERA_TAGS = {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298}
"""EXIF: description, make, model, resolution (3), software, date, artist, copyright."""


class EncodeError(UserError):
    """An image that its format cannot hold."""


class OutputFolder(Results):
    """`<output>/<sub-folders and stem of the input>.<format>`: the translations alone."""

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.written = WrittenFiles(Path(opt.output), opt.overwrite)
        self.any_channels = opt.output_nc not in RGB_OR_GRAY
        if self.any_channels and opt.format not in ("same", "tiff", "npy"):
            raise UsageError(
                f"--format {opt.format} holds 1 or 3 channels, and this generator makes "
                f"{opt.output_nc}: use --format tiff or npy"
            )

    def targets(self, path: str) -> list[Path]:
        """Return the file for the translation of `path`."""
        return [self.target(path)]

    def refuse_overwriting(self, paths: Sequence[str], inputs: Iterable[str]) -> None:
        """Raise UsageError where a result would replace an input or a file that is no result."""
        super().refuse_overwriting(paths, inputs)
        if not self.opt.skip_existing:
            self.written.refuse_foreign(self.target(path) for path in paths)

    def has(self, path: str) -> bool:
        """Return whether the translation of `path` exists, or a file in its place.

        Names are those of the inputs unless one format is given: then inputs may share a stem.
        """
        target = self.target(path)
        if self.opt.format == "same" or not target.is_file():
            return target.is_file()
        return results_exist([target], path) or self.written.is_foreign(target)

    def add(
        self, visuals: Visuals, paths: Sequence[str], places: Sequence[int] | None = None
    ) -> None:
        """Save the translations `fake` (N, 3, H, W), with the metadata of their inputs."""
        for image, path in zip(images_of(visuals[TRANSLATION], len(paths)), paths, strict=True):
            self.threads.submit(self._save, image, path)

    def close(self) -> Path | None:
        """Wait until all files are written; returns the folder, None where it does not exist."""
        self.threads.finish()
        output = Path(self.opt.output)
        return output if output.is_dir() else None

    def target(self, path: str) -> Path:
        """Return the file for the translation of `path`."""
        relative, image_format = relative_to_input(path, self.opt), self.opt.format
        if image_format != "same":
            relative = relative.with_name(f"{unique_stem(path, self.opt)}.{image_format}")
        elif self.any_channels and _format(relative) not in OF_ANY_CHANNELS:
            relative = relative.with_name(f"{relative.name}{OTHERWISE}")
        return Path(self.opt.output) / relative

    def _save(self, image: Visual, path: str) -> None:
        try:
            source = Path(path) if Path(path).is_file() else None  # a plug-in names what it likes
            target = self.target(path)
            translation = self._translation(image, source, target)
            refuse_inputs([target], [path])  # a plug-in tells its paths only now
            self.written.refuse_foreign([target])
            write_image(translation, target, self.opt.quality, source, self.written)
        except EncodeError as error:  # other images may still fit
            self.failures.append(str(error))
            log.warning("skipped: %s", error)

    def _translation(self, image: Visual, source: Path | None, target: Path) -> Image.Image | Deep:
        """Return the image as it is written: an array if its format or its pixels are no usual."""
        wide, file_format = self.opt.aspect_ratio, _format(target)
        kind = (_kind(source) if source and file_format in ENCODED else "") or BYTE
        encoded = kind != BYTE or file_format == NPY or self.any_channels
        if encoded and isinstance(image, Tensor):
            size = None if wide == 1 else stretched_size((image.shape[2], image.shape[1]), wide)
            return to_deep(image, kind, self.opt.value_range, file_format, size)
        array = to_image_array(image)
        gray = isinstance(image, Tensor) and image.shape[0] == 1
        return stretched(Image.fromarray(array[..., 0] if gray else array), wide)


def _kind(source: Path) -> str:
    """Return the kind of the pixels of an input, "" for 8 bits that Pillow reads."""
    try:
        with open_image(source) as image:
            if is_misread(image):
                raise UnidentifiedImageError
            return kind_of(image)
    except DAMAGE:  # a data set may read what Pillow does not
        with suppress(*DAMAGE):
            return kind_of_file(source) if may_be_array(source) else ""
    return ""


def _format(path: PurePath) -> str:
    is_npy = path.suffix.lower() == NPY_ENDING
    return NPY if is_npy else Image.registered_extensions().get(path.suffix.lower(), "")


def write_image(
    image: Image.Image | Deep,
    path: Path,
    quality: int,
    source: Path | None = None,
    written: WrittenFiles | None = None,
) -> None:
    """Write an upright RGB or gray image, whole or not at all, with the metadata of `source`.

    An array (H, W, C) is for PNG (16 bits, C 1 or 3), TIFF and NPY. The file is listed in
    `written`, if given. The extension of `path` decides the format; `quality` (1 to 100) is for
    JPEG and WebP. Metadata that the format cannot hold are left out, with a warning. Raises
    UserError where the format or the file cannot be written, EncodeError where the image does not
    fit the format (JPEG and WebP have a maximum size).
    """
    file_format = _format(path)
    if file_format not in Image.SAVE and file_format != NPY:
        raise UserError(
            f"{path}: images of the format {path.suffix or '(none)'} cannot be written; "
            "choose another with --format"
        )
    encoding: dict[str, Any] = {"format": file_format}
    if file_format in LOSSY:
        encoding["quality"] = quality
    elif file_format == "PNG":
        encoding["compress_level"] = PNG_LEVEL
    try:  # encoded first: a failure leaves no file behind
        metadata = metadata_of(source, _colours(image)) if source and file_format != NPY else {}
        content = _encoded(image, **encoding, **metadata)
    except Exception as error:  # whatever a field of a wrong type leads to within Pillow
        try:
            content = _encoded(image, **encoding)
        except (OSError, ValueError) as reason:
            raise EncodeError(f"{path} cannot be written ({reason}); try --format png") from reason
        log.warning("%s is written without metadata (%s)", path, printable(error))
    make_folder(path.parent)
    if written is not None:
        written.add(path, hashlib.sha256(content.getbuffer()).hexdigest())
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def _colours(image: Image.Image | Deep) -> str:
    """Return what profiles call the colours of an image, "" where none is for it."""
    channels = len(image.getbands()) if isinstance(image, Image.Image) else image.shape[2]
    return {1: "GRAY", 3: "RGB "}.get(channels, "")


def _encoded(image: Image.Image | Deep, **encoding: Any) -> io.BytesIO:
    if not isinstance(image, Image.Image):
        metadata = {name: encoding.get(name, b"") for name in ("icc_profile", "exif")}
        return io.BytesIO(encode(image, encoding["format"], **metadata))
    content = io.BytesIO()
    image.save(content, **encoding)
    return content


def metadata_of(source: Path, colours: str = "RGB ") -> dict[str, Any]:
    """Return `icc_profile` and `exif` of an image file, for `Image.save`.

    A profile that is not for the `colours` of the translation is left out. So are the EXIF
    orientation, since the translation is upright, and tags that describe the file, not the image.
    """
    metadata: dict[str, Any] = {}
    try:
        opened = open_image(source)
    except UnidentifiedImageError:
        if may_be_array(source):
            return metadata
        raise
    with opened as image:
        profile = image.info.get("icc_profile")
        if profile and profile[16:20] == colours.encode():
            metadata["icc_profile"] = profile
        exif, source_exif = Image.Exif(), image.getexif()
        for tag in CAMERA_TAGS & set(source_exif):
            exif[tag] = source_exif[tag]
        for ifd in (EXIF_IFD, GPS_IFD):
            if entries := source_exif.get_ifd(ifd):
                exif[ifd] = dict(entries)
        if exif:
            metadata["exif"] = exif.tobytes()  # TIFF would lose parts of an Exif object
    return metadata
