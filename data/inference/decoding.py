"""From the packets of a video to upright RGB images, in the order in which they are shown."""

import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image

from util.errors import UserError
from util.images import Pixels, upright_rgb
from util.video_files import import_av

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs leave out the transparency of WebM."""


def frames_in_order(container: Any) -> Iterator[Any]:
    """Yield the frames with times that grow, which those of AVI files with B-frames do not."""
    stream, previous = container.streams.video[0], None
    seconds = 1 / stream.average_rate if stream.average_rate else 0
    step = max(1, int(seconds / stream.time_base))
    for frame in _decode(container, stream):
        time = frame.dts if frame.pts is None else frame.pts
        if previous is None:
            time = time or 0
        elif time is None or time <= previous:
            time = previous + step
        frame.pts = previous = time
        yield frame


def image_of(frame: Any, path: object, pixels: Pixels) -> Image.Image:
    """Return a frame of the video `path` as RGB, turned as a player shows it.

    Transparent pixels show the background. Raises UserError where FFmpeg cannot convert it.
    """
    transparent = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
    try:
        shown = frame.reformat(format="rgba") if transparent else frame
        image = Image.fromarray(shown.to_ndarray()) if transparent else shown.to_image()
    except (OSError, ValueError, import_av().error.FFmpegError) as error:
        raise UserError(
            f"cannot convert the video {path} to RGB ({error}); its colour matrix is "
            f"{int(frame.colorspace)}: convert it with `ffmpeg -i VIDEO -vf zscale=matrix=709 "
            "NEW.mp4`"
        ) from error
    image = upright_rgb(image, pixels)
    if _is_mirrored(frame):
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames, decoded in several threads."""
    decoder = ALPHA_DECODERS.get(stream.codec_context.name, "")
    installed = decoder in import_av().codecs_available
    if not installed or stream.metadata.get("alpha_mode") != "1":
        stream.thread_type = "AUTO"
        yield from container.decode(stream)
        return
    context = import_av().CodecContext.create(decoder, "r")
    context.thread_type = "AUTO"
    for packet in container.demux(stream):
        yield from context.decode(packet)


def _is_mirrored(frame: Any) -> bool:
    """Return whether the frame is shown mirrored, top to bottom, before its rotation."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know all kinds of data beside a frame, such as EXIF
        return False
    if matrix is None:
        return False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return bool(a * d < b * c)  # the determinant, of x and y
