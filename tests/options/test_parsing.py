"""opt is checked and parsed without side effects; a mistake is one line, exit code 2."""

import argparse
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from models.template_model import TemplateModel
from options.base_options import BaseOptions, option_defaults
from options.test_options import INACTIVE as INACTIVE_IN_INFERENCE
from options.test_options import TestOptions
from options.train_options import INACTIVE as INACTIVE_IN_TRAINING
from options.train_options import TrainOptions
from util.checkpoints.run_folder import (
    claim_run_folder,
    options_text,
    read_training_options,
    run_folder,
    store_options,
)
from util.errors import UserError
from util.options import Options

BASE = ["--dataroot", "nowhere"]


def test_parsing_is_pure_and_repeatable(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    options = TrainOptions()
    first, second = options.parse(BASE), options.parse(BASE)
    assert first.values() == second.values()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_parse_reads_the_command_line_by_default(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["01_train.py", *BASE, "--ngf", "7"])
    assert TrainOptions().parse().ngf == 7


def test_opt_knows_what_was_typed() -> None:
    opt = TrainOptions().parse([*BASE, "--ngf", "64"])
    assert opt.given == {"dataroot", "ngf"}
    changed = opt.replace(ngf=3)
    assert (opt.ngf, changed.ngf) == (64, 3)
    assert pickle.loads(pickle.dumps(opt)).values() == opt.values()


def test_plugin_flags_come_with_their_plugin_alone() -> None:
    assert TrainOptions().parse([*BASE, "--model", "pix2pix", "--lambda_L1", "3"]).lambda_L1 == 3
    with pytest.raises(SystemExit):
        TrainOptions().parse([*BASE, "--lambda_L1", "3"])


def test_finished_values() -> None:
    opt = TrainOptions().parse([*BASE, "--gpu_ids", "0,2", "--suffix", "{netG}_{ngf}"])
    assert opt.gpu_ids == [0, 2]
    assert opt.isTrain is True
    assert opt.name == "experiment_name_resnet_9blocks_64"
    assert TestOptions().parse([]).isTrain is False


def test_inference_has_the_options_of_training_that_shared_code_reads() -> None:
    opt = TestOptions().parse([])
    assert {name: vars(opt)[name] for name in INACTIVE_IN_INFERENCE} == INACTIVE_IN_INFERENCE
    assert set(INACTIVE_IN_INFERENCE) <= set(vars(TrainOptions().parse(BASE)))


def test_training_has_the_options_of_inference_that_shared_code_reads() -> None:
    opt = TrainOptions().parse(BASE)
    assert {name: vars(opt)[name] for name in INACTIVE_IN_TRAINING} == INACTIVE_IN_TRAINING
    assert set(INACTIVE_IN_TRAINING) <= set(vars(TestOptions().parse([])))


def test_a_flag_of_a_plugin_wins_over_an_inactive_value(monkeypatch) -> None:
    def add_flags(parser: argparse.ArgumentParser, is_train: bool) -> argparse.ArgumentParser:
        parser.add_argument("--max_size" if is_train else "--accumulate", type=int, default=7)
        return parser

    monkeypatch.setattr(TemplateModel, "modify_commandline_options", staticmethod(add_flags))
    assert TrainOptions().parse([*BASE, "--model", "template"]).max_size == 7
    assert TestOptions().parse(["--model", "template", "--accumulate", "2"]).accumulate == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--crop_sise", "3"], "--crop_size"),
        (["--netG", "vgg"], "resnet_9blocks"),
        (["--model", "cyclegan"], "did you mean cycle_gan"),
        (["--dataset_mode", "x"], "unaligned"),
        (["--model", "test"], "02_inference.py"),
        (["--model", "foo"], "(there are: colorization, cut, cycle_gan, pix2pix, template) "),
        (["--n_epochs", "0", "--n_epochs_decay", "0"], "no epoch to train"),
        (["--accumulate", "2", "--compile", "reduce-overhead"], "use --compile default"),
        (["--grad_checkpoint", "--compile", "reduce-overhead"], "what --grad_checkpoint recompu"),
        (["--grad_checkpoint", "--compile", "max-autotune"], "what --grad_checkpoint recomputes"),
        (["--epoch_count", "201"], "beyond the last epoch, 200"),
        (["--n_epochs", "-1"], "--n_epochs -1: must not be negative"),
        (["--crop_size", "512"], "--crop_size 512 is larger than --load_size 286"),
        (["--netG", "unet_256", "--crop_size", "128"], "multiples of 256"),
        (["--netG", "unet_128", "--crop_size", "192"], "multiples of 128"),
        (["--crop_size", "62"], "multiples of 4"),
        (["--crop_size", "16"], "too small for --netD basic"),
        (
            ["--crop_size", "4", "--netD", "pixel"],
            "at least 8, not --crop_size 4; the nearest is 8",
        ),
        (["--preprocess", "crop", "--netG", "unet_256", "--crop_size", "300"], "nearest is 256"),
        (
            ["--preprocess", "scale_width_and_crop", "--netG", "unet_128", "--crop_size", "200"],
            "multiples of 128",
        ),
        (
            ["--preprocess", "scale_width", "--netG", "unet_256"],
            "--netG unet_256 takes sizes that are multiples of 256, at least 256, not "
            "--load_size 286; the nearest is 256",
        ),
        (["--preprocess", "scale_width", "--load_size", "16"], "--load_size 16 is too small for"),
        (["--max_bad_images", "5"], "--max_bad_images 5: must be a share, at most 1; 0.05 is 5 %"),
        (["--max_bad_images", "-0.1"], "--max_bad_images -0.1: must not be negative"),
        (["--batch_size", "0"], "--batch_size 0"),
        (["--lr", "nan"], "--lr nan"),
        (["--lr", "two"], "--lr"),
        (["--beta1", "1"], "--beta1 1"),
        (["--gpu_ids", "a"], "--gpu_ids a"),
        (["--suffix", "{nothing}"], "'nothing' is no option"),
        (["--suffix", "{netG.x}"], "--suffix {netG.x}: cannot be filled in"),
        (["--suffix", "{netG[x]}"], "--suffix {netG[x]}: cannot be filled in"),
        (["--seed", str(2**70)], f"--seed {2**70}: must be from 0 to 2**63 - 1"),
        (["--seed", "-1"], "--seed -1: must be from 0 to 2**63 - 1"),
        (["--epoch", "../other/latest"], "--epoch ../other/latest"),
        (["--dataset_mode", "single"], "leave --dataset_mode out"),
        (["--model", "cut", "--dataset_mode", "single"], "leave --dataset_mode out"),
        (["--print_freq", "0"], "--print_freq 0"),
        (["--display_port", "99999"], "--display_port 99999: must be from 1 to 65535"),
        (["--display_server", "http://localhost:abc"], "--display_server http://localhost:abc: "),
        (["--display_server", "ftp://box"], "--display_server ftp://box: is no address"),
        (["--display_server", "http://"], "--display_server http://: is no address"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_flag(words: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        TrainOptions().parse([*BASE, *words])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--preprocess", "scale_width", "--netG", "unet_256", "--load_size", "512"],
        ["--preprocess", "scale_width", "--netG", "unet_128", "--load_size", "127"],  # rounded
        ["--preprocess", "none", "--netG", "unet_256", "--crop_size", "300"],  # not used
        ["--max_bad_images", "0"],
        ["--max_bad_images", "1"],
    ],
)
def test_sizes_that_may_fit_are_accepted(words: list[str]) -> None:
    opt = TrainOptions().parse([*BASE, *words])
    assert {name.removeprefix("--") for name in words[::2]} <= opt.given


@pytest.mark.parametrize("crop", [24, 28, 32, 64])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_sizes_that_pass_the_check_can_be_trained(
    crop: int, norm: str, train_opt: Callable[..., Options]
) -> None:
    import torch

    from models.networks import define_D

    words = ["--crop_size", str(crop), "--load_size", str(crop), "--norm", norm]
    opt = train_opt(*words)
    scores = define_D(3, 4, opt.netD, opt.n_layers_D, norm)(torch.rand(1, 3, crop, crop))
    assert scores.numel() >= 1


def test_help_names_every_choice(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        TrainOptions().parse(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in ("resnet_9blocks", "wgangp", "--lambda_identity", "colorization", "scale_width"):
        assert word in text


def listed(options: type[BaseOptions], flag: str, capsys) -> str:
    """Return the help text of a flag on one line."""
    with pytest.raises(SystemExit):
        options().parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    start = re.search(rf" {flag} [A-Z{{]", text)
    assert start is not None
    return re.split(r" --[a-zA-Z_]+ [A-Z{]", text[start.end() :])[0]


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--num_test", "when not given, all of them"),
        ("--preprocess", "when not given, images keep their size"),
        ("--load_size", "when not given, --crop_size"),
        ("--crop_size", "when not given, that of the run"),
        ("--num_threads", "threads in inference; when not given, 2"),
        ("--netG", "when not given, read off the weight file"),
        ("--direction", "when not given, that of the run"),
        ("--gpu_ids", "when not given, GPU 0 where there is one"),
        ("--ndf", "training alone uses it"),
    ],
)
def test_help_shows_no_default_that_does_not_hold(flag: str, says: str, capsys) -> None:
    text = listed(TestOptions, flag, capsys)
    assert says in text
    assert "(default" not in text


def test_help_shows_the_defaults_that_hold(capsys) -> None:
    assert "(default: 286)" in listed(TrainOptions, "--load_size", capsys)
    assert "(default: 64)" in listed(TrainOptions, "--ngf", capsys)
    assert "(default: test)" in listed(TestOptions, "--model", capsys)


def test_help_of_training_lists_what_can_be_trained(capsys) -> None:
    models = "colorization, cut, cycle_gan, pix2pix, template"
    assert f"which model: {models}, or a file" in listed(TrainOptions, "--model", capsys)
    assert f"which model: {models}, test, or a file" in listed(TestOptions, "--model", capsys)


@pytest.mark.parametrize("words", [[], ["--model", "pix2pix"]])
def test_a_data_folder_is_required_unless_the_run_knows_it(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        TrainOptions().parse(words)
    assert "the following arguments are required: --dataroot" in capsys.readouterr().err
    assert TrainOptions().parse([*words, "--continue_train"]).dataroot is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--datarot", "x"], "unrecognized arguments: --datarot x; did you mean --dataroot?"),
        (["--datarot=x"], "unrecognized arguments: --datarot=x; did you mean --dataroot?"),
        ([*BASE, "x", "--nmae", "y"], "did you mean --name?"),  # a word before the flag
        (["--num_test", "5"], "--num_test is a flag of 02_inference.py"),
        (["--epochs", "5"], "did you mean --n_epochs?"),  # --epoch is nearer
        (["--learning-rate", "5"], "did you mean --lr?"),
        (["x", "--name", "y"], "unrecognized arguments: x; a flag takes at most one value"),
        ([*BASE, "--value_range", "-1,1"], "expected one argument; write --value_range=-1,1"),
        ([*BASE, "--lr", "0,0002"], "invalid float value: '0,0002'; write --lr 0.0002"),
    ],
)
def test_a_misspelt_flag_is_named_before_one_that_is_missing(
    words: list[str], message: str, capsys
) -> None:
    with pytest.raises(SystemExit, match="2"):
        TrainOptions().parse(words)
    err = capsys.readouterr().err
    assert message in err
    assert "required" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch_size", "0"], "--batch_size 0: must be above 0"),
        (["--num_threads", "-1"], "--num_threads -1: must not be negative"),
        (["--input", "a", "--dataroot", "b"], "--input and --dataroot are two names of one flag"),
        (["--input", ""], "--dataroot is empty"),
        (["--output", ""], "--output is empty"),
        (["--load_size", "32", "--crop_size", "64"], "give --load_size 64"),
        (["--phase", "../../x"], "--phase ../../x"),
        (["--aspect_ratio", "inf"], "--aspect_ratio inf: must be from 1/100 to 100"),
        (["--model", "cycle_gan", "--dataset_mode", "single"], "leave --dataset_mode out"),
    ],
)
def test_a_mistake_in_inference_names_the_flag_that_was_typed(
    words: list[str], message: str, capsys
) -> None:
    with pytest.raises(SystemExit, match="2"):
        TestOptions().parse(words)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_inference_without_a_name_asks_for_it(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    options = TestOptions()
    with pytest.raises(UserError, match=r"give --name: there is no run .*experiment_name"):
        options.complete(options.parse(["--input", "a.png", "--output", "b.PNG"]))
    assert "--output b.PNG is a folder" in caplog.text


def test_option_files_are_as_users_know_them_and_are_read_again(
    tmp_path: Path, train_opt: Callable[..., Options]
) -> None:
    options = TrainOptions()
    opt = train_opt("--netG", "unet_128", "--crop_size", "128", "--load_size", "128")
    defaults = option_defaults(options, opt)
    store_options(tmp_path, opt, defaults)
    lines = (tmp_path / "train_opt.txt").read_text().splitlines()
    assert lines[0] == "----------------- Options ---------------"
    assert lines[-1] == "----------------- End -------------------"
    names = [line.split(":")[0].strip() for line in lines[1:-1]]
    assert names == sorted(names)
    expected = (
        "                     netG: unet_128                      \t[default: resnet_9blocks]"
    )
    assert expected in lines
    assert f"{'beta1':>25}: {'0.5':<30}" in lines
    stored = read_training_options(tmp_path)
    assert stored["netG"] == "unet_128"
    (tmp_path / "train_opt.json").unlink()  # as a run of the reference leaves it
    from_text = read_training_options(tmp_path)
    assert {key: from_text[key] for key in ("netG", "ngf", "no_dropout", "lr", "dataroot")} == {
        key: stored[key] for key in ("netG", "ngf", "no_dropout", "lr", "dataroot")
    }
    assert "gpu_ids: -1" in options_text(opt, defaults)


@pytest.mark.parametrize("program", [TrainOptions, TestOptions])
def test_option_files_list_the_flags_of_the_program_alone(
    program: type[BaseOptions], tmp_path: Path
) -> None:
    options = program()
    opt = options.parse(BASE)
    defaults = option_defaults(options, opt)
    store_options(tmp_path, opt, defaults)
    flags = {action.dest for action in options.parser(BASE)._actions} - {"help"}
    kind = "train" if opt.isTrain else "test"
    stored = json.loads((tmp_path / f"{kind}_opt.json").read_text())
    assert set(stored) == {*flags, "isTrain"}  # isTrain: as the reference stores it
    lines = (tmp_path / f"{kind}_opt.txt").read_text().splitlines()[1:-1]
    assert {line.split(":")[0].strip() for line in lines} == set(stored)


def test_an_older_run_of_the_same_name_is_moved_aside(train_opt: Callable[..., Options]) -> None:
    opt = train_opt("--name", "twice")
    for number in range(3):
        claim_run_folder(opt, option_defaults(TrainOptions(), opt), resumes=False)
        (run_folder(opt) / "mark").write_text(str(number))
    runs = run_folder(opt).parent
    assert [(runs / name / "mark").read_text() for name in ("twice", "twice.1", "twice.2")] == [
        "2", "0", "1",
    ]  # fmt: skip


def test_the_cache_lies_beside_the_runs_unless_it_is_told_where(
    train_opt: Callable[..., Options], tmp_path: Path
) -> None:
    assert train_opt("--cache", "disk").cache_dir == str(tmp_path / "runs" / "cache")
    assert train_opt("--cache", "disk", "--cache_dir", "x").cache_dir == "x"


def test_a_run_has_an_environment_of_its_own_in_visdom(train_opt: Callable[..., Options]) -> None:
    assert train_opt("--name", "a/b").display_env == "a/b"
    assert train_opt("--name", "a", "--suffix", "{netG}").display_env == "a_resnet_6blocks"
    assert train_opt("--display_env", "main").display_env == "main"


def test_an_address_of_a_dashboard_that_is_off_is_not_looked_at(
    train_opt: Callable[..., Options],
) -> None:
    assert train_opt("--display_id", "0", "--display_port", "0").display_port == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cache_gb", "4"], r"--cache_gb 4 limits a cache, .* add --cache ram or --cache disk"),
        (["--cache", "ram", "--cache_gb", "0"], r"--cache_gb 0.0: must be above 0"),
        (["--cache", "ram", "--cache_dir", "x"], r"--cache_dir x is the folder of --cache disk"),
        (["--cache", "ram", "--cache_gb", "inf"], r"--cache_gb inf: leave it out"),
        (["--cache", "tape"], r"choose from .*none.*ram.*disk"),
    ],
)
def test_flags_of_a_cache_that_is_not_there_are_refused(
    words: list[str], message: str, train_opt: Callable[..., Options], capsys
) -> None:
    with pytest.raises(SystemExit) as stop:
        train_opt(*words)
    assert stop.value.code == 2
    assert re.search(message, capsys.readouterr().err)
