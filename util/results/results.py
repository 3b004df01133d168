"""Where translated pictures go, and under which names: what pages, folder and video share."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import TracebackType

from PIL import Image
from torch import Tensor

from ..threads import Threads, cpu_cores

MOST_WRITERS = 8
TRANSLATION = "fake"
"""The label that `--model test` gives to its output."""
USUAL_SUFFIX = "_A"
"""The generator that a run of cycle_gan translates with unless another is asked for."""

Visuals = Mapping[str, Tensor]


def results_folder(opt: Namespace) -> Path:
    """`<results_dir>/<name>/<phase>_<epoch>[_iter<N>]`, of one generator alone.

    The generator of `--model test` adds its suffix, unless that is `_A`: both directions translate
    images of the same name to files of the same name, and the usual direction has the usual folder.
    """
    iteration = f"_iter{opt.load_iter}" if opt.load_iter > 0 else ""
    suffix = opt.model_suffix if opt.model == "test" else ""
    generator = "" if suffix == USUAL_SUFFIX else suffix
    folder = f"{opt.phase}_{opt.epoch}{iteration}{generator}"
    return Path(opt.results_dir) / opt.name / folder


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

    def add_existing(self, path: str) -> None:
        """Take note of a picture that has its results already."""

    def close(self) -> Path:
        """Save what is left to save; returns where to look."""
        raise NotImplementedError

    def interrupted(self) -> None:
        """Leave what is complete in order; called where the block is left by an exception."""

    def __enter__(self) -> "Results":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self.threads.__exit__(kind, error, at)
        except BaseException:
            self.interrupted()
            raise
        if kind is not None:
            self.interrupted()


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
