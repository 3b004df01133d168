"""Several processes share the images of an inference out, with the results of one."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest
from conftest import ROOT, picture
from test_inference_videos import describe, make_video
from tiny_runs import make_run, names, optional_package

sys.path.insert(0, str(Path(__file__).parent))

from jobs import Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
INFERENCE = ROOT / "02_inference.py"
FAILING = """
import os, runpy, sys
from util import ranks
from util.errors import UserError
from util.results.pages import ResultPages
add, calls = ResultPages.add, iter(range(1, 100))
def add_and_fail(self, *what):
    add(self, *what)
    if ranks.rank() == {rank} and next(calls) == 2:
        self.threads.finish()
        if {number}:
            os.kill(os.getpid(), {number})
        raise UserError("the disk is full")
ResultPages.add = add_and_fail
runpy.run_path({script!r}, run_name="__main__")
"""


def words(run: Path, job: Program, folder: Path, *more: str) -> list[str]:
    where = ["--checkpoints_dir", str(run.parent), "--name", run.name, "--gpu_ids", "-1"]
    where += ["--results_dir", str(job.where / "results"), "--dataroot", str(folder)]
    return [*where, "--seed", "5", *more]


def contents(job: Program) -> dict[str, bytes]:
    folder = job.where / "results"
    return {name: (folder / name).read_bytes() for name in names(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven images, of two sizes, one of them damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(7):
        picture(number, 40 + 8 * (number % 2), 36).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"damaged")
    return folder


@pytest.mark.slow
def test_pages_and_pixels_are_those_of_one_process_though_dropout_is_on(
    folder: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path, norm="batch", use_dropout=True)
    found = []
    for processes in (1, 3):
        job = Program(tmp_path / str(processes), INFERENCE)
        job.run(processes, *words(run, job, folder, "--batch_size", "2"), code=1)
        assert ("7 of 7 images on 3 of 3 processes" in job.output()) == (processes == 3)
        assert "1 of 7 images were skipped:" in job.output()
        found.append(contents(job))
    assert len(found[0]) == 14  # two images of each, the page and its source
    assert found[1] == found[0]


@pytest.mark.slow
def test_missing_translations_are_shared_out(folder: Path, tmp_path: Path) -> None:
    (folder / "3.png").unlink()
    run = make_run(tmp_path)
    found = []
    for processes in (1, 2):
        job = Program(tmp_path / str(processes), INFERENCE)
        output = ["--output", str(job.where / "results")]
        job.run(processes, *words(run, job, folder, *output, "--num_test", "4"))
        (job.where / "results/2.png").unlink()
        job.run(processes, *words(run, job, folder, *output, "--skip_existing"))
        assert "3 of 6 had their results already" in job.output()
        found.append(contents(job))
    assert list(found[0]) == [f"{number}.png" for number in (0, 1, 2, 4, 5, 6)]
    assert found[1] == found[0]


@pytest.mark.slow
def test_one_process_translates_a_video(tmp_path: Path) -> None:
    av = optional_package("av")
    video, job = tmp_path / "video.mp4", Program(tmp_path / "job", INFERENCE)
    make_video(video, av)
    job.run(2, *words(make_run(tmp_path), job, video, "--output", str(job.where / "results")))
    assert describe(job.where / "results/video.mp4", av) == describe(video, av)
    assert "12 of 12 frames on 1 of 2 processes" in job.output()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "number", "codes"),
    [
        (1, signal.SIGTERM, [143, 143]),
        (0, signal.SIGINT, [130, 130]),
        (1, 0, [1, 1]),
        (1, signal.SIGKILL, [1, -signal.SIGKILL]),
    ],
    ids=["SIGTERM", "SIGINT", "error", "SIGKILL"],
)
def test_all_processes_end_and_the_page_shows_what_is_complete(
    rank: int, number: int, codes: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for image in range(10):
        picture(image, 40, 36).save(folder / f"{image}.png")
    script = tmp_path / "script.py"
    script.write_text(FAILING.format(rank=rank, number=int(number), script=str(INFERENCE)))
    job = Program(tmp_path / "job", script)
    run = make_run(tmp_path)
    assert job.codes(2, *words(run, job, folder)) == codes, job.output()
    page = job.where / "results/run/test_latest"
    shown = re.findall(r'src="images/(\d)_fake.png"', (page / "index.html").read_text())
    done = sorted(file.name[0] for file in (page / "images").glob("*_fake.png"))
    assert 0 < len(done) < 10
    if number == signal.SIGKILL:  # rank 0 knows its own images alone
        assert shown == [name for name in "02468" if name in done]
        assert "error: process 0: another process of this run has ended" in job.output()
    else:
        assert shown == done
    assert ("error: process 1: the disk is full" in job.output()) == (number == 0)
    assert "Traceback" not in job.output()
    assert job.output().count("results so far") == 1
