"""Where translated pictures go: the pages in `--results_dir`, or the folder `--output`."""

import logging
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import TracebackType

from PIL import Image
from torch import Tensor

from ..files import make_folder
from ..html import HTML
from ..images import save_image, stretched, to_picture
from ..threads import Threads, cpu_cores
from ..video_files import VideoWriter, is_video, time_of_frame
from .folder import EncodeError, ending, save_picture

log = logging.getLogger(__name__)

ROWS_PER_PAGE = 100
MOST_WRITERS = 8
TRANSLATION = "fake"
"""The label that `--model test` gives to its output."""

Visuals = Mapping[str, Tensor]


def results_folder(opt: Namespace) -> Path:
    """`<results_dir>/<name>/<phase>_<epoch>[_iter<N>]`."""
    iteration = f"_iter{opt.load_iter}" if opt.load_iter > 0 else ""
    return Path(opt.results_dir) / opt.name / f"{opt.phase}_{opt.epoch}{iteration}"


def make_results(opt: Namespace, labels: Sequence[str]) -> "Results":
    """The folder of `--output` where it is given, else the pages. `labels` name the visuals."""
    if is_video(opt):
        return VideoResult(opt)
    return ResultPages(opt, labels) if opt.output is None else OutputFolder(opt)


class Results:
    """Saves pictures as they come, in other threads; memory does not grow with their number.

    Used as a context manager: pictures under way are finished however the block is left.
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.threads = Threads(min(MOST_WRITERS, max(2, cpu_cores() // 2)))
        self.failures: list[str] = []
        """What was said of pictures that could not be encoded."""

    def has(self, path: str) -> bool:
        """Whether the picture `path` has its results already."""
        raise NotImplementedError

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Save the images of a batch, each (N, C, H, W) in [-1, 1], made from N files."""
        raise NotImplementedError

    def leave_out(self, path: str) -> None:
        """Take note of a picture that has its results already."""

    def close(self) -> Path:
        """Save what is left to save; returns where to look."""
        raise NotImplementedError

    def __enter__(self) -> "Results":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.threads.__exit__(kind, error, at)


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
        picture = stretched(Image.fromarray(to_picture(image)), self.opt.aspect_ratio)
        try:
            save_picture(picture, self.place(path), self.opt.quality, Path(path))
        except EncodeError as error:  # the others can perhaps
            self.failures.append(str(error))
            log.warning("skipped: %s", error)


class VideoResult(Results):
    """`<output>/<name of the input>`, or `<stem>_fake.<ending>` in the folder of results."""

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.threads = Threads(threads=1)  # frames in their order
        source = Path(opt.dataroot)
        if opt.output is None:
            self.path = results_folder(opt) / f"{source.stem}_{TRANSLATION}{source.suffix}"
        else:
            self.path = Path(opt.output) / source.name
        self.writer = VideoWriter(source, self.path, whole="num_test" not in opt.given)

    def has(self, path: str) -> bool:
        """Whether the translated video is there."""
        return self.path.is_file()

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Encode the translations of frames."""
        for image, path in zip(visuals[TRANSLATION], paths, strict=True):
            self.threads.submit(self._encode, image, path)

    def close(self) -> Path:
        """Finish the video; returns it."""
        try:
            self.threads.finish()
            self.writer.close()
        except BaseException:
            self.writer.discard()
            raise
        return self.path

    def _encode(self, image: Tensor, path: str) -> None:
        picture = stretched(Image.fromarray(to_picture(image)), self.opt.aspect_ratio)
        self.writer.add(picture, time_of_frame(path))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, at)
        except BaseException:
            self.writer.discard()
            raise
        if kind is not None:
            self.writer.discard()


class ResultPages(Results):
    """`<results_dir>/<name>/<phase>_<epoch>/index.html`, in pages of 100 rows."""

    def __init__(self, opt: Namespace, labels: Sequence[str]) -> None:
        super().__init__(opt)
        self.folder, self.labels = results_folder(opt), list(labels)
        self.title = f"{opt.name}, {opt.phase}, epoch {opt.epoch}"
        self.pages = self.rows = 0
        self.page = self._new_page()

    def has(self, path: str) -> bool:
        """Whether the images of all labels are there."""
        return all((self.page.img_dir / name).is_file() for name in self._files(path).values())

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Save the images as `images/<sub-folders and stem>_<label>.png` and add rows of them."""
        for number, path in enumerate(paths):
            for label, name in self._files(path).items():
                self.threads.submit(self._save, visuals[label][number], name)
            self.leave_out(path)

    def leave_out(self, path: str) -> None:
        """Add the row of a picture."""
        if self.rows == ROWS_PER_PAGE:
            self.page.add_links({"next page": _page_name(self.pages + 1)})
            self.page.save()
            self.page = self._new_page()
        self.rows += 1
        files = list(self._files(path).values())
        self.page.add_header(self._stem(path))
        self.page.add_images(files, self.labels, files, width=self.opt.display_winsize)

    def close(self) -> Path:
        """Write the last page; returns the first."""
        self.threads.finish()
        self.page.save()
        return self.folder / "index.html"

    def _save(self, image: Tensor, name: str) -> None:
        target = self.page.img_dir / name
        make_folder(target.parent)
        save_image(to_picture(image), target, self.opt.aspect_ratio)

    def _stem(self, path: str) -> str:
        inside = inside_input(path, self.opt)
        return inside.with_name(unique_stem(path, self.opt)).as_posix()

    def _files(self, path: str) -> dict[str, str]:
        stem = self._stem(path)
        return {label: f"{stem}_{label}.png" for label in self.labels}

    def _new_page(self) -> HTML:
        self.pages, self.rows = self.pages + 1, 0
        make_folder(self.folder)
        page = HTML(self.folder, self.title, file_name=_page_name(self.pages))
        if self.pages > 1:
            page.add_links({"previous page": _page_name(self.pages - 1)})
        return page


def inside_input(path: str, opt: Namespace) -> PurePosixPath:
    """The place of a picture below the input folder, without testA or the like at its head."""
    picture, root = Path(path), Path(opt.dataroot)
    if not picture.is_relative_to(root) or picture == root:
        return PurePosixPath(picture.name)
    parts = picture.relative_to(root).parts
    of_phase = {opt.phase, f"{opt.phase}A", f"{opt.phase}B"}
    if opt.dataset_mode != "single" and len(parts) > 1 and parts[0] in of_phase:
        parts = parts[1:]
    return PurePosixPath(*parts)


def unique_stem(path: str, opt: Namespace) -> str:
    """The stem of a picture; with its ending where an a.png stands beside an a.jpg."""
    picture = Path(path)
    if picture == Path(opt.dataroot):
        return picture.stem
    return _stems(str(picture.parent)).get(picture.name, picture.stem)


@lru_cache(maxsize=4)
def _stems(folder: str) -> dict[str, str]:
    """File name -> a stem of its own, for the pictures of a folder."""
    endings = set(Image.registered_extensions())
    names = sorted(name for name in os.listdir(folder) if Path(name).suffix.lower() in endings)  # noqa: PTH208
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = Path(name).stem
        while stem.lower() in taken:  # a.png and A.jpg are one file on Windows and macOS
            stem = f"{stem}_{Path(name).suffix[1:]}"
        taken.add(stem.lower())
        stems[name] = stem
    return stems


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
