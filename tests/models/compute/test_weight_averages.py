"""--ema: averaged weights of the generators, stored, resumed, evaluated and used."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from golden_figures import image
from tiny_runs import infer, names, pixels

from models import create_model, current_generators
from util.checkpoints.weights import read_weights
from util.errors import UsageError
from util.options import Options
from util.run.session import run_program
from util.sinks.samples import translate_samples

Make = Callable[..., Options]
DECAY = 0.75  # and 1 - 0.75 are exact


def batch(seed: int) -> dict[str, Any]:
    images = {"A": image(seed, 1, 3, 32), "B": image(seed + 1, 1, 3, 32)}
    return {**images, "A_paths": ["a.png"], "B_paths": ["b.png"]}


def made(opt: Options) -> Any:
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    return model


def step(model: Any, number: int) -> None:
    model.set_input(batch(2 * number))
    model.optimize_parameters()


def weights(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


@pytest.mark.parametrize(("norm", "steps"), [("instance", 0), ("instance", 100), ("batch", 25)])
def test_an_average_is_that_of_its_equation(norm: str, steps: int, train_opt: Make) -> None:
    model = made(train_opt("--ema", str(DECAY), "--norm", norm))
    expected = weights(model.netG_B)
    model.averages.resume(dict.fromkeys(model.averages.networks, steps))
    for number in range(3):
        step(model, number)
        decay = min(DECAY, (1 + steps + number) / (10 + steps + number))
        for key, now in weights(model.netG_B).items():
            averaged = now.is_floating_point() and "running" not in key
            mean = decay * expected[key] + (1 - decay) * now
            expected[key] = mean if averaged else now
    for key, value in weights(model.netG_B_ema).items():
        torch.testing.assert_close(value, expected[key], msg=key)
    assert not torch.equal(model.netG_A_ema.model[1].weight, model.netG_A.model[1].weight)
    assert "D_A_ema" not in model.model_names


def test_the_training_itself_is_the_same(train_opt: Make) -> None:
    plain, averaged = made(train_opt()), made(train_opt("--ema", "0.9"))
    for model in (plain, averaged):
        step(model, 0)
        step(model, 1)
    for name in plain.model_names:
        for key, value in weights(getattr(plain, f"net{name}")).items():
            assert torch.equal(value, getattr(averaged, f"net{name}").state_dict()[key])


def test_it_changes_as_often_as_the_optimizer_steps(train_opt: Make) -> None:
    model = made(train_opt("--ema", "0.5", "--accumulate", "2"))
    first = weights(model.netG_A_ema)
    step(model, 0)
    assert torch.equal(model.netG_A_ema.state_dict()["model.1.weight"], first["model.1.weight"])
    step(model, 1)
    assert not torch.equal(model.netG_A_ema.state_dict()["model.1.weight"], first["model.1.weight"])


def test_evaluation_measures_the_averages(train_opt: Make) -> None:
    model = made(train_opt("--ema", "0.5"))
    step(model, 0)
    images = image(7, 1, 3, 32)
    with torch.no_grad():
        expected = model.netG_A_ema(images)
        assert not torch.equal(expected, model.netG_A(images))
    torch.testing.assert_close(current_generators(model)["G_A"](images), expected)


def test_the_fixed_images_are_those_of_the_averages(train_opt: Make) -> None:
    model = made(train_opt("--ema", "0.5"))
    step(model, 0)
    net = model.netG_A
    (shown,) = translate_samples(model, [batch(2)])
    with torch.no_grad():
        expected = model.netG_A_ema(batch(2)["A"])
        assert not torch.allclose(expected, net(batch(2)["A"]), atol=1e-3)
    torch.testing.assert_close(shown["fake_B"], expected)
    assert model.netG_A is net


def test_a_state_without_averages_lets_them_begin_at_the_weights(train_opt: Make) -> None:
    plain = made(train_opt())
    step(plain, 0)
    model = made(train_opt("--ema", "0.5"))
    model.load_training_state(plain.training_state())
    assert torch.equal(model.netG_A_ema.model[1].weight, plain.netG_A.model[1].weight)


def test_averages_that_are_loaded_without_a_state_last(pictures: Path) -> None:
    assert run_training(pictures, "run", "--ema", "0.5", "--lr", "0.01") == 0
    more = ("--start_from", "run", "--ema", "0.999", "--lr", "0.01")
    assert run_training(pictures, "tuned", *more) == 0
    loaded, average, now = (
        read_weights(pictures.parent / "checkpoints" / f"{name}.pth")["model.1.weight"]
        for name in (
            "run/latest_net_G_A_ema",
            "tuned/latest_net_G_A_ema",
            "tuned/latest_net_G_A",
        )
    )
    # 5 steps add at most 0.005 of the distance that the weights have come
    assert 0 < (average - loaded).abs().max() < 0.01 * (now - loaded).abs().max()


@pytest.mark.parametrize("decay", ["1", "-0.1"])
def test_the_decay_is_a_share(decay: str, train_opt: Make) -> None:
    with pytest.raises(SystemExit):
        train_opt("--ema", decay)


def test_a_model_without_generators_is_refused(train_opt: Make) -> None:
    opt = train_opt("--ema", "0.5", "--model", "template")
    model = create_model(opt)
    model.generators, model.model_names = (), ["X"]
    with pytest.raises(UsageError, match="--ema averages generators, and --model template"):
        model.setup(opt)


def run_training(pictures: Path, name: str, *words: str) -> int:
    where = ["--dataroot", str(pictures), "--name", name]
    where += ["--checkpoints_dir", str(pictures.parent / "checkpoints")]
    flags = ["--n_epochs", "1", "--n_epochs_decay", "0", "--num_threads", "0", "--no_html"]
    argv = [*where, *TINY, *flags, *words]
    return run_program(lambda: import_module("01_train").main(argv))


def test_the_programs_store_evaluate_and_use_averages(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--ema", "0.5", "--eval_freq", "1", "--eval_metrics", "cycle", "--lr", "0.01")
    assert run_training(pictures, "run", *words) == 0
    where, run = pictures.parent, pictures.parent / "checkpoints" / "run"
    for epoch in ("latest", "1", "best"):
        assert {f"{epoch}_net_G_A_ema.pth", f"{epoch}_net_G_B_ema.pth"} <= set(names(run))
    assert infer(where, "--model_suffix", "_A") == 0
    assert infer(where, "--model_suffix", "_A", "--ema") == 0
    results = where / "results" / "run"
    plain, averaged = (
        pixels(results / f"test_latest{ending}" / "images" / "testA_0_fake.png")
        for ending in ("", "_ema")
    )
    assert abs(plain - averaged).max() > 0
    for ending in ("", "_ema"):
        page = (results / f"test_latest{ending}" / "index.html").read_text(encoding="utf-8")
        assert f">latest_net_G_A{ending}.pth<" in page
    assert infer(where, "--model", "cycle_gan", "--ema", "--epoch", "best") == 0
    # fine-tuning from weights without averages: they begin there
    assert run_training(pictures, "tuned", "--start_from", str(run / "latest_net_G_A.pth")) == 0
    capsys.readouterr()
    tuned = where / "checkpoints" / "tuned"
    assert not list(tuned.glob("*_ema.pth"))
    source = ("--name", "tuned", "--model_suffix", "_A", "--ema")
    assert infer(where, *source) == 1
    assert "--ema: there is no latest_net_G_A_ema.pth" in capsys.readouterr().err
    assert (
        run_training(pictures, "again", "--start_from", "tuned", "--ema", "0.9", "--lr", "1e-9")
        == 0
    )
    assert "start fresh" not in capsys.readouterr().out
    begun, kept = (
        read_weights(where / "checkpoints" / f"{name}.pth")["model.1.weight"]
        for name in ("tuned/latest_net_G_A", "again/latest_net_G_A_ema")
    )
    torch.testing.assert_close(kept, begun, rtol=0, atol=1e-5)
