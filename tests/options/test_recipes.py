"""--recipe: a set of flags that typed ones override and that a run keeps."""

import json
import logging
from collections.abc import Callable

import pytest

from models import create_model
from options import recipes
from options.base_options import option_defaults
from options.train_options import TrainOptions
from util.checkpoints.run_folder import (
    options_text,
    read_training_options,
    run_folder,
    store_options,
)
from util.errors import UsageError
from util.options import Options

Make = Callable[..., Options]
MODELS = ("cycle_gan", "pix2pix", "colorization", "cut")
TRIED = {"upsample": "resize", "ema": 0.9}


PUBLISHED = dict(recipes.RECIPES)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_recipe_fits_every_model_as_if_it_were_typed(
    name: str, model: str, train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "RECIPES", PUBLISHED)
    switches = [f"--{key}" for key, value in PUBLISHED[name].items() if value is True]
    others = {k: v for k, v in PUBLISHED[name].items() if not isinstance(v, bool)}
    words = [word for key, value in others.items() for word in (f"--{key}", str(value))]
    typed = train_opt("--model", model, *switches, *words)
    opt = train_opt("--model", model, "--recipe", name)
    assert opt.values() == {**typed.values(), "recipe": name}


@pytest.fixture(autouse=True)
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.RECIPES, "better", TRIED)


def stored(opt: Options) -> Options:
    store_options(run_folder(opt), opt, option_defaults(TrainOptions(), opt))
    return opt


def complete(opt: Options) -> Options:
    return TrainOptions().complete(opt)


def test_it_sets_flags_and_typed_ones_have_precedence(train_opt: Make) -> None:
    opt, plain = train_opt("--recipe", "better"), train_opt()
    assert {name for name in plain.values() if opt.values()[name] != plain.values()[name]} == {
        *("recipe", "upsample", "ema")
    }
    assert (opt.upsample, opt.ema) == ("resize", 0.9)
    assert "ema" not in opt.given
    opt = train_opt("--recipe", "better", "--ema", "0", "--suffix", "{upsample}")
    assert (opt.upsample, opt.ema) == ("resize", 0)
    assert opt.name == "experiment_name_resize"


def test_it_is_logged_and_stored(train_opt: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    opt = stored(complete(train_opt("--recipe", "better", "--ema", "0.5")))
    assert "--recipe better: --upsample resize --ema 0.5" in caplog.messages
    values = read_training_options(run_folder(opt))
    assert (values["recipe"], values["upsample"], values["ema"]) == ("better", "resize", 0.5)
    text = options_text(opt, option_defaults(TrainOptions(), opt))
    assert "resize                        \t[default: transposed]" in text
    caplog.clear()
    complete(train_opt("--name", "plain"))
    assert not [message for message in caplog.messages if "recipe" in message]


def test_switches_are_shown_as_they_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = {"skip_connections": True, "spectral_norm": False, "ema": 0.5}
    monkeypatch.setattr(recipes, "RECIPES", {"better": tried})
    assert recipes.recipes_text() == "better: --skip_connections --ema 0.5"


def test_a_run_keeps_the_flags_that_it_began_with(
    train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_model(stored(train_opt("--recipe", "better"))).save_networks("latest")
    monkeypatch.setitem(recipes.RECIPES, "better", {"ema": 0.7, "spectral_norm": True})
    for words in ((), ("--recipe", "better")):
        opt = complete(train_opt("--continue_train", *words))
        assert (opt.recipe, opt.upsample, opt.ema) == ("better", "resize", 0.9)
        assert not opt.spectral_norm
    path = run_folder(opt) / "train_opt.json"
    values = json.loads(path.read_text())
    del values["spectral_norm"]  # as if the flag were newer than the run
    path.write_text(json.dumps(values))
    for words in ((), ("--recipe", "better")):
        assert not complete(train_opt("--continue_train", *words)).spectral_norm
    stored(train_opt("--name", "plain"))
    with pytest.raises(UsageError, match="the run began without and keeps its flags"):
        complete(train_opt("--name", "plain", "--continue_train", "--recipe", "better"))


def test_a_recipe_is_refused_for_a_model_without_its_flags(
    train_opt: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(recipes.RECIPES, "better", {"lambda_GAN": 2.0})
    with pytest.raises(SystemExit):
        train_opt("--recipe", "better", "--model", "template")
    assert (
        "--recipe better sets --lambda_GAN, which --model template lacks" in capsys.readouterr().err
    )
