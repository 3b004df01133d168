"""Videos as files, through PyAV (optional package `av`)."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from .errors import UserError
from .files import make_folder

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
CODECS = {".webm": "libvpx-vp9"}
USUAL_CODEC = "libx264"
QUALITY = {"crf": "18"}
"""Of both codecs; 0 is lossless, 18 looks like the frames that went in."""
COLOUR_TAGS = ("colorspace", "color_primaries", "color_trc")
"""Of a stream (ITU-T H.273): how a player turns its YUV into colours."""
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""The `colorspace` of a stream -> PyAV's name. Without one, reading and writing take ITU601."""
LIMITED_RANGE = 1


def is_video(opt: Namespace) -> bool:
    """Whether the input names a video, by its ending."""
    return opt.dataroot is not None and str(opt.dataroot).lower().endswith(VIDEO_EXTENSIONS)


def import_av() -> ModuleType:
    """PyAV. Raises UserError saying what to install where it is missing."""
    try:
        import av
    except ImportError:
        raise UserError("videos need the package PyAV: pip install av") from None
    return av


def open_video(path: Path) -> Any:
    """The container of a video file. Raises UserError where it cannot be read."""
    av = import_av()
    try:
        container = av.open(str(path))
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise UserError(f"cannot read the video {path} ({error})") from error
    if not container.streams.video:
        container.close()
        raise UserError(f"{path} holds no video")
    return container


def name_of_frame(path: Path, time: int) -> str:
    """The `path` of a frame: that of its video and its time, in units of the stream's time base."""
    return f"{path}@{time}"


def time_of_frame(name: str) -> int:
    """The time of a frame by its name."""
    return int(name.rpartition("@")[2])


class VideoWriter:
    """Writes frames with the times, the rate and the sound of `source` to `path`.

    The file has its name when `close` was called, and not before. `whole`: the sound goes on
    behind the last frame, as in the source.
    """

    def __init__(self, source: Path, path: Path, whole: bool = True) -> None:
        self.source, self.path, self.whole = source, path, whole
        self.unfinished = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        self._output: Any = None

    def add(self, picture: Image.Image, time: int) -> None:
        """Encode an RGB frame that is shown from `time` on. Raises UserError where it cannot."""
        with self._naming_the_file():
            if self._output is None:
                self._open(picture)
            frame = self._av.VideoFrame.from_image(picture)
            frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace=self._matrix)
            frame.pts, frame.time_base = time, self._time_base
            self._copy_sound(until=float(time * self._time_base))
            self._output.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left and give the file its name; nothing where no frame was added."""
        if self._output is None:
            return
        with self._naming_the_file():
            self._output.mux(self._stream.encode(None))
            if self.whole:
                self._copy_sound(until=float("inf"))
            self._output.close()
            self._input.close()
            self.unfinished.replace(self.path)

    def discard(self) -> None:
        """Leave no file."""
        with suppress(OSError, ValueError):  # what went wrong before is being told already
            if self._output is not None:
                self._output.close()
                self._input.close()
        with suppress(OSError):
            self.unfinished.unlink()

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write the video {self.path} ({error})") from error

    def _open(self, picture: Image.Image) -> None:
        self._av = import_av()
        self._input = open_video(self.source)
        old = self._input.streams.video[0]
        self._time_base = old.time_base
        make_folder(self.path.parent)
        self._output = self._av.open(str(self.unfinished), "w")
        codec = CODECS.get(self.path.suffix.lower(), USUAL_CODEC)
        self._stream = self._output.add_stream(codec, rate=old.average_rate, options=QUALITY)
        self._stream.width, self._stream.height = picture.size
        even = picture.width % 2 == picture.height % 2 == 0
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"
        self._stream.codec_context.time_base = old.time_base
        self._keep_look(old.codec_context, self._stream.codec_context, picture.size)
        self._sounds = {
            sound.index: self._output.add_stream_from_template(sound)
            for sound in self._input.streams.audio
        }
        self._packets: Iterator[Any] = iter(self._input.demux(*self._input.streams.audio))
        self._waiting = next(self._packets, None) if self._sounds else None

    def _keep_look(self, old: Any, new: Any, size: tuple[int, int]) -> None:
        """The colours of the source as its stream tags them, and the shape of its pixels."""
        self._matrix = MATRICES.get(old.colorspace)
        if self._matrix is not None:
            new.color_range = LIMITED_RANGE
            for tag in COLOUR_TAGS:
                setattr(new, tag, getattr(old, tag))
        if old.sample_aspect_ratio and size == (old.width, old.height):
            new.sample_aspect_ratio = old.sample_aspect_ratio

    def _copy_sound(self, until: float) -> None:
        """Copy the packets that begin before `until` seconds."""
        while (packet := self._waiting) is not None:
            if packet.dts is not None:
                if float(packet.dts * packet.time_base) >= until:
                    return
                packet.stream = self._sounds[packet.stream.index]
                self._output.mux(packet)
            self._waiting = next(self._packets, None)
