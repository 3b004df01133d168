"""The commands of docs/tutorial.md, one after the other, on small images and networks."""

import importlib
from pathlib import Path

import pytest
from conftest import TINY, picture
from script_modules import script
from test_pages import ROOT, commands

from util.run.session import run_program

ELSEWHERE = ("scripts/quickstart.py", "datasets/make_demo_dataset.py")
"""Programs that tests of their own run."""
SMALLER = {"01_train.py": [*TINY, "--num_threads", "0"], "02_inference.py": ["--gpu_ids", "-1"]}
CHANGED = {
    "compare_epochs": ["--gpu_ids", "-1"],
    "--eval_freq": ["--n_epochs", "10", "--n_epochs_decay", "0", "--eval_metrics", "cycle"],
    "--n_epochs_decay": ["--n_epochs_decay", "1"],
    "healthy": ["--n_epochs", "1", "--n_epochs_decay", "0"],
}
"""A word of a command -> what is shorter than in the tutorial."""


@pytest.mark.slow
def test_the_tutorial_leads_from_photos_to_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("trainA", "trainB", "testA", "testB"):
        for data in ("photos", "datasets/demo"):
            (tmp_path / data / folder).mkdir(parents=True)
            for number in range(2):
                image = picture(10 * len(folder) + number + ord(folder[-1]), 48, 40)
                image.save(tmp_path / data / folder / f"{number}.jpg")
    (tmp_path / "holiday").mkdir()
    picture(5, 64, 48).save(tmp_path / "holiday" / "beach.jpg")
    ran = 0
    for program, *words in commands(ROOT / "docs" / "tutorial.md"):
        if program not in ELSEWHERE:
            name = Path(program).stem
            module = script(name) if "/" in program else importlib.import_module(name)
            less = [more for word in (name, *words) for more in CHANGED.get(word, [])]
            whole = [*words, *SMALLER.get(program, []), *less]
            assert run_program(lambda main=module.main, whole=whole: main(whole)) == 0, whole
            ran += 1
    assert ran == 9
    assert (tmp_path / "checkpoints/winter/11_net_G_A.pth").is_file()
    assert (tmp_path / "checkpoints/winter/web/epochs.html").is_file()
    assert list((tmp_path / "results").rglob("index.html"))
    assert (tmp_path / "holiday_in_winter" / "beach.jpg").is_file()
