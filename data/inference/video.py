"""The frames of a video for inference, decoded in batches."""

import logging
import random
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from util import ranks
from util.images import Pixels
from util.threads import in_threads
from util.video_ends import is_cut_short
from util.video_files import import_av, name_of_frame, open_video

from ..items import batch_of
from ..transforms import check_channels, draw_crop_flip, load_tensor
from .decoding import frames_in_order, image_of
from .folder import Item, Results

log = logging.getLogger(__name__)

REPAIR = "`ffmpeg -i VIDEO NEW.mp4` may repair it"


class VideoFrames:
    """The frames of the video `--dataroot` in batches, decoded while others are translated."""

    def __init__(self, opt: Namespace) -> None:
        check_channels(opt, "input_nc")
        self.opt, self.path, self.pixels = opt, Path(opt.dataroot), Pixels.of(vars(opt))
        with open_video(self.path) as container:
            stream = container.streams.video[0]
            seconds = (container.duration or 0) / import_av().time_base
            self.frames: int = stream.frames or round(seconds * float(stream.average_rate or 0))
        self.failures: list[str] = []
        self._decoded_frames = self._damaged_frames = 0
        self.max_frames: int | None = opt.num_test if "num_test" in opt.given else None
        self.batch_size: int = opt.together
        self.places: list[int] | None = None
        """The places of the latest batch, which the frames of one file do not need."""

    @property
    def how_many(self) -> str:
        """Return the text `50 of 500 frames` for the console, as far as the file tells."""
        return f"{self.bar['total'] or 'all'} of {self.frames or 'all'} frames"

    @property
    def bar(self) -> dict[str, Any]:
        """Return the arguments of the progress bar."""
        total = min(self.max_frames or self.frames, self.frames) or None
        hidden = None if ranks.is_main() else True
        return {"total": total, "unit": " frames", "disable": hidden, "dynamic_ncols": True}

    def refuse_overwriting(self, results: Results) -> None:
        """Raise UsageError where the result would replace the input, or what is no result."""
        results.refuse_overwriting([str(self.path)], [str(self.path)])

    def left(self, results: Results) -> int | None:
        """Return how many frames this process translates, or None where the file does not tell.

        Of several processes rank 0 translates them all, as they make one file.
        """
        return 0 if self._has_result(results) or not ranks.is_main() else self.bar["total"]

    def batches(self, results: Results) -> Iterator[Item]:
        """Yield batches of --batch_size frames: `A` (N, C, H, W), `A_paths` (see name_of_frame)."""
        if not ranks.is_main():
            return
        if self._has_result(results):
            log.info("the translated video exists already (--skip_existing)")
            return
        frames = islice(self._decoded(), self.max_frames)
        items = in_threads(self._item, frames, lambda: max(8, self.opt.readers), self.opt.readers)
        while batch := list(islice(items, self.batch_size)):
            yield batch_of(batch)

    def report(self, _not_written: Sequence[str] = ()) -> int:
        """Return the exit code, 1 where frames are damaged or could not be decoded."""
        if self._damaged_frames:
            self._fail(f"is damaged in {self._damaged_frames} of {self._decoded_frames} frames")
        return 1 if self.failures else 0

    def _has_result(self, results: Results) -> bool:
        return self.opt.skip_existing and results.has(str(self.path))

    def _decoded(self) -> Iterator[Any]:
        """Yield the frames that can be decoded, and tell where the file ends too early."""
        with open_video(self.path) as container:
            try:
                for frame in frames_in_order(container):
                    self._decoded_frames += 1
                    self._damaged_frames += frame.is_corrupt
                    yield frame
                if is_cut_short(self.path):
                    self._fail("is cut short, as after an interrupted copy: its end is missing")
                elif not self._decoded_frames:
                    self._fail(f"holds no frame that can be decoded; {REPAIR}")
            except import_av().error.FFmpegError as error:
                self._fail(f"is damaged and cannot be decoded any further ({error}); {REPAIR}")

    def _fail(self, reason: str) -> None:
        self.failures.append(reason)
        log.warning("%s %s", self.path, reason)

    def _item(self, frame: Any) -> Item:
        name = name_of_frame(self.path, frame.pts, frame.duration or 0)
        image = image_of(frame, self.path, self.pixels)
        crop_flip = draw_crop_flip(self.opt, image.size, random.Random(0), name)
        return {
            "A": load_tensor(image, self.opt, self.opt.input_nc, crop_flip),
            "A_paths": name,
        }
