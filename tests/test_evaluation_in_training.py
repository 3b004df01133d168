"""Training with --eval_freq: figures, best weights, patience; and nothing else changes."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from equality import assert_same
from evaluation_images import tiny_extractor
from tiny_runs import infer, names

from util.checkpoints.training_state import read_state, write_state
from util.checkpoints.weights import read_weights
from util.run.evaluator import Evaluator, ended_by_patience
from util.run.session import run_program
from util.sinks.metrics_log import read_metrics

FLAGS = [*TINY, "--print_freq", "2", "--display_freq", "1000", "--num_threads", "0"]
FLAGS += ["--n_epochs", "3", "--n_epochs_decay", "0", "--save_latest_freq", "2"]
EVAL = ["--eval_freq", "1", "--eval_metrics", "l1,cycle,identity"]
DROPOUT = ["--model", "pix2pix", "--netG", "resnet_6blocks", "--dataset_mode", "unaligned"]


def train(pictures: Path, name: str, *more: str) -> int:
    """The exit code of 01_train.py, in this process."""
    return run_program(lambda: import_module("01_train").main(words(pictures, name, *more)))


def words(pictures: Path, name: str, *more: str) -> list[str]:
    runs = str(pictures.parent / "checkpoints")
    return ["--dataroot", str(pictures), "--checkpoints_dir", runs, "--name", name, *FLAGS, *more]


def folder(pictures: Path, name: str = "run") -> Path:
    return pictures.parent / "checkpoints" / name


@pytest.fixture
def paired(pictures: Path) -> Path:
    """The data folder, with the same names in testA and testB."""
    for file in list((pictures / "testB").rglob("*.png")):
        file.rename(file.with_name(file.name.replace("testB", "testA")))
    return pictures


def rows(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without their times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "share")} for row in lines]


def losses(run: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    return [(line["epoch"], line["iters"], line["losses"]) for line in lines]


@pytest.mark.parametrize(
    "more", [[], ["--norm", "batch"], DROPOUT], ids=["instance", "batch norm", "dropout"]
)
def test_losses_and_weights_are_those_without_evaluation(more: list[str], paired: Path) -> None:
    assert train(paired, "without", *more) == 0
    tiny_extractor()
    with_features = ["--eval_metrics", "fid,l1,cycle,identity", "--eval_extractor", "tiny"]
    assert train(paired, "with", *more, *EVAL, *with_features) == 0
    assert rows(folder(paired, "with"))
    assert losses(folder(paired, "with")) == losses(folder(paired, "without"))
    states = [
        read_state(folder(paired, name) / "training_state.pth") for name in ("with", "without")
    ]
    for state in states:
        del state["evaluation"]
    assert_same(*states)
    for name in names(folder(paired, "without")):
        if name.endswith(".pth") and "_net_" in name:
            first, second = (
                read_weights(folder(paired, run) / name) for run in ("with", "without")
            )
            assert_same(first, second, name)


def test_a_row_for_each_epoch_and_direction_and_the_best_weights_of_each(
    paired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(paired, "run", *EVAL, "--eval_freq", "2", "--save_epoch_freq", "1") == 0
    run = folder(paired)
    found = rows(run)
    assert [(row["epoch"], row["network"]) for row in found] == [
        *((2, "G_A"), (2, "G_B"), (3, "G_A"), (3, "G_B"))  # every second epoch, and the last
    ]
    assert list(found[0]["figures"]) == ["L1", "cycle error", "identity error"]
    assert found[0]["figures"]["L1"]["protocol"].startswith("2 pairs of the same name")
    best = json.loads((run / "best.json").read_text())
    assert best.keys() == {"G_A", "G_B"}
    for net, row in best.items():
        values = {r["epoch"]: r["figures"]["L1"]["value"] for r in found if r["network"] == net}
        assert row == {"epoch": min(values, key=values.get), "metric": "L1",
                       "value": min(values.values()),
                       "protocol": found[0]["figures"]["L1"]["protocol"]}  # fmt: skip
        stored = read_weights(run / f"{row['epoch']}_net_{net}.pth")
        assert_same(read_weights(run / f"best_net_{net}.pth"), stored)
    out = capsys.readouterr().out
    assert f"(epoch: 2, G_A) L1: {found[0]['figures']['L1']['value']:.2f}, cycle error: " in out
    assert out.count("% of the time so far") == 2


@pytest.mark.slow
def test_figures_are_those_of_the_script_for_the_stored_epoch(paired: Path) -> None:
    assert train(paired, "run", *EVAL, "--save_epoch_freq", "1", "--norm", "batch") == 0
    sys.path.insert(0, str(Path(__file__).parent / "scripts"))
    try:
        from test_evaluate import evaluate
    finally:
        sys.path.pop(0)
    argv = ("--name", "run", "--checkpoints_dir", paired.parent / "checkpoints", "--epoch", "all")
    out = paired.parent / "out.json"
    assert evaluate(*argv, "--metrics", "l1,cycle,identity", "--json", out) == 0
    comparisons = json.loads(out.read_text())["comparisons"]
    for row in rows(folder(paired)):
        figures = comparisons[["G_A", "G_B"].index(row["network"])]["figures"]
        for title, figure in figures[str(row["epoch"])].items():
            assert row["figures"][title]["value"] == pytest.approx(figure["value"], rel=1e-4)


def test_pix2pix_has_one_direction(paired: Path) -> None:
    assert train(paired, "run", *DROPOUT, *EVAL) == 0
    assert [row["network"] for row in rows(folder(paired))] == ["G"] * 3
    assert (folder(paired) / "best_net_G.pth").is_file()


@pytest.mark.parametrize(
    "words", [["--model", "test", "--model_suffix", "_B"], ["--model", "cycle_gan"]]
)
def test_inference_with_the_best_epoch(words: list[str], paired: Path) -> None:
    assert train(paired, "run", *EVAL) == 0
    best = json.loads((folder(paired) / "best.json").read_text())["G_B"]["epoch"]
    assert infer(paired.parent, "--epoch", "best", *words) == 0
    results = paired.parent / "results" / "run"
    (page,) = results.iterdir()
    assert page.name == ("test_best_B" if "test" in words else "test_best")
    assert best in (1, 2, 3)


def script_values(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Make L1 of both directions what `values` say, one for each evaluation."""
    measure, given = Evaluator._measure, iter(values)

    def scripted(self: Evaluator) -> Any:
        value, found = next(given), measure(self)
        for row in found.values():
            object.__setattr__(row["L1"], "value", value)
        return found

    monkeypatch.setattr(Evaluator, "_measure", scripted)


def test_patience_ends_the_run_and_says_why(
    paired: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script_values(monkeypatch, [5.0, 4.0, 4.0, 6.0, 3.0, 3.0, 3.0])
    more = [*EVAL, "--patience", "2", "--n_epochs", "9"]
    assert train(paired, "run", *more) == 0
    out = capsys.readouterr().out
    said = "--patience 2: 2 evaluations improved nothing; best: G_A epoch 2 (L1 4.000), G_B epoch 2"
    assert said in out
    run = folder(paired)
    assert [row["epoch"] for row in rows(run)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert (run / "4_net_G_A.pth").is_file()  # the last epoch is always stored
    assert train(paired, "run", *more, "--continue_train") == 0
    finished = "this run is finished; a larger --patience extends it"
    resumed = capsys.readouterr().out
    assert finished in resumed
    state = read_state(run / "training_state.pth")
    told = ended_by_patience(state, {"patience": 2, "eval_freq": 1})
    assert told in resumed and told.endswith(finished)
    assert len(rows(run)) == 8
    assert train(paired, "run", *more, "--continue_train", "--patience", "3") == 0
    assert json.loads((run / "best.json").read_text())["G_A"]["epoch"] == 5


def test_figures_of_another_protocol_begin_the_comparison_anew(
    paired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_values(monkeypatch, [3.0, 3.5, 5.0])
    assert train(paired, "run", *EVAL, "--n_epochs", "2") == 0
    assert json.loads((folder(paired) / "best.json").read_text())["G_A"]["epoch"] == 1
    assert train(paired, "run", *EVAL, "--continue_train", "--eval_max", "1") == 0
    best = json.loads((folder(paired) / "best.json").read_text())["G_A"]
    assert (best["epoch"], best["value"]) == (3, 5.0)
    assert best["protocol"].startswith("1 pairs")


def test_an_epoch_that_is_evaluated_again_after_a_kill_counts_as_an_improvement_again(
    paired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its snapshots, the weights from before the kill stay the best ones."""
    more = [*EVAL, "--save_epoch_freq", "9"]
    with monkeypatch.context() as patch:
        script_values(patch, [5.0, 4.0])
        die_in_epoch_2(patch, between_the_files=False)
        with pytest.raises(Killed):
            train(paired, "run", *more)
    script_values(monkeypatch, [4.0, 7.0])
    assert train(paired, "run", *more, "--continue_train", "--n_epochs", "3") == 0
    state = read_state(folder(paired) / "training_state.pth")
    assert state["evaluation"]["best"]["G_A"]["epoch"] == 2
    assert state["evaluation"]["waited"] == 1  # that of epoch 3


def test_a_best_epoch_without_a_protocol_is_compared_as_before(
    paired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_values(monkeypatch, [3.0, 3.5, 5.0])
    assert train(paired, "run", *EVAL, "--n_epochs", "2") == 0
    run = folder(paired)
    rows = json.loads((run / "best.json").read_text())
    state = read_state(run / "training_state.pth")
    for best in (*rows.values(), *state["evaluation"]["best"].values()):
        del best["protocol"]
    (run / "best.json").write_text(json.dumps(rows))
    write_state(run / "training_state.pth", state)
    assert train(paired, "run", *EVAL, "--continue_train") == 0
    assert json.loads((run / "best.json").read_text()) == rows


def test_patience_does_not_count_evaluations_without_a_figure(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # no two images of the test folders have the same name
    more = [*EVAL, "--eval_metrics", "psnr", "--patience", "1", "--n_epochs", "3"]
    assert train(pictures, "run", *more) == 0
    out = capsys.readouterr().out
    assert "--eval_metrics psnr: nothing could be measured on these images" in out
    assert "finished: epoch 3" in out


def test_an_evaluation_that_fails_does_not_harm_the_run(
    paired: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Evaluator) -> None:
        raise ValueError("no reason")

    monkeypatch.setattr(Evaluator, "_measure", fail)
    assert train(paired, "run", *EVAL) == 0
    assert "epoch 1 is not evaluated (no reason); the training continues" in capsys.readouterr().out
    assert (folder(paired) / "3_net_G_A.pth").is_file()


EPOCHS = ((1, 5.0), (2, 4.0), (2, 6.0))
"""The first epoch and its value, the second before a kill, and the second after it."""


class Killed(BaseException):
    """The process is gone."""


def die_in_epoch_2(patch: pytest.MonkeyPatch, between_the_files: bool) -> None:
    """Kill a run before its state is saved, or between the weights of G_A and best.json."""
    from util.run import evaluator
    from util.run.saver import Saver

    save_epoch, write_best, written = Saver.save_epoch, evaluator.write_best, []

    def die(*_: Any) -> None:
        raise Killed

    def save_the_first(self: Saver, epoch: int) -> None:
        die() if epoch == 2 else save_epoch(self, epoch)

    def write_but_the_last(folder: Path, best: Any) -> None:
        written.append(best)
        die() if len(written) == 6 else write_best(folder, best)

    patch.setattr(Saver, "save_epoch", save_the_first)
    if between_the_files:  # two for each direction and evaluation
        patch.setattr(evaluator, "write_best", write_but_the_last)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["evaluated", "saved", "in the next epoch"])
def test_a_killed_run_resumes_to_the_figures_of_one_never_killed(
    moment: str, paired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in epoch 2: before its state is saved, after it, and in the third epoch."""
    from util.run.saver import Saver

    more = [*EVAL, "--n_epochs", "4", "--patience", "3"]
    assert train(paired, "whole", *more) == 0
    save_epoch, save_latest = Saver.save_epoch, Saver.save_latest

    def die_in_save_epoch(self: Saver, epoch: int) -> None:
        if moment == "saved":
            save_epoch(self, epoch)
        if epoch == 2 and moment != "in the next epoch":
            raise Killed
        if moment != "saved":
            save_epoch(self, epoch)

    def die_in_save_latest(self: Saver) -> None:
        if self.progress.epoch == 3 and moment == "in the next epoch":
            raise Killed
        save_latest(self)

    with monkeypatch.context() as patch:
        patch.setattr(Saver, "save_epoch", die_in_save_epoch)
        patch.setattr(Saver, "save_latest", die_in_save_latest)
        with pytest.raises(Killed):
            train(paired, "killed", *more)
    assert train(paired, "killed", *more, "--continue_train") == 0
    whole, killed = folder(paired, "whole"), folder(paired, "killed")
    assert rows(whole) == rows(killed)
    assert (whole / "best.json").read_text() == (killed / "best.json").read_text()
    states = [read_state(run / "training_state.pth") for run in (whole, killed)]
    assert_same(states[0]["evaluation"], states[1]["evaluation"])
    for net in ("G_A", "G_B"):
        files = [read_weights(run / f"best_net_{net}.pth") for run in (whole, killed)]
        assert_same(*files)


@pytest.mark.parametrize("snapshots", [True, False], ids=["snapshots", "none"])
@pytest.mark.parametrize("moment", ["evaluated", "between the files"])
def test_best_weights_of_a_lost_epoch_are_replaced_or_known(
    moment: str,
    snapshots: bool,
    paired: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed in epoch 2, before its state is saved; what is measured then is worse."""
    more = [*EVAL, "--save_epoch_freq", "1" if snapshots else "9"]
    with monkeypatch.context() as patch:
        script_values(patch, [5.0, 4.0])
        die_in_epoch_2(patch, between_the_files=moment == "between the files")
        with pytest.raises(Killed):
            train(paired, "run", *more)
    capsys.readouterr()
    script_values(monkeypatch, [6.0, 7.0])
    assert train(paired, "run", *more, "--continue_train", "--n_epochs", "3") == 0
    run, said = folder(paired), "".join(capsys.readouterr())
    stored, first, lost, again = json.loads((run / "best.json").read_text()), *EPOCHS
    best = [(stored[net]["epoch"], stored[net]["value"]) for net in ("G_A", "G_B")]
    if snapshots:
        assert best == [first, first]
    else:  # between the files, that of G_A has no entry, and that of G_B is still the first
        assert best == ([lost, lost] if moment == "evaluated" else [again, first])
    assert said.count("does not know, and stay") == (0 if snapshots else 1)
    if snapshots:
        for net in ("G_A", "G_B"):
            files = [read_weights(run / f"{epoch}_net_{net}.pth") for epoch in ("1", "best")]
            assert_same(*files)


def test_curves_of_the_figures_in_gallery_and_history(paired: Path) -> None:
    assert train(paired, "run", *EVAL) == 0
    html = (folder(paired) / "web" / "index.html").read_text()
    for title in ("L1", "cycle error", "identity error"):
        assert f'data-name="{title} G_A"' in html
        assert f'data-name="{title} G_B"' in html
    records = list(read_metrics(folder(paired)))
    assert [record.epoch for record in records] == [1, 2, 3]
    assert list(records[0].figures) == ["G_A", "G_B"]
    assert train(paired, "run", *EVAL, "--continue_train", "--n_epochs", "4") == 0
    html = (folder(paired) / "web" / "index.html").read_text()
    path = next(line for line in html.splitlines() if 'data-name="L1 G_A"' in line)
    assert path.count("L") == 1 + 3  # the name, and three lines between four points


def test_without_torch_fidelity_it_says_what_to_install(
    paired: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    assert train(paired, "run", "--eval_freq", "1") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install torch-fidelity" in said
    assert not folder(paired).exists()
    assert train(paired, "run", *EVAL, "--n_epochs", "1") == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--eval_freq", "-1"], 2, "--eval_freq -1: must not be negative"),
        (["--eval_max", "0"], 2, "--eval_max 0: must be above 0"),
        (
            ["--eval_metrics", "kit"],
            2,
            "--eval_metrics kit: there is no such metric; did you mean kid?",
        ),
        (["--patience", "3"], 2, "--patience 3 counts evaluations: add --eval_freq"),
        (
            ["--eval_freq", "1", "--model", "colorization"],
            2,
            "unaligned or aligned, not colorization",
        ),
        (
            ["--eval_freq", "1", "--eval_extractor", "vgg61"],
            2,
            "--eval_extractor vgg61: there is no",
        ),
    ],
)
def test_mistakes_are_one_line(
    more: list[str], code: int, said: str, paired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "vgg61" in more:
        tiny_extractor()
    try:
        assert train(paired, "run", *more) == code
    except SystemExit as stop:
        assert stop.code == code
    assert said in capsys.readouterr().err


def test_a_missing_test_folder_is_said_at_the_start(
    paired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (paired / "testB").rename(paired / "gone")
    assert train(paired, "run", *EVAL) == 1
    assert "--dataroot: there is no folder" in capsys.readouterr().err
