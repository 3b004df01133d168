"""Opening videos with PyAV (optional package `av`), and names for their frames."""

import os
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UsageError, UserError
from .files import list_folder

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
OLDEST, WITH_ANY_TITLE = 17, 19
"""Versions of PyAV: the oldest that converts by the colour matrix of a video, and the first that
needs no setting for titles."""
OTHER_VIDEOS = (
    *(".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v"),
    *(".3gp", ".3g2", ".ogv", ".rm", ".rmvb", ".mxf", ".y4m", ".divx", ".qt"),
)
"""Extensions of videos that are not read, so that a message can say so."""


def is_video(opt: Namespace) -> bool:
    """Return whether `opt.dataroot` is a video, by its extension; a plug-in reads its own files."""
    return _ends_with(VIDEO_EXTENSIONS, opt)


def refuse_other_videos(opt: Namespace) -> None:
    """Raise UsageError where `opt.dataroot` is a file with the extension of another video."""
    if _ends_with(OTHER_VIDEOS, opt) and os.path.isfile(opt.dataroot):  # noqa: PTH113 - long names
        raise UsageError(
            f"--input {opt.dataroot}: videos are read from {', '.join(VIDEO_EXTENSIONS)}; "
            "convert it, for example: ffmpeg -i VIDEO NEW.mp4"
        )


def _ends_with(extensions: tuple[str, ...], opt: Namespace) -> bool:
    if opt.dataset_mode not in ("single", "unaligned", "aligned", "colorization"):
        return False
    return opt.dataroot is not None and str(opt.dataroot).lower().endswith(extensions)


def import_av() -> ModuleType:
    """Import PyAV. Raises UserError that says what to install where it is missing or too old."""
    try:
        import av
        import av.logging
    except ImportError:
        raise UserError("videos need the package PyAV: pip install av") from None
    if _version(av) < OLDEST:
        raise UserError(
            f"PyAV {av.__version__} may shift the colours of HD videos: pip install --upgrade av"
        )
    # older versions of torchvision let FFmpeg's decoder threads log through Python: closing a
    # container while they decode would hang, as it keeps Python's lock, which they wait for
    av.logging.set_level(None)
    return av


def open_video(path: Path) -> Any:
    """Open the container of a video file. Raises UserError where it cannot be read."""
    av = import_av()
    if path.exists() and not path.is_file():  # a pipe, for instance, could block
        raise UserError(f"cannot read the video {path} (not a regular file)")
    try:
        # `12:30.mp4` alone looks like an address
        container = av.open(str(path.absolute()), **_for_any_title(av))
    except FileNotFoundError:
        raise UserError(f"there is no video {path}; {list_folder(path.parent)}") from None
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the video {path} ({reason}): the file is damaged or no video"
        ) from error
    if not container.streams.video:
        container.close()
        raise UserError(f"{path} holds no video")
    return container


def _for_any_title(av: ModuleType) -> dict[str, str]:
    """Return the settings with which titles in other encodings than UTF-8 are no error."""
    return {} if _version(av) >= WITH_ANY_TITLE else {"metadata_errors": "replace"}


def _version(av: ModuleType) -> int:
    return int(av.__version__.partition(".")[0])


def name_of_frame(path: Path, time: int, duration: int) -> str:
    """Return `<video>@<time>+<duration>` of a frame, in units of the stream's time base."""
    return f"{path}@{time}+{duration}"


def time_of_frame(name: str) -> tuple[int, int]:
    """Return the time and the duration, 0 where it is not known, of a frame from its name."""
    time, duration = name.rpartition("@")[2].split("+")
    return int(time), int(duration)
