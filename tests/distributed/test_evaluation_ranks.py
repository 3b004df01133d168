"""Several processes evaluate as one does, and what one of them finds holds for all."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, picture
from tiny_runs import make_run, optional_package

sys.path.insert(0, str(Path(__file__).parent))

from jobs import ONE_CORE, Job, Program, epochs

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
EVALUATES = ["--eval_freq", "1", "--eval_metrics", "cycle,identity,l1"]
SCRIPT = """
import runpy, sys
sys.path[:0] = [{tests!r}, {scripts!r}]
from evaluation_images import tiny_extractor
tiny_extractor()  # in the registry of torch-fidelity
runpy.run_path({script!r}, run_name="__main__")
"""


def rows(job: Job) -> list[dict[str, Any]]:
    """What the training has recorded, without times."""
    lines = map(json.loads, (job.where / "run/metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if k not in ("seconds", "share")} for row in lines]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["instance", "syncbatch"])
def test_a_training_evaluates_on_all_processes_until_its_patience_ends(
    norm: str, pictures: Path, tmp_path: Path
) -> None:
    # weights that do not change: nothing improves after the first epoch
    words = [*EVALUATES, "--patience", "1", "--lr", "1e-30", "--save_epoch_freq", "9"]
    words += ["--norm", norm, *epochs(9)]
    (pictures / "testA/testA_2.png").write_bytes((pictures / "testA/testA_0.png").read_bytes())
    jobs = {}
    for processes, batch in ((1, "2"), (2, "1")):
        job = jobs[processes] = Job(tmp_path / str(processes), pictures)
        job.environment |= ONE_CORE
        job.run(processes, *words, "--batch_size", batch)
        assert job.output().count("--patience 1: 1 evaluations improved nothing") == 1
        assert job.state()["progress"]["epoch"] == 3
        assert (job.where / "run" / "2_net_G_A.pth").is_file()
    assert len(rows(jobs[1])) == 4
    assert rows(jobs[2]) == rows(jobs[1])


@pytest.mark.slow
def test_an_image_that_one_process_cannot_read_leaves_out_the_evaluation_of_all(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "testB/testB_0.png").write_bytes(b"damaged")
    job = Job(tmp_path / "job", pictures).run(2, *EVALUATES, *epochs(2))
    for epoch in (1, 2):
        assert job.output().count(f"epoch {epoch} is not evaluated (cannot read the image") == 1
    assert job.state()["progress"]["epoch"] == 3


@pytest.mark.slow
def test_the_script_has_the_same_figures_with_more_processes_than_images(tmp_path: Path) -> None:
    optional_package("torch_fidelity")
    run = make_run(tmp_path, "_A", "_B", norm="batch", use_dropout=True)
    for side, count in (("A", 2), ("B", 5)):
        folder = tmp_path / "data" / f"test{side}"
        folder.mkdir(parents=True)
        for number in range(count):
            picture(number + count, 40, 36).save(folder / f"{number}.png")
    (run / "train_opt.json").write_text(json.dumps({"dataroot": str(tmp_path / "data")}))
    wrapper = tmp_path / "script.py"
    paths = {"tests": ROOT / "tests", "scripts": ROOT / "scripts"}
    paths["script"] = ROOT / "scripts/evaluate.py"
    wrapper.write_text(SCRIPT.format(**{name: str(path) for name, path in paths.items()}))
    found = []
    for processes in (1, 3):
        job = Program(tmp_path / str(processes), wrapper)
        where = ["--checkpoints_dir", str(tmp_path / f"checkpoints{processes}"), "--name", "run"]
        (tmp_path / "checkpoints").rename(where[1])  # each without the features of the other
        words = ["--extractor", "tiny", "--gpu_ids", "-1", "--json", str(job.where / "figures")]
        job.run(processes, *where, *words)
        Path(where[1]).rename(tmp_path / "checkpoints")
        (tmp_path / "checkpoints/cache").rename(job.where / "cache")
        found.append(json.loads((job.where / "figures").read_text()))
        assert job.output().count("\nidentity error  ") == 2, job.output()
    assert found[1] == found[0]
    assert found[0]["comparisons"][1]["figures"]["latest"].keys() >= {"FID[tiny]", "L1"}
