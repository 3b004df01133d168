"""Encoding the frames of a video, with the times, sound and appearance of another."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import UserError
from ..files import clipped, make_folder, replace_file, sha256_of
from ..video_files import import_av, open_video
from .video_sound import SoundCopy
from .written_files import WrittenFiles

log = logging.getLogger(__name__)

CODECS = {".webm": "libvpx-vp9"}
DEFAULT_CODEC = "libx264"
QUALITY = {"crf": "18"}
"""Of both codecs; 0 is lossless, 18 is visually lossless."""
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""The `colorspace` of a stream (ITU-T H.273), by which a player converts its YUV to colours, ->
PyAV's name. Without one, reading and writing use ITU601."""
SIDE_STEP = 4
"""Pixels; data/transforms.py rounds the sides of resized frames to multiples of it."""
LIMITED_RANGE = 1
"""PyAV's `color_range` for luma from 16 to 235, which `reformat` writes."""


class VideoWriter:
    """Writes frames with the times, the frame rate and the sound of `source` to `path`.

    The file gets its name in `close`, and is listed in `written` then, if given. `whole`: all
    frames are written, and the sound after the last one too. `in_shape`: frames are resized at
    most, not cropped or stretched, so that their pixels keep the shape of those of the source.
    """

    def __init__(
        self,
        source: Path,
        path: Path,
        whole: bool = True,
        written: WrittenFiles | None = None,
        in_shape: bool = True,
    ) -> None:
        self.source, self.path, self.whole, self.written = source, path, whole, written
        self.in_shape = in_shape
        self.unfinished = path.with_name(
            f".{clipped(path.stem, 200)}.{os.getpid()}.tmp{path.suffix}"
        )
        self._output: Any = None

    def add(self, image: Image.Image, time: int, duration: int = 0) -> None:
        """Encode an RGB frame that is shown from `time` on, in units of the source's time base.

        The `duration`, 0 where it is not known, is that of the last frame alone; others last until
        the next. Raises UserError where that fails.
        """
        with self._naming_the_file():
            if self._output is None:
                self._open(image)
            frame = self._av.VideoFrame.from_image(image)
            frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace=self._matrix)
            frame.pts, frame.time_base = time, self._time_base
            self._sound.copy(until=float(time * self._time_base))
            self._last = time, duration
            self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the remaining packets and rename the file, where a frame was added."""
        if self._output is None:
            return
        with self._naming_the_file():
            self._mux(self._stream.encode(None))
            if self.whole:
                self._sound.copy(until=float("inf"))
            self._output.close()
            self._input.close()
            if self.written is not None:
                self.written.add(self.path, sha256_of(self.unfinished))
            replace_file(self.unfinished, self.path)

    def discard(self) -> None:
        """Delete the unfinished file."""
        with suppress(OSError, ValueError):  # the first error is the one to report
            if self._output is not None:
                self._output.close()
                self._input.close()
        with suppress(OSError):
            self.unfinished.unlink()

    def _mux(self, packets: Iterable[Any]) -> None:
        time, duration = self._last
        for packet in packets:
            if packet.pts == time and duration > 0:
                packet.duration = duration
            self._output.mux(packet)

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write the video {self.path} ({error})") from error

    def _open(self, image: Image.Image) -> None:
        self._av = import_av()
        self._input = open_video(self.source)
        make_folder(self.path.parent)
        try:
            self._begin(image, self._input.streams.audio)
        except (OSError, ValueError):
            if not self._input.streams.audio:
                raise
            with suppress(OSError, ValueError):  # Windows opens no file twice
                if self._output is not None:
                    self._output.close()
            self._begin(image, ())  # a container may refuse the sound as late as with its head
            log.warning("the sound of %s is left out: %s cannot hold it", self.source, self.path)

    def _begin(self, image: Image.Image, sound: Sequence[Any]) -> None:
        """Write the head of the file, with these tracks of the source."""
        source = self._input.streams.video[0]
        self._time_base = source.time_base
        self._output = self._av.open(str(self.unfinished.absolute()), "w")
        codec = CODECS.get(self.path.suffix.lower(), DEFAULT_CODEC)
        self._stream = self._output.add_stream(codec, rate=source.average_rate, options=QUALITY)
        self._stream.width, self._stream.height = image.size
        even = image.width % 2 == image.height % 2 == 0  # yuv420p halves both sides
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"
        self._stream.codec_context.time_base = source.time_base
        if self.path.suffix.lower() == ".avi":  # which cannot store times out of order
            self._stream.codec_context.max_b_frames = 0
        self._copy_colours(source.codec_context, self._stream.codec_context)
        self._copy_pixel_shape(image)
        self._sound = SoundCopy(self._input, sound, self._output)
        self._output.start_encoding()

    def _copy_colours(self, old: Any, new: Any) -> None:
        """Say how the colours are written: as those of the source, where PyAV knows its matrix."""
        self._matrix = MATRICES.get(old.colorspace)
        new.color_range = LIMITED_RANGE
        new.color_primaries, new.color_trc = old.color_primaries, old.color_trc
        if self._matrix is not None:
            new.colorspace = old.colorspace

    def _copy_pixel_shape(self, image: Image.Image) -> None:
        """Copy the pixel aspect ratio, inverted where frames are turned by 90 degrees."""
        shape = self._input.streams.video[0].codec_context.sample_aspect_ratio
        if not shape:
            return
        with open_video(self.source) as container:
            frame = next(container.decode(video=0))
        turned = frame.rotation % 180 == 90
        size = (frame.height, frame.width) if turned else (frame.width, frame.height)
        scales = [new / old for new, old in zip(image.size, size, strict=True)]
        alike = abs(scales[0] - scales[1]) <= SIDE_STEP / min(size)
        if (self.in_shape and alike) or image.size == size:
            self._stream.codec_context.sample_aspect_ratio = 1 / shape if turned else shape
