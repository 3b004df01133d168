"""Whether a training resumes is decided once; a script that does not decide it gets weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models import create_model
from models.base_model import BaseModel
from models.pix2pix_model import Pix2PixModel
from options.base_options import option_defaults
from options.test_options import TestOptions
from options.train_options import TrainOptions
from options.training_run import _adopt_run, complete_training
from util import devices
from util.checkpoints.run_folder import run_folder, store_options
from util.checkpoints.training_state import state_path, write_state
from util.devices import choose_device
from util.errors import UsageError
from util.options import Options

Make = Callable[..., Options]


def save_run(opt: Options, with_state: bool) -> BaseModel:
    """Store the files of a run of one epoch; return its model."""
    model = create_model(opt)
    model.setup(opt)
    store_options(run_folder(opt), opt, option_defaults(TrainOptions(), opt))
    model.save_networks("latest")
    if with_state:
        progress = {"epoch": 2}
        write_state(
            state_path(run_folder(opt)), {"progress": progress, "model": model.training_state()}
        )
    return model


@pytest.mark.parametrize(
    ("words", "with_state", "resume"),
    [
        ([], True, ""),
        (["--start_from", "experiment_name", "--name", "new"], True, "weights"),
        (["--continue_train"], False, "weights"),
        (["--continue_train"], True, "state"),
        (["--continue_train", "--epoch", "latest"], True, "weights"),
    ],
)
def test_what_a_training_starts_from_is_decided_once(
    words: list[str], with_state: bool, resume: str, train_opt: Make
) -> None:
    save_run(train_opt(), with_state)
    opt = complete_training(train_opt(*words))
    assert opt.resume == resume
    # code that looks at the disk again would fail now
    state_path(run_folder(opt)).unlink(missing_ok=True)
    model = create_model(opt)
    model.setup(opt)
    assert opt.epoch_count == (2 if resume == "state" else 1)


def test_flags_of_a_resumed_run_may_be_typed_again(train_opt: Make) -> None:
    """They are compared with the other flags of the run, not with the defaults of those."""
    save_run(train_opt("--eval_freq", "2", "--n_epochs", "300"), with_state=False)
    again = ["--patience", "3", "--epoch_count", "250"]
    options = TrainOptions()
    where = ["--checkpoints_dir", train_opt().checkpoints_dir, "--continue_train", *again]
    opt = options.complete(options.parse(where))
    assert (opt.patience, opt.eval_freq, opt.epoch_count, opt.n_epochs) == (3, 2, 250, 300)
    with pytest.raises(UsageError, match="--patience 3 counts evaluations"):
        options.complete(options.parse([*where, "--eval_freq", "0"]))


def test_a_script_without_complete_training_gets_the_weights(train_opt: Make) -> None:
    stored = save_run(train_opt("--seed", "1"), with_state=True)
    torch.manual_seed(2)
    model = create_model(train_opt("--continue_train"))
    model.setup(model.opt)
    for mine, theirs in zip(model.weights(), stored.weights(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_architecture_is_read_for_every_model_that_names_its_networks(
    train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class of a model names its networks; no table in options/ does."""
    words = ["--norm", "instance", "--netD", "n_layers", "--n_layers_D", "2"]
    save_run(train_opt("--model", "pix2pix", "--name", "old", *words), with_state=False)
    start = ["--model", "pix2pix", "--start_from", "old", "--name", "new"]
    opt = complete_training(train_opt(*start))
    assert (opt.norm, opt.netD, opt.n_layers_D) == ("instance", "n_layers", 2)
    monkeypatch.setattr(Pix2PixModel, "discriminators", ())
    opt = complete_training(train_opt(*start))
    assert (opt.norm, opt.netD) == ("instance", "basic")
    monkeypatch.setattr(Pix2PixModel, "generators", ())  # as of a plug-in with networks of its own
    assert complete_training(train_opt(*start)).norm == "batch"


def test_the_size_suits_the_network_that_is_read(train_opt: Make, tmp_path: Path) -> None:
    size = ["--model", "pix2pix", "--crop_size", "128", "--load_size", "128"]
    save_run(train_opt(*size, "--netG", "unet_128", "--name", "old"), with_state=False)
    argv = ["--dataroot", "x", "--checkpoints_dir", str(tmp_path / "runs"), *size]
    argv += ["--start_from", "old", "--name", "new"]
    assert complete_training(TrainOptions().parse(argv)).netG == "unet_128"
    with pytest.raises(UsageError, match="--netG unet_128 takes sizes that are multiples of 128"):
        complete_training(TrainOptions().parse([*argv, "--crop_size", "64"]))


@pytest.mark.parametrize("name", ["cycle_gan", "pix2pix", "colorization", "template"])
def test_the_names_of_networks_are_those_that_a_model_has(name: str, train_opt: Make) -> None:
    model = create_model(train_opt("--model", name, "--netG", "resnet_6blocks"))
    assert [*model.generators, *model.discriminators] == model.model_names


def test_a_run_that_continues_has_the_flags_of_its_data_set(train_opt, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "experiment_name"
    folder.mkdir(parents=True)
    stored = {"dataset_mode": "shards", "shard_streams": 3, "dataroot_B": "B-{0..3}.tar"}
    stored |= {"shard_images": None, "shard_shuffle": 9, "dataroot": "A-{0..3}.tar"}
    (folder / "train_opt.json").write_text(json.dumps(stored))
    argv = ["--continue_train", "--checkpoints_dir", str(tmp_path / "runs")]
    opt = _adopt_run(TrainOptions().parse(argv))
    assert {name: vars(opt)[name] for name in stored} == stored


def test_a_run_with_a_suffix_tells_its_own_data_set(train_opt: Make, tmp_path: Path) -> None:
    save_run(train_opt("--name", "run", "--dataset_mode", "aligned"), with_state=False)
    save_run(train_opt("--name", "run", "--suffix", "x"), with_state=False)
    words = ["--checkpoints_dir", str(tmp_path / "runs"), "--name", "run", "--model", "cycle_gan"]
    for more, kind in (([], "aligned"), (["--suffix", "x"], "unaligned")):
        assert TestOptions().parse([*words, *more]).dataset_mode == kind
    opt = TestOptions().parse([*words, "--align_data", "--suffix", "x"])
    assert (opt.dataset_mode, "dataset_mode" in opt.given) == ("aligned", True)
    typed = TestOptions().parse([*words, "--dataset_mode", "aligned"])
    assert "dataset_mode" in typed.given
    long = ["--checkpoints_dir", "x" * 300, "--name", "run", "--model", "cycle_gan"]
    assert TestOptions().parse(long).dataset_mode == "unaligned"


def test_flags_of_the_model_of_the_run_can_be_typed_as_it_continues(
    train_opt: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    save_run(train_opt("--name", "a run", "--model", "cut", "--lambda_NCE", "3"), with_state=True)
    words = ["--name", "a run", "--continue_train", "--lambda_NCE", "2"]
    opt = complete_training(train_opt(*words))
    assert (opt.model, opt.lambda_NCE, opt.nce_T) == ("cut", 2, 0.07)
    assert not opt.given & {"model", "dataset_mode"}
    assert "changed since the run began: --lambda_NCE 2.0, was 3.0" in caplog.messages


def test_what_a_run_that_is_resumed_cannot_change(
    train_opt: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    save_run(train_opt("--name", "a run"), with_state=True)
    words = ["--name", "a run", "--continue_train"]
    with pytest.raises(UsageError, match=r"--ngf 9 .*: --name NEW --start_from ['\"]a run['\"]$"):
        complete_training(train_opt(*words, "--ngf", "9"))
    with pytest.raises(UsageError, match=r"--model cut .*begin a new run: --name NEW without"):
        complete_training(train_opt(*words, "--model", "cut"))
    complete_training(train_opt(*words, "--init_type", "xavier"))
    assert "--init_type has no effect: the weights of the run are loaded" in caplog.messages
    assert "changed since" not in caplog.text


@pytest.mark.parametrize("stored", ["tf32", "bf16"])
def test_a_run_resumes_in_the_precision_that_it_began_in_on_every_machine(
    stored: str, train_opt: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    save_run(train_opt("--precision", stored), with_state=True)
    other = {"tf32": "bf16", "bf16": "tf32"}[stored]
    monkeypatch.setattr(devices, "fast_precision", lambda _device: (other, "another machine"))
    words = ["--continue_train", "--precision", "auto"]
    opt = choose_device(complete_training(train_opt(*words)))
    assert opt.precision == stored
    assert f"--precision auto: {stored}, as the run began" in caplog.messages
    assert "changed since the run began" not in caplog.text
    # weights alone may be trained with whatever is fast here
    opt = choose_device(complete_training(train_opt(*words, "--epoch", "latest")))
    assert opt.precision == other


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("http://me:secret@host:1/x", "http://host:1/x"),
        ("https://me:s@cret@host", "https://host"),
        ("me:secret@host", "host"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_password_of_the_dashboard_is_stored_nowhere(
    typed: str, kept: str, train_opt: Make, caplog
) -> None:
    caplog.set_level("INFO")
    opt = train_opt("--display_server", typed)
    save_run(opt, with_state=True)
    assert opt.display_server == kept
    stored = run_folder(opt) / "train_opt.json"
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "display_server": typed}))
    again = complete_training(train_opt("--continue_train", "--display_server", typed))
    assert again.display_server == kept
    assert complete_training(train_opt("--continue_train")).display_server == kept
    for file in (run_folder(opt) / "train_opt.txt", state_path(run_folder(opt))):
        assert b"cret@" not in file.read_bytes()
    assert "cret@" not in caplog.text
