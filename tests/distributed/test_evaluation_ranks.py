"""Several processes evaluate as one does, and what one of them finds holds for all."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jobs import Job, epochs

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.mark.slow
def test_patience_of_rank_0_ends_all_processes(pictures: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "job", pictures)
    words = ["--eval_freq", "1", "--eval_metrics", "cycle", "--patience", "1"]
    words += ["--lr", "1e-30", "--save_epoch_freq", "9"]  # nothing improves after the first epoch
    job.run(2, *words, *epochs(9))
    assert "--patience 1: 1 evaluations improved nothing" in job.output()
    assert job.state()["progress"]["epoch"] == 3
    assert (job.where / "run" / "2_net_G_A.pth").is_file()
