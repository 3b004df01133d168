"""Flags of older generations, and of the other program, are accepted or explained in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.template_model import TemplateModel
from options.base_options import BaseOptions, option_defaults
from options.inference_run import adopt_from_run
from options.old_flags import UNUSED, UNUSED_IN_INFERENCE
from options.test_options import TestOptions
from options.train_options import TrainOptions
from options.training_run import complete_training
from util.checkpoints.run_folder import options_text, read_training_options
from util.old_names import RENAMED, SWITCHES
from util.options import Options

BASE = ["--dataroot", "nowhere"]
Make = Callable[..., Options]


def error(options: type[BaseOptions], words: list[str], capsys) -> str:
    """Return the line on stderr of a command line that is refused with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        options().parse(words)
    assert stop.value.code == 2
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--niter", "7"], "n_epochs", 7),
        (["--niter=7"], "n_epochs", 7),
        (["--niter_decay", "7"], "n_epochs_decay", 7),
        (["--batchSize", "2"], "batch_size", 2),
        (["--loadSize", "300"], "load_size", 300),
        (["--fineSize", "128"], "crop_size", 128),
        (["--cropSize", "128"], "crop_size", 128),
        (["--nThreads", "2"], "num_threads", 2),
        (["--which_direction", "BtoA"], "direction", "BtoA"),
        (["--which_model_netG", "resnet_6blocks"], "netG", "resnet_6blocks"),
        (["--which_model_netD", "pixel"], "netD", "pixel"),
        (["--which_epoch", "5"], "epoch", "5"),
        (["--identity", "0.1"], "lambda_identity", 0.1),
        (["--resize_or_crop", "scale_width_and_crop"], "preprocess", "scale_width_and_crop"),
        (["--display_single_pane_ncols", "2"], "display_ncols", 2),
        (["--tf_log"], "use_tensorboard", True),
        (["--no_lsgan"], "gan_mode", "vanilla"),
        (["--align_data"], "dataset_mode", "aligned"),
        (["--lr_policy", "lambda"], "lr_policy", "linear"),
        (["--lr_policy=lambda"], "lr_policy", "linear"),
        (["--use_dropout"], "no_dropout", False),
        (["--model", "pix2pix", "--lambda_A", "50"], "lambda_L1", 50.0),
        (["--lambda_A", "50"], "lambda_A", 50.0),
        (["--loadS", "300"], "load_size", 300),
        (["--niter_d", "7"], "n_epochs_decay", 7),
    ],
)
def test_an_old_flag_of_training_sets_its_successor(
    words: list[str], name: str, value: object
) -> None:
    opt = TrainOptions().parse([*BASE, *words])
    assert getattr(opt, name) == value
    assert opt.given == {"dataroot", name} | ({"model"} & {words[0].removeprefix("--")})
    stored = options_text(opt, option_defaults(TrainOptions(), opt))
    assert f"{name}: {value}" in stored
    assert not any(f" {old}: " in stored for old in RENAMED if old not in vars(opt))


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--how_many", "7"], "num_test", 7),
        (["--which_epoch", "5"], "epoch", "5"),
        (["--which_model_netG", "unet_256"], "netG", "unet_256"),
        (["--model", "one_direction_test"], "model", "test"),
        (["--model=one_direction_test"], "model", "test"),
        (["--how_many", "7", "--ntest", "inf"], "num_test", 7),
        (["--how_many", "7", "--display_id", "-1", "--identity=0"], "num_test", 7),
    ],
)
def test_an_old_flag_of_inference_sets_its_successor(
    words: list[str], name: str, value: object
) -> None:
    opt = TestOptions().parse(words)
    assert getattr(opt, name) == value
    assert opt.given == {name}


def test_a_command_line_of_2017_runs() -> None:
    words = "--dataroot facades --name facades --model pix2pix --which_model_netG unet_256"
    words += " --which_direction BtoA --lambda_A 100 --dataset_mode aligned --no_lsgan"
    words += " --norm batch --pool_size 0 --batchSize 1 --loadSize 286 --fineSize 256 --nThreads 2"
    words += " --niter 100 --niter_decay 100 --gpu_ids 0 --display_id 0 --lr_policy lambda"
    opt = TrainOptions().parse(words.split())
    assert (opt.netG, opt.direction, opt.lambda_L1, opt.gan_mode) == (
        "unet_256", "BtoA", 100.0, "vanilla",
    )  # fmt: skip


def test_one_line_names_the_successors(caplog: pytest.LogCaptureFixture) -> None:
    TrainOptions().parse([*BASE, "--niter", "7", "--no_lsgan", "--ntest", "3"])
    assert caplog.messages == [
        "old flags: --niter is now --n_epochs, --no_lsgan is now --gan_mode vanilla, "
        "--ntest has no effect"
    ]


def test_old_flags_are_not_in_help(capsys) -> None:
    for options in (TrainOptions, TestOptions):
        with pytest.raises(SystemExit, match="0"):
            options().parse(["--help"])
        text = capsys.readouterr().out
        own = {"lambda_A"}  # also a flag of cycle_gan today
        listed = [old for old in {*RENAMED, *SWITCHES, "use_dropout"} - own if f"--{old} " in text]
        assert not listed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--niter", "5", "--n_epochs", "6"], "--niter 5 and --n_epochs 6 contradict each other"),
        (["--n_epochs=6", "--niter=5"], "--n_epochs 6 and --niter 5 contradict each other"),
        (["--no_lsgan", "--gan_mode", "lsgan"], "--no_lsgan and --gan_mode lsgan contradict"),
        (["--use_dropout", "--no_dropout"], "--use_dropout and --no_dropout contradict"),
        (["--fineSize", "64", "--cropSize", "32"], "--fineSize 64 and --cropSize 32 contradict"),
        (["--n_epo", "6"], "ambiguous option: --n_epo could match --n_epochs, --n_epochs_decay"),
        (["--niter", "many"], "argument --n_epochs: invalid int value: 'many'"),
        (["--which_model_netG", "vgg"], "argument --netG: invalid choice: 'vgg'"),
        (["--nit", "5"], "unrecognized arguments: --nit 5"),
        (["--wich_direction", "BtoA"], "did you mean --which_direction?"),
        (["--nitter", "5"], "did you mean --niter?"),
        (["--load_sise", "5"], "did you mean --load_size?"),
    ],
)
def test_a_mistake_with_an_old_flag_is_one_line(words: list[str], message: str, capsys) -> None:
    assert message in error(TrainOptions, [*BASE, *words], capsys)


def test_an_old_and_a_new_flag_may_agree() -> None:
    words = ["--identity", "0.50", "--lambda_identity", "0.5", "--no_lsgan", "--gan_mode=vanilla"]
    opt = TrainOptions().parse([*BASE, *words])
    assert (opt.lambda_identity, opt.gan_mode) == (0.5, "vanilla")


def test_a_flag_of_a_plugin_wins_over_an_old_one(monkeypatch) -> None:
    def add_flags(parser, is_train):
        parser.add_argument("--identity", type=str, default="")
        parser.add_argument("--use_dropout", type=float, default=0.0)
        return parser

    monkeypatch.setattr(TemplateModel, "modify_commandline_options", staticmethod(add_flags))
    words = ["--model", "template", "--identity", "keep", "--use_dropout", "0.3"]
    opt = TrainOptions().parse([*BASE, *words])
    assert (opt.identity, opt.use_dropout) == ("keep", 0.3)


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (TrainOptions, ["--results_dir", "x"], "--results_dir is a flag of 02_inference.py"),
        (TrainOptions, ["--eval"], "--eval is a flag of 02_inference.py"),
        (TrainOptions, ["--input", "photos"], "--input is a flag of 02_inference.py"),
        (TrainOptions, ["--output=x"], "--output is a flag of 02_inference.py"),
        (TrainOptions, ["--how_many", "3"], "is now --num_test, a flag of 02_inference.py"),
        (TrainOptions, ["--model_suffix", "_A"], "--model_suffix is a flag of 02_inference.py"),
        (
            TrainOptions,
            ["--lambda_L1", "1"],
            "--lambda_L1 is a flag of --model colorization or pix2pix",
        ),
        (TestOptions, ["--lr", "1"], "--lr is a flag of 01_train.py"),
        (TestOptions, ["--lambda_A", "1"], "--lambda_A is a flag of 01_train.py"),
        (TestOptions, ["--niter", "1"], "--niter is now --n_epochs, a flag of 01_train.py"),
        (
            TestOptions,
            ["--model", "cycle_gan", "--model_suffix", "_A"],
            "--model_suffix is a flag of --model test",
        ),
    ],
)
def test_a_flag_of_another_program_or_model_is_explained(
    options: type[BaseOptions], words: list[str], message: str, capsys
) -> None:
    line = error(options, [*BASE, *words], capsys)
    assert message in line
    assert "did you mean" not in line


OLD_RUN = """------------ Options -------------
batchSize: 1
dataroot: {dataroot}
display_single_pane_ncols: 0
fineSize: 32
gpu_ids: -1
identity: 0.25
isTrain: {is_train}
loadSize: 36
lr_policy: lambda
model: cycle_gan
nThreads: 2
n_layers_D: 3
ndf: 4
ngf: 4
niter: 3
niter_decay: 4
no_lsgan: True
norm: instance
resize_or_crop: crop
use_dropout: False
which_direction: BtoA
which_epoch: latest
which_model_netD: basic
which_model_netG: resnet_6blocks
-------------- End ----------------
"""


def old_run(folder: Path, name: str, data: Path, is_train: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(OLD_RUN.format(dataroot=data, is_train=is_train))


@pytest.mark.parametrize("name", ["opt.txt", "train_opt.txt"])
def test_a_run_of_2017_is_continued_with_its_options(
    name: str, train_opt: Make, pictures: Path, tmp_path: Path
) -> None:
    from models import create_model

    model = create_model(train_opt("--name", "old"))
    model.save_networks("latest")
    old_run(tmp_path / "runs" / "old", name, pictures)
    words = ["--checkpoints_dir", str(tmp_path / "runs"), "--name", "old", "--gpu_ids", "-1"]
    opt = complete_training(TrainOptions().parse([*words, "--continue_train", "--niter", "9"]))
    assert (opt.n_epochs, opt.n_epochs_decay, opt.lambda_identity) == (9, 4, 0.25)
    assert (opt.netG, opt.direction, opt.gan_mode, opt.lr_policy) == (
        "resnet_6blocks", "BtoA", "vanilla", "linear",
    )  # fmt: skip
    assert (opt.load_size, opt.crop_size, opt.preprocess) == (36, 32, "crop")
    assert (opt.no_dropout, opt.dataroot, opt.display_ncols) == (True, str(pictures), 0)

    opt = adopt_from_run(TestOptions().parse([*words, "--model_suffix", "_A"]))
    assert opt.dataroot == str(pictures / "testB")  # BtoA: G_A translates B
    assert (opt.netG, opt.ngf) == ("resnet_6blocks", 4)


def test_options_that_testing_wrote_over_those_of_training_are_not_taken(
    tmp_path: Path, pictures: Path
) -> None:
    old_run(tmp_path / "run", "opt.txt", pictures, is_train=False)
    assert read_training_options(tmp_path / "run") == {}


def test_an_old_run_of_pix2pix_has_its_l1_weight(tmp_path: Path) -> None:
    text = "model: pix2pix\nlambda_A: 50.0\nno_lsgan: False\nepoch: latest\nwhich_epoch: 5\n"
    (tmp_path / "train_opt.txt").write_text(text)
    assert read_training_options(tmp_path) == {
        "model": "pix2pix", "lambda_L1": 50.0, "epoch": "latest",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "suffix", "message"),
    [
        (["latest_net_G_A"], "A", "did you mean --model_suffix _A?"),
        (["latest_net_G_A"], "G_A", "did you mean --model_suffix _A?"),
        (["180_net_G_B"], "B180", "did you mean --model_suffix _B180?"),
        (["latest_net_G"], "_A", "latest_net_G.pth; leave out --model_suffix"),
        (["latest_net_G_A"], "_C", "latest_net_G_A.pth"),
    ],
)
def test_a_suffix_without_a_file_is_explained(
    files: list[str], suffix: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in files:
        (folder / f"{name}.pth").touch()
    words = ["--checkpoints_dir", str(tmp_path), "--name", "run", "--model_suffix", suffix]
    opt = TestOptions().parse([*BASE, *words])
    with pytest.raises(ValueError, match="there is no latest_net_") as raised:
        adopt_from_run(opt)
    assert str(raised.value).endswith(message)


def test_the_table_for_owners_of_forks_names_every_old_flag() -> None:
    page = Path(__file__).parents[2] / "docs/migrating.md"
    table = page.read_text(encoding="utf-8").split("## Flags")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    successors = {**RENAMED, **{old: f"{new} {value}" for old, (new, value) in SWITCHES.items()}}
    for old, new in successors.items():
        assert any(f"`--{old}`" in row[0] and f"`--{new}`" in row[1] for row in rows), old
    for old in ("use_dropout", *UNUSED, *UNUSED_IN_INFERENCE):
        assert any(f"`--{old}`" in row[0] for row in rows), old


def test_a_flag_of_this_program_without_its_value_has_no_hint(capsys) -> None:
    line = error(TestOptions, ["--dataroot"], capsys)
    assert "argument --dataroot/--input: expected one argument (--help" in line
