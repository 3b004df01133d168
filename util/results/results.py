"""Where translated images go, and under which names: what pages, folder and video share."""

import hashlib
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import TracebackType

from PIL import Image

from ..array_files import NPY_ENDING
from ..checkpoints.weights import AVERAGED
from ..files import clipped
from ..images import Visual
from ..threads import Threads, cpu_cores
from .written_files import refuse_inputs

MAX_WRITERS = 8
"""Threads; more only compete with the network for the cores."""
TRANSLATION = "fake"
"""The label that `--model test` gives to its output."""
DEFAULT_SUFFIX = "_A"
"""The generator that a run of cycle_gan translates with by default."""
LONGEST_STEM = 225
"""Bytes; file systems take 255, of which a label and an ending take some."""

Visuals = Mapping[str, Visual]
Row = tuple[int, str]
"""The place of an input among all, and its path."""


def results_folder(opt: Namespace) -> Path:
    """Return `<results_dir>/<name>/<phase>_<epoch>[_iter<N>]`, which differs for each generator.

    `_ema` follows where its averaged weights translate, `_ensemble8` with --self_ensemble 8.

    `--model test` adds the suffix of its generator, unless that is `_A`: both directions translate
    images of the same name to files of the same name, and the default has the reference's folder.
    """
    iteration = f"_iter{opt.load_iter}" if opt.load_iter > 0 else ""
    suffix = opt.model_suffix if opt.model == "test" else ""
    generator = "" if suffix == DEFAULT_SUFFIX else suffix
    averaged = AVERAGED if opt.ema else ""
    copies = f"_ensemble{opt.self_ensemble}" if opt.self_ensemble > 1 else ""
    folder = f"{opt.phase}_{opt.epoch}{iteration}{generator}{averaged}{copies}"
    return Path(opt.results_dir) / opt.name / folder


class Results:
    """Saves images in other threads, in bounded memory.

    As a context manager it finishes the images that are being written however the block is left.
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.threads = Threads(min(MAX_WRITERS, max(2, cpu_cores() // 2)))
        self.failures: list[str] = []
        """The messages about images that could not be encoded."""
        self.rows: list[Row] = []
        """The inputs whose results a page shows."""
        self.complete = 0
        """How many of the rows, from the first, have all their files."""

    def targets(self, path: str) -> list[Path]:
        """Return the files of the results of the input `path`."""
        raise NotImplementedError

    def refuse_overwriting(self, paths: Sequence[str], inputs: Iterable[str]) -> None:
        """Raise UsageError where the results of `paths` would replace one of the `inputs`."""
        refuse_inputs((file for path in paths for file in self.targets(path)), inputs)

    def has(self, path: str) -> bool:
        """Return whether the results of the input `path` exist already."""
        raise NotImplementedError

    def add(
        self, visuals: Visuals, paths: Sequence[str], places: Sequence[int] | None = None
    ) -> None:
        """Save the images of a batch, each (N, C, H, W) in [-1, 1], translated from N files.

        `places` are those of the files among all inputs, by default the next ones.
        """
        raise NotImplementedError

    def add_existing(self, path: str, place: int | None = None) -> None:
        """Record an input whose results exist already."""

    def take(self, rows: list[Row], failures: list[str]) -> None:
        """Let the rows, whose files are there, and failures be those of all processes."""
        self.rows, self.complete, self.failures = rows, len(rows), failures

    def close(self) -> Path | None:
        """Write what is still unwritten; returns the path of the results, None without any."""
        raise NotImplementedError

    def interrupted(self) -> None:
        """Tidy up what is incomplete; called where the block is left by an exception."""

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


def relative_to_input(path: str, opt: Namespace) -> PurePosixPath:
    """Return the path of an image relative to the input folder, without a leading testA or such."""
    image, root = Path(path), Path(opt.dataroot)
    if not image.is_relative_to(root) or image == root:
        return PurePosixPath(image.name)
    parts = image.relative_to(root).parts
    phase_folders = {opt.phase, f"{opt.phase}A", f"{opt.phase}B"}
    if opt.dataset_mode != "single" and len(parts) > 1 and parts[0] in phase_folders:
        parts = parts[1:]
    return PurePosixPath(*parts)


def unique_stem(path: str, opt: Namespace) -> str:
    """Return the stem of an image file, with its extension where a.png is beside a.jpg.

    One of more than LONGEST_STEM bytes is cut, and ends with a hash of the whole.
    """
    image = Path(path)
    if image == Path(opt.dataroot) or not image.is_file():  # a plug-in may name what is no file
        return shortened(image.stem)
    return shortened(_stems(str(image.parent)).get(image.name, image.stem))


def shortened(stem: str) -> str:
    """Return a stem of at most LONGEST_STEM bytes, with a hash in the place of what exceeds it."""
    content = os.fsencode(stem)
    if len(content) <= LONGEST_STEM:
        return stem
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return f"{clipped(stem, LONGEST_STEM - len(digest) - 1)}~{digest}"


def results_exist(targets: Iterable[Path], path: str) -> bool:
    """Return whether the files of the results of the input `path` exist.

    Where another input of its folder has the same stem, they may be results of that one: the input
    must not have come after them.
    """
    image, stats = Path(path), []
    for target in targets:
        if not target.is_file():
            return False
        stats.append(target.stat())
    if not image.is_file() or image.stem.lower() not in _shared_stems(str(image.parent)):
        return True
    return all(image.stat().st_ctime <= stat.st_mtime for stat in stats)


@lru_cache(maxsize=4)
def _shared_stems(folder: str) -> frozenset[str]:
    """Return the stems, in lower case, that several images of a folder have."""
    counts = Counter(Path(name).stem.lower() for name in _stems(folder))
    return frozenset(stem for stem, count in counts.items() if count > 1)


@lru_cache(maxsize=4)
def _stems(folder: str) -> dict[str, str]:
    """Return file name -> a stem that no other file has, for the images of a folder."""
    extensions = {*Image.registered_extensions(), NPY_ENDING}
    names = sorted(name for name in os.listdir(folder) if Path(name).suffix.lower() in extensions)  # noqa: PTH208
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = Path(name).stem
        while stem.lower() in taken:  # a.png and A.jpg are one file on Windows and macOS
            stem = f"{stem}_{Path(name).suffix[1:]}"
        taken.add(stem.lower())
        stems[name] = stem
    return stems
