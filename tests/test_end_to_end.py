"""The real commands on tiny images."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PATIENCE, TINY, picture
from PIL import Image

ROOT = Path(__file__).parent.parent
CYCLE_LABELS = ["real_A", "fake_B", "rec_A", "idt_B", "real_B", "fake_A", "rec_B", "idt_A"]
LOSS_LINE = re.compile(
    r"\(epoch: \d+, iters: \d+, time: \d+\.\d{3}, data: \d+\.\d{3}\) D_A: \d+\.\d{3} "
    r"G_A: \d+\.\d{3} cycle_A: \d+\.\d{3} idt_A: \d+\.\d{3} D_B: \d+\.\d{3} G_B: \d+\.\d{3} "
    r"cycle_B: \d+\.\d{3} idt_B: \d+\.\d{3} "
)


def command(script: str, *words: object, where: Path, **environment: str) -> tuple[int, str, str]:
    """Run a script; return its exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(ROOT / script), *map(str, words)],
        cwd=where,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def train(pictures: Path, *words: object, **environment: str) -> str:
    """Train tiny networks for two epochs; return what was printed."""
    given = [str(word) for word in words]
    flags = [*TINY, "--n_epochs", "1", "--n_epochs_decay", "1", "--print_freq", "2"]
    code, out, err = command(
        "01_train.py",
        *["--dataroot", pictures, "--model", "cycle_gan", "--num_threads", "1", *flags, *given],
        where=pictures.parent,
        **environment,
    )
    assert code == 0, err
    return out


@pytest.mark.slow
def test_precision_auto_in_both_programs(pictures: Path) -> None:
    """Both say what they chose in one line; the run stores that, so that it resumes alike."""
    out = train(pictures, "--precision", "auto", "--gpu_ids", "-1", "--n_epochs_decay", "0")
    (chosen,) = re.findall(r"--precision auto: (bf16|tf32) \(.+\)", out)
    run = pictures.parent / "checkpoints" / "experiment_name"
    assert json.loads((run / "train_opt.json").read_text())["precision"] == chosen
    code, out, err = command(
        *("02_inference.py", "--model", "test", "--precision", "auto", "--gpu_ids", "-1"),
        where=pictures.parent,
    )
    assert code == 0, err
    assert re.findall(r"--precision auto: (bf16|tf32) \(.+\)", out) == [chosen]
    assert json.loads((run / "test_opt.json").read_text())["precision"] == chosen


@pytest.mark.slow
def test_the_commands_that_users_type(pictures: Path) -> None:
    """Train, then translate with --model test --model_suffix and nothing else."""
    where = pictures.parent
    train(pictures, "--save_epoch_freq", "1", "--update_html_freq", "5")
    run = where / "checkpoints" / "experiment_name"
    names = {f"{epoch}_net_{net}.pth" for epoch in ("latest", 1, 2)
             for net in ("G_A", "G_B", "D_A", "D_B")}  # fmt: skip
    assert names <= {path.name for path in run.iterdir()}
    lines = (run / "loss_log.txt").read_text().splitlines()
    assert re.fullmatch(r"=+ Training Loss \(.+\) =+", lines[0])
    assert [bool(LOSS_LINE.fullmatch(line)) for line in lines[1:]] == [True] * 6  # of 10 images
    records = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    assert [r["total_iters"] for r in records] == [1, 2, 4, 6, 8, 10]
    assert {path.name for path in (run / "web" / "images").iterdir()} >= {
        f"epoch{epoch:03d}_{label}.png" for epoch in (1, 2) for label in CYCLE_LABELS
    }
    page = (run / "web" / "index.html").read_text()
    assert page.index("epoch 2") < page.index("epoch 1")

    # _B2 stands for epoch 2 of G_B, as _B180 does for 180
    code, out, err = command("02_inference.py", "--model", "test", "--model_suffix", "_B2",
                             where=where)  # fmt: skip
    assert code == 0, err
    assert "taking 2_net_G_B.pth" in out
    assert f"translating {pictures / 'testB'} with G_B" in out
    images = where / "results" / "experiment_name" / "test_2_B" / "images"
    assert {path.relative_to(images).as_posix() for path in images.rglob("*.png")} == {
        f"{stem}_{label}.png"
        for stem in ("testB_0", "deeper/testB_1")
        for label in ("real", "fake")
    }

    dataroot = pictures / "testA"
    code, _, err = command(
        *("02_inference.py", "--dataroot", dataroot, "--name", "experiment_name", "--model"),
        *("test", "--no_dropout", "--model_suffix", "_A", "--num_test", "1"),
        where=where,
    )
    assert code == 0, err
    images = where / "results" / "experiment_name" / "test_latest" / "images"
    assert len(list(images.rglob("*.png"))) == 2


def test_latest_net_G_B180_comes_before_epoch_180(pictures: Path) -> None:
    from importlib import import_module

    from models.networks import define_G
    from util.checkpoints.weights import save_weights

    run = pictures.parent / "runs" / "mine"
    run.mkdir(parents=True)
    torch.manual_seed(0)
    for name in ("latest_net_G_B180.pth", "180_net_G_B.pth"):
        save_weights(define_G(3, 3, 4, "resnet_6blocks", "instance"), run / name)
    words = ["--checkpoints_dir", str(run.parent), "--name", "mine", "--gpu_ids", "-1"]
    words += ["--dataroot", str(pictures / "testB"), "--results_dir", str(pictures.parent / "out")]
    inference = import_module("02_inference")
    assert inference.main([*words, "--model_suffix", "_B180"]) == 0
    assert (pictures.parent / "out" / "mine" / "test_latest_B180" / "index.html").is_file()
    (run / "latest_net_G_B180.pth").unlink()
    assert inference.main([*words, "--model_suffix", "_B180"]) == 0
    assert (pictures.parent / "out" / "mine" / "test_180_B" / "index.html").is_file()


@pytest.mark.slow
def test_workers_start_under_spawn(pictures: Path, tmp_path: Path) -> None:
    """Worker processes are spawned, as on Windows and macOS."""
    start = tmp_path / "site"
    start.mkdir()
    code = "import multiprocessing\nmultiprocessing.set_start_method('spawn', force=True)\n"
    (start / "sitecustomize.py").write_text(code)
    words = ("--num_threads", "2", "--n_epochs_decay", "0")
    train(pictures, *words, PYTHONPATH=str(start))
    spawned = (pictures.parent / "checkpoints/experiment_name/loss_log.txt").read_text()
    train(pictures, *words)
    forked = (pictures.parent / "checkpoints/experiment_name/loss_log.txt").read_text()

    def losses(text: str) -> list[str]:
        return [line.split(") ")[1] for line in text.splitlines()[1:]]

    assert losses(spawned) == losses(forked) != []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pix2pix", "colorization", "template"])
def test_the_other_models_train_and_translate(model: str, tmp_path: Path) -> None:
    for phase in ("train", "test"):
        (tmp_path / "data" / phase).mkdir(parents=True)
        for i in range(2):
            picture(i, 96 if model != "colorization" else 48, 48).save(
                tmp_path / "data" / phase / f"{i}.png"
            )
    flags = [*TINY, "--n_epochs", "1", "--n_epochs_decay", "0", "--num_threads", "0"]
    words = ["--dataroot", tmp_path / "data", "--model", model, *flags, "--update_html_freq", "1"]
    code, _, err = command("01_train.py", *words, where=tmp_path)
    assert code == 0, err
    code, _, err = command("02_inference.py", "--model", model, "--gpu_ids", "-1", where=tmp_path)
    assert code == 0, err
    labels = {
        "pix2pix": {"real_A", "fake_B", "real_B"},
        "colorization": {"real_A", "real_B_rgb", "fake_B_rgb"},
        "template": {"data_A", "data_B", "output"},
    }[model]
    images = tmp_path / "results" / "experiment_name" / "test_latest" / "images"
    assert {path.name for path in images.iterdir()} == {
        f"{stem}_{label}.png" for stem in "01" for label in labels
    }
    with Image.open(next(images.iterdir())) as shown:
        assert shown.size == (32, 32)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--dataroot", "nowhere"], 1, "(nor nowhere); give the folder that holds trainA"),
        (["--dataroot", "DATA/trainA"], 1, "give the folder that holds trainA"),
        (["--dataroot", "DATA", "--model", "pix2pix"], 1, "or --model cycle_gan"),
        (
            ["--dataroot", "PAIRS"],
            1,
            "or --model pix2pix --dataset_mode aligned for the pairs in train",
        ),
        (["--dataroot", "EMPTY"], 1, "trainA holds no image"),
        (["--dataroot", "DATA", "--netG", "vgg"], 2, "--netG"),
        (["--dataroot", "DATA", "--n_epochs", "0", "--n_epochs_decay", "0"], 2, "no epoch"),
        (["--dataroot", "DATA", "--model", "gan"], 2, "cycle_gan"),
        (["--dataroot", "DATA", "--gpu_ids", "99"], 1, "--gpu_ids 99: this machine has"),
        (["--dataroot", "DATA", "--continue_train", "--name", "new"], 1, "there is no run"),
        (["--dataroot", "DATA", "--dataset_mode", "single"], 2, "leave --dataset_mode out"),
        (["--dataroot", ""], 2, "--dataroot is empty"),
        (["--dataroot", "DATA", "--phase", "../train"], 2, "--phase ../train"),
        ([], 2, "--dataroot"),
    ],
)
def test_wrong_input_is_one_line_without_a_traceback(
    words: list[str], code: int, message: str, pictures: Path, capsys, monkeypatch
) -> None:
    from importlib import import_module

    from util.run.session import run_program

    monkeypatch.chdir(pictures.parent)
    run = pictures.parent / "checkpoints" / "experiment_name"
    run.mkdir(parents=True)
    (run / "latest_net_G_A.pth").write_bytes(b"precious")
    (run / "train_opt.txt").touch()
    (pictures.parent / "empty" / "trainA").mkdir(parents=True)
    (pictures.parent / "pairs" / "train").mkdir(parents=True)
    places = {"DATA": str(pictures), "EMPTY": str(pictures.parent / "empty")}
    places["PAIRS"] = str(pictures.parent / "pairs")
    argv = [re.sub("^(DATA|EMPTY|PAIRS)", lambda m: places[m[0]], word) for word in words]
    try:
        got = run_program(lambda: import_module("01_train").main(argv))
    except SystemExit as stop:
        got = stop.code
    err = capsys.readouterr().err
    assert (got, err.count("\n")) == (code, 1), err
    assert message in err
    assert sorted(path.name for path in run.iterdir()) == ["latest_net_G_A.pth", "train_opt.txt"]
    assert (run / "latest_net_G_A.pth").read_bytes() == b"precious"
    assert [path.name for path in run.parent.iterdir()] == ["experiment_name"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--model_suffix", "_C"], 1, "holds: latest_net_G_A.pth"),
        (["--model_suffix", "_A", "--netG", "resnet_9blocks"], 2, "give --netG resnet_6blocks"),
        (["--model_suffix", "_A", "--ngf", "64"], 2, "give --ngf 4"),
        (["--model_suffix", "_A", "--epoch", "7"], 1, "no 7_net_G_A.pth"),
        (["--model_suffix", "A"], 1, "did you mean --model_suffix _A?"),
        (["--model_suffix", "G_A"], 1, "did you mean --model_suffix _A?"),
        (["--epoch", "7"], 1, "--epoch 7: there is no 7_net_{G,G_A}.pth"),
        (["--epoch", "best"], 1, "no best_net_{G,G_A}.pth (a training with --eval_freq writes it)"),
        (["--load_iter", "5"], 1, "--load_iter 5: there is no iter_5_net_{G,G_A}.pth"),
        (["--name", "other"], 1, "holds: run"),
        (["--checkpoints_dir", "none"], 1, "exist; --checkpoints_dir says where runs are"),
        (["--dataroot", "missing.png"], 1, "--dataroot) missing.png: no such file or"),
        (["--dataroot", "x" * 300], 1, "no such file or folder"),
        (["--model", "cycle_gan"], 1, "no latest_net_G_B.pth"),
    ],
)
def test_wrong_input_of_inference(
    words: list[str], code: int, message: str, pictures: Path, capsys, monkeypatch
) -> None:
    from importlib import import_module

    from models.networks import define_G
    from util.checkpoints.weights import save_weights
    from util.run.session import run_program

    monkeypatch.chdir(pictures.parent)
    run = pictures.parent / "checkpoints" / "run"
    run.mkdir(parents=True)
    save_weights(define_G(3, 3, 4, "resnet_6blocks", "instance"), run / "latest_net_G_A.pth")
    argv = ["--name", "run", "--gpu_ids", "-1", "--dataroot", str(pictures), *words]
    code_got = run_program(lambda: import_module("02_inference").main(argv))
    err = capsys.readouterr().err
    assert (code_got, err.count("\n")) == (code, 1), err
    assert message in err
    assert not (pictures.parent / "results").exists()


@pytest.mark.slow
def test_every_level_of_an_image_survives_inference(tmp_path: Path) -> None:
    """`<stem>_real.png` of the results equals the input in every pixel."""
    from importlib import import_module

    from models.networks import define_G
    from util.checkpoints.weights import save_weights

    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    save_weights(define_G(3, 3, 4, "resnet_6blocks", "instance"), run / "latest_net_G.pth")
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    original = np.stack([levels, levels.T, levels[::-1]], axis=-1)
    (tmp_path / "in").mkdir()
    Image.fromarray(original).save(tmp_path / "in" / "x.png")
    words = ["--dataroot", str(tmp_path / "in"), "--preprocess", "none", "--gpu_ids", "-1"]
    words += ["--checkpoints_dir", str(tmp_path / "runs"), "--name", "run"]
    assert import_module("02_inference").main([*words, "--results_dir", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out/run/test_latest/images/x_real.png") as back:
        assert np.array_equal(np.asarray(back), original)


HELP = """
import contextlib, sys
from importlib import import_module
import torch, torchvision
before = set(sys.modules)
with contextlib.suppress(SystemExit):
    import_module(sys.argv[1]).main(["--help"])
print(*sorted(set(sys.modules) - before), sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("script", ["01_train", "02_inference"])
def test_help_imports_little_beside_torch(script: str) -> None:
    """PyTorch takes seconds to import; what only some runs need is imported where they need it."""
    command = [sys.executable, "-c", HELP, script]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "--dataroot" in done.stdout
    imported = {name.split(".")[0] for name in done.stderr.split()}
    ours = {script, "data", "models", "options", "util"}
    assert imported > ours
    others = imported - ours - set(sys.stdlib_module_names)
    assert others <= {"PIL", "dominate", "numpy", "torch", "torchvision", "psutil", "tqdm"}
    slow = ("torch._dynamo", "torch._inductor", "torch.onnx", "torch.utils.tensorboard")
    assert not [name for name in done.stderr.split() if name.startswith(slow)]
