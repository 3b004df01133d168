"""CUTModel: its losses, the defaults of its modes, mirrored steps, and what it writes."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from golden_figures import image
from rounding import assert_near, tolerance
from tiny_runs import infer, names

from models import create_model
from options.train_options import TrainOptions
from util.errors import UsageError
from util.options import Options
from util.run.session import run_program

Make = Callable[..., Options]
CUT = ("--model", "cut", "--num_patches", "16")
FAST = (*CUT, "--CUT_mode", "FastCUT")


def batch(seed: int = 0, size: int = 32) -> dict[str, Any]:
    images = {"A": image(seed, 1, 3, size), "B": image(seed + 1, 1, 3, size)}
    return {**images, "A_paths": ["a.png"], "B_paths": ["b.png"]}


def made(opt: Options) -> Any:
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    model.set_input(batch())
    return model


def test_each_mode_has_its_published_defaults() -> None:
    parse = TrainOptions().parse
    both = {"nce_layers": "0,4,8,12,16", "num_patches": 256, "nce_T": 0.07, "netF_nc": 256}
    both |= {"netF": "mlp_sample", "lambda_GAN": 1, "pool_size": 0, "no_dropout": True}
    both |= {"gan_mode": "lsgan", "init_type": "xavier", "netG": "resnet_9blocks"}
    both["nce_includes_all_negatives_from_minibatch"] = False
    cut = {"lambda_NCE": 1, "nce_idt": True, "flip_equivariance": False}
    fast = {"lambda_NCE": 10, "nce_idt": False, "flip_equivariance": True}
    for words, expected, epochs in (((), cut, (200, 200)), (("fastcut",), fast, (150, 50))):
        mode = ["--CUT_mode", *words] if words else []
        opt = parse(["--dataroot", "unused", "--model", "cut", *mode])
        assert {k: getattr(opt, k) for k in (both | expected)} == both | expected
        assert (opt.n_epochs, opt.n_epochs_decay) == epochs
    typed = ["--nce_idt", "--lambda_NCE", "3", "--flip_equivariance", "false", "--n_epochs", "7"]
    opt = parse(["--dataroot", "unused", "--model", "cut", "--CUT_mode", "FastCUT", *typed])
    assert (opt.nce_idt, opt.lambda_NCE, opt.flip_equivariance, opt.n_epochs) == (True, 3, False, 7)


def test_losses_images_and_networks_are_the_published_ones(train_opt: Make) -> None:
    model = made(train_opt(*CUT))
    model.optimize_parameters()
    model.check_declared_names()
    losses = model.get_current_losses()
    assert list(losses) == ["G_GAN", "D_real", "D_fake", "G", "NCE", "NCE_Y"]
    assert list(model.get_current_visuals()) == ["real_A", "fake_B", "real_B", "idt_B"]
    assert model.model_names == ["G", "F", "D"]
    expected = losses["G_GAN"] + (losses["NCE"] + losses["NCE_Y"]) / 2
    assert losses["G"] == pytest.approx(expected, rel=tolerance())
    fast = made(train_opt(*FAST))
    fast.optimize_parameters()
    losses = fast.get_current_losses()
    assert list(losses) == ["G_GAN", "D_real", "D_fake", "G", "NCE"]
    assert losses["G"] == pytest.approx(losses["G_GAN"] + losses["NCE"], rel=tolerance())
    assert list(fast.get_current_visuals()) == ["real_A", "fake_B", "real_B"]
    assert made(train_opt(*CUT, "--netF", "sample")).model_names == ["G", "D"]


@pytest.mark.parametrize("words", [("--lambda_NCE", "3"), ("--lambda_GAN", "3")])
def test_each_weight_scales_its_losses(words: tuple[str, str], train_opt: Make) -> None:
    plain, changed = made(train_opt(*CUT)), made(train_opt(*CUT, *words))
    for model in (plain, changed):
        model.optimize_parameters()
    scaled = {"--lambda_NCE": {"NCE", "NCE_Y"}, "--lambda_GAN": {"G_GAN"}}[words[0]]
    expected = plain.get_current_losses()
    for name, value in changed.get_current_losses().items():
        if name != "G":
            factor = 3 if name in scaled else 1
            assert value == pytest.approx(factor * expected[name], rel=tolerance()), name


def test_a_step_trains_all_networks_and_keys_give_no_gradient(train_opt: Make) -> None:
    model = made(train_opt(*CUT))
    before = [weight.detach().clone() for weight in model.weights()]
    model.optimize_parameters()
    for net in (model.netG, model.netF, model.netD):
        changed = [not torch.equal(w, b) for w, b in zip(model.weights(), before, strict=True)]
        assert any(changed), net
    source = model.real_A.clone().requires_grad_()
    translated = image(5, 1, 3, 32).requires_grad_()
    model.nce_loss(source, translated, mirrored=False).backward()
    assert source.grad is None
    assert translated.grad is not None


def test_features_of_mirrored_images_are_mirrored_back(train_opt: Make) -> None:
    model = made(train_opt(*FAST, "--nce_layers", "0", "--num_patches", "9999"))
    A, losses = model.real_A, []
    for image_B, mirrored in ((A, False), (A.flip(3), True), (A.flip(3), False)):
        losses.append(float(model.nce_loss(A, image_B, mirrored).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=tolerance())
    assert losses[2] > 2 * losses[1]


@pytest.mark.parametrize("words", [FAST, (*CUT, "--flip_equivariance")])
def test_half_of_the_steps_translate_mirrored_images_and_show_them_upright(
    words: tuple[str, ...], train_opt: Make
) -> None:
    model = made(train_opt(*words))
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def note(_net: Any, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):  # not features
            calls.append((inputs[0].clone(), output.detach().clone()))

    model.netG.register_forward_hook(note)
    mirrored = 0
    for _ in range(12):
        model.optimize_parameters()
        seen, output = calls[-1]
        flipped = not torch.equal(seen[:1], model.real_A)
        assert torch.equal(seen[:1], model.real_A.flip(3) if flipped else model.real_A)
        assert torch.equal(model.fake_B, (output.flip(3) if flipped else output)[:1])
        mirrored += flipped
    assert 0 < mirrored < 12


@pytest.mark.parametrize("words", [("--grad_checkpoint",), ("--separate_passes",)])
def test_ways_to_compute_give_the_same_step(words: tuple[str, ...], train_opt: Make) -> None:
    models = [made(train_opt(*CUT, *more)) for more in ((), words)]
    for model in models:
        model.optimize_parameters()
    for name in models[0].loss_names:
        ours, theirs = (getattr(model, f"loss_{name}") for model in models)
        assert_near(ours.reshape(1), theirs.reshape(1))


def test_half_precision_is_close_and_losses_stay_float32(train_opt: Make) -> None:
    losses = []
    for words in ((), ("--precision", "bf16")):
        model = made(train_opt(*CUT, *words))
        model.optimize_parameters()
        assert model.loss_NCE.dtype == torch.float32
        losses.append(model.get_current_losses())
    half = tolerance(torch.bfloat16)
    assert losses[1] == pytest.approx(losses[0], rel=half)


@pytest.mark.parametrize("words", [CUT, FAST], ids=["CUT", "FastCUT"])
def test_gradients_in_float16_become_finite_as_their_scale_falls(
    words: tuple[str, ...], train_opt: Make
) -> None:
    model = made(train_opt(*words, "--precision", "fp16"))
    for _ in range(16):
        model.optimize_parameters()
    for optimizer in model.optimizers:  # steps with other gradients are left out
        taken = [float(state["step"]) for state in optimizer.state.values()]
        assert taken
        assert min(taken) >= 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nce_layers", "0,99"), r"--nce_layers 0,99: .* \(layer 99: choose from 0 to 17\)"),
        (("--nce_layers", "first"), r"--nce_layers first: give numbers"),
        (("--netG", "unet_256", "--crop_size", "256", "--load_size", "256"), "--netG unet_256: "),
        (("--output_nc", "1"), "--input_nc 3 and --output_nc 1 must be equal"),
        (("--num_patches", "0"), "--num_patches 0: must be above 0"),
        (("--lambda_NCE", "-1"), r"--lambda_NCE -1\.0: must not be negative"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: tuple[str, ...], message: str, train_opt: Make
) -> None:
    with pytest.raises(UsageError, match=message):
        create_model(train_opt("--model", "cut", *words))


def test_a_boolean_is_true_or_false(train_opt: Make, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_opt("--model", "cut", "--nce_idt", "yes")
    assert "argument --nce_idt: give True or False, not yes" in capsys.readouterr().err


def run_training(pictures: Path, *words: str) -> int:
    where = ["--dataroot", str(pictures), "--name", "run"]
    where += ["--checkpoints_dir", str(pictures.parent / "checkpoints")]
    flags = ["--n_epochs", "1", "--n_epochs_decay", "0", "--num_threads", "0", "--no_html"]
    argv = [*where, *TINY, *flags, *words]
    return run_program(lambda: import_module("01_train").main(argv))


def test_it_is_trained_evaluated_and_used_by_the_programs(pictures: Path) -> None:
    evaluation = ("--eval_freq", "1", "--eval_metrics", "l1,cycle,identity", "--accumulate", "2")
    for file in list((pictures / "testB").rglob("*.png")):  # paired with those of A
        file.rename(file.with_name(file.name.replace("testB", "testA")))
    assert run_training(pictures, *CUT, *evaluation) == 0
    run = pictures.parent / "checkpoints" / "run"
    stored = {path.name for path in run.glob("*_net_*.pth")}
    assert {f"latest_net_{name}.pth" for name in "GFD"} | {"best_net_G.pth"} <= stored
    assert "best_net_F.pth" not in stored
    output = pictures.parent / "translated"
    assert infer(pictures.parent, "--model_suffix", "", "--output", output) == 0
    assert names(output) == ["deeper/testA_1.png", "testA_0.png"]
    assert infer(pictures.parent, "--model", "cut") == 0


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_steps_are_close(train_opt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as --compile traces them, without the C++ compiler."""

    def trace(net: torch.nn.Module, mode: str, _fixed: bool) -> None:
        if mode != "off":
            net.compile(backend="eager", dynamic=False)

    monkeypatch.setattr("models.compute.forward.compile_network", trace)
    losses = []
    for words in ((), ("--compile",)):
        model = made(train_opt(*CUT, *words))
        model.optimize_parameters()
        losses.append(model.get_current_losses())
    assert losses[1] == pytest.approx(losses[0], rel=tolerance())
