"""A translated video, written through PyAV (optional package `av`)."""

import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import UserError
from ..files import clipped, make_folder, replace_file, sha256_of
from ..images import Visual, images_of, stretched, to_image_array
from ..threads import Threads
from ..video_files import import_av, open_video, time_of_frame
from .results import TRANSLATION, Results, Visuals, shortened
from .source import own_folder
from .written_files import WrittenFiles

CODECS = {".webm": "libvpx-vp9"}
DEFAULT_CODEC = "libx264"
QUALITY = {"crf": "18"}
"""Of both codecs; 0 is lossless, 18 is visually lossless."""
COLOUR_TAGS = ("colorspace", "color_primaries", "color_trc")
"""Attributes of a stream (ITU-T H.273): how a player converts its YUV to colours."""
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""The `colorspace` of a stream -> PyAV's name. Without one, reading and writing use ITU601."""
LIMITED_RANGE = 1
"""PyAV's `color_range` for luma from 16 to 235, which `reformat` writes."""


class VideoResult(Results):
    """A video `<output>/<name of the input>`, or `<stem>_fake.<extension>` in the results."""

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.threads = Threads(threads=1)  # one, so that frames stay in order
        source = Path(opt.dataroot)
        self.written: WrittenFiles | None = None
        if opt.output is None:
            name = f"{shortened(source.stem)}_{TRANSLATION}{source.suffix}"
            self.path = own_folder(opt) / name
        else:
            self.path = Path(opt.output) / source.name
            self.written = WrittenFiles(Path(opt.output), opt.overwrite)
        whole = "num_test" not in opt.given
        self.writer = VideoWriter(source, self.path, whole, self.written)

    def targets(self, path: str) -> list[Path]:
        """Return the translated video."""
        return [self.path]

    def refuse_overwriting(self, paths: Sequence[str], inputs: Iterable[str]) -> None:
        """Raise UsageError where the video would replace its input or one that is no result."""
        super().refuse_overwriting(paths, inputs)
        if self.written is not None and not self.opt.skip_existing:
            self.written.refuse_foreign([self.path])

    def has(self, path: str) -> bool:
        """Return whether the translated video exists."""
        return self.path.is_file()

    def add(
        self, visuals: Visuals, paths: Sequence[str], places: Sequence[int] | None = None
    ) -> None:
        """Encode the translations `fake` (N, 3, H, W) of N frames."""
        for image, path in zip(images_of(visuals[TRANSLATION], len(paths)), paths, strict=True):
            self.threads.submit(self._encode, image, path)

    def close(self) -> Path | None:
        """Finish the video; returns its path, None where no frame was added and none is there."""
        try:
            self.threads.finish()
            self.writer.close()
        except BaseException:
            self.writer.discard()
            raise
        return self.path if self.path.is_file() else None

    def _encode(self, image: Visual, path: str) -> None:
        frame = stretched(Image.fromarray(to_image_array(image)), self.opt.aspect_ratio)
        self.writer.add(frame, time_of_frame(path))

    def interrupted(self) -> None:
        """Delete the unfinished video."""
        self.writer.discard()


class VideoWriter:
    """Writes frames with the times, the frame rate and the sound of `source` to `path`.

    The file gets its name in `close`, and is listed in `written` then, if given. `whole`: all
    frames are written, and the sound after the last one too.
    """

    def __init__(
        self, source: Path, path: Path, whole: bool = True, written: WrittenFiles | None = None
    ) -> None:
        self.source, self.path, self.whole, self.written = source, path, whole, written
        self.unfinished = path.with_name(
            f".{clipped(path.stem, 200)}.{os.getpid()}.tmp{path.suffix}"
        )
        self._output: Any = None

    def add(self, image: Image.Image, time: int) -> None:
        """Encode an RGB frame that is shown from `time` on, in units of the source's time base.

        Raises UserError where that fails.
        """
        with self._naming_the_file():
            if self._output is None:
                self._open(image)
            frame = self._av.VideoFrame.from_image(image)
            frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace=self._matrix)
            frame.pts, frame.time_base = time, self._time_base
            self._copy_sound(until=float(time * self._time_base))
            self._output.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the remaining packets and rename the file, where a frame was added."""
        if self._output is None:
            return
        with self._naming_the_file():
            self._output.mux(self._stream.encode(None))
            if self.whole:
                self._copy_sound(until=float("inf"))
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
        source = self._input.streams.video[0]
        self._time_base = source.time_base
        make_folder(self.path.parent)
        self._output = self._av.open(str(self.unfinished.absolute()), "w")
        codec = CODECS.get(self.path.suffix.lower(), DEFAULT_CODEC)
        self._stream = self._output.add_stream(codec, rate=source.average_rate, options=QUALITY)
        self._stream.width, self._stream.height = image.size
        even = image.width % 2 == image.height % 2 == 0  # yuv420p halves both sides
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"
        self._stream.codec_context.time_base = source.time_base
        if self.path.suffix.lower() == ".avi":  # which cannot store times out of order
            self._stream.codec_context.max_b_frames = 0
        self._copy_appearance(source.codec_context, self._stream.codec_context, image.size)
        self._sounds = {
            sound.index: self._output.add_stream_from_template(sound)
            for sound in self._input.streams.audio
        }
        self._packets: Iterator[Any] = iter(self._input.demux(*self._input.streams.audio))
        self._waiting = next(self._packets, None) if self._sounds else None

    def _copy_appearance(self, old: Any, new: Any, size: tuple[int, int]) -> None:
        """Copy the colour tags of the source, and for frames of equal size the pixel shape."""
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
