"""A translated video (optional package `av`), and the frames that go into it."""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from ..images import Visual, images_of, stretched, to_image_array
from ..threads import Threads
from ..video_files import time_of_frame
from .results import TRANSLATION, Results, Visuals, shortened
from .source import own_folder
from .video_writer import VideoWriter
from .written_files import WrittenFiles


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
        in_shape = "crop" not in opt.preprocess and opt.aspect_ratio == 1
        self.writer = VideoWriter(source, self.path, whole, self.written, in_shape)

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
        self.writer.add(frame, *time_of_frame(path))

    def interrupted(self) -> None:
        """Delete the unfinished video."""
        self.writer.discard()
