"""What inference writes: pages, a folder of images, or a video."""

from argparse import Namespace
from collections.abc import Sequence

from ..video_files import is_video
from .folder import OutputFolder
from .pages import ResultPages
from .video import VideoResult


def make_results(opt: Namespace, labels: Sequence[str]) -> ResultPages | OutputFolder | VideoResult:
    """Return where results go: a video, the folder `--output`, or pages of the visuals `labels`."""
    if is_video(opt):
        return VideoResult(opt)
    return ResultPages(opt, labels) if opt.output is None else OutputFolder(opt)
