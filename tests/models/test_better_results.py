"""Options for better results: hinge, spectral norm, R1, DiffAugment, rates of learning."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_figures import image
from rounding import assert_near, tolerance
from torch import nn

from models import create_model, networks
from models.parts.architecture import read_discriminator
from models.parts.diffaugment import AUGMENTATIONS, DiffAugment, color, cutout, translation
from models.parts.spectral_norm import SpectralNorm, has_spectral_norm, improve_estimates
from util.options import Options

Make = Callable[..., Options]
PIX2PIX = ("--model", "pix2pix", "--netG", "resnet_6blocks", "--norm", "instance")
MODELS = [("--model", "cycle_gan"), PIX2PIX, ("--model", "cut")]
OPTIONS = [
    ("--gan_mode", "hinge"),
    ("--spectral_norm",),
    ("--lambda_r1", "1"),
    ("--diffaugment", "color,translation,cutout"),
]


def trained(opt: Options, steps: int = 2) -> Any:
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    for step in range(steps):
        train_step(model, step)
    return model


def train_step(model: Any, step: int) -> None:
    images = {"A": image(2 * step, 1, 3, 32), "B": image(2 * step + 1, 1, 3, 32)}
    model.set_input({**images, "A_paths": ["a.png"], "B_paths": ["b.png"]})
    model.optimize_parameters()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
@pytest.mark.parametrize("words", MODELS, ids=str)
def test_each_option_changes_the_training_of_each_model(
    words: tuple[str, ...], option: tuple[str, ...], train_opt: Make
) -> None:
    plain, changed = trained(train_opt(*words)), trained(train_opt(*words, *option))
    losses = changed.get_current_losses()
    assert all(torch.tensor(value).isfinite() for value in losses.values())
    assert losses != plain.get_current_losses()
    half = trained(train_opt(*words, *option, "--precision", "bf16", "--grad_checkpoint"))
    assert all(weight.isfinite().all() for weight in half.weights())


def test_generators_and_discriminators_have_rates_of_their_own(train_opt: Make) -> None:
    for words in MODELS:
        model = trained(train_opt(*words, "--lr_G", "0.003", "--lr_D", "0.001"), steps=0)
        assert [o.param_groups[0]["lr"] for o in model.optimizers] == [0.003, 0.001]
        model = trained(train_opt(*words, "--lr", "0.002", "--lr_D", "0.001"), steps=0)
        assert [o.param_groups[0]["lr"] for o in model.optimizers] == [0.002, 0.001]
    (optimizer,) = trained(train_opt("--model", "template", "--lr_G", "0.003"), steps=0).optimizers
    assert optimizer.param_groups[0]["lr"] == 0.003


def test_a_generator_raises_the_scores_of_its_images_by_hinge() -> None:
    scores = torch.tensor([[3.0, -1.0]])
    assert float(networks.generator_loss(networks.GANLoss("hinge"), scores)) == -1
    lsgan = networks.generator_loss(networks.GANLoss("lsgan"), scores)
    assert float(lsgan) == pytest.approx((2**2 + 2**2) / 2)


def test_the_r1_penalty_is_its_formula() -> None:
    net = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(net.weight, 0.5)
    real, fake = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    penalty = networks.r1_penalty(net, real, 3.0)
    assert float(penalty.detach()) == pytest.approx(3 / 2 * 16 * 0.5**2, rel=1e-5)
    loss = networks.discriminator_loss(net, networks.GANLoss("lsgan"), real, fake, lambda_r1=3.0)
    assert float(loss.penalty.detach()) == pytest.approx(float(penalty.detach()))
    penalty.backward()
    assert float(net.weight.grad) == pytest.approx(3 * 16 * 0.5, rel=1e-5)


def test_normalised_weights_have_the_largest_singular_value_one() -> None:
    torch.manual_seed(0)
    net = networks.define_D(3, 4, "basic", norm="instance", spectral_norm=True)
    plain = networks.define_D(3, 4, "basic", norm="instance")
    assert has_spectral_norm(net)
    assert not has_spectral_norm(plain)
    for _ in range(50):
        improve_estimates(net)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 5
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert float(largest) == pytest.approx(1, abs=1e-3)
    found = read_discriminator(net.state_dict(), Path("x.pth"))
    assert found.flags() == {
        **read_discriminator(plain.state_dict(), Path("x.pth")).flags(),
        "spectral_norm": True,
    }


def test_estimates_change_with_steps_and_not_with_passes(train_opt: Make) -> None:
    model = trained(train_opt("--spectral_norm"), steps=1)
    (first, *_) = [layer for layer in model.netD_A.modules() if isinstance(layer, SpectralNorm)]
    u = first.u.clone()
    model.netD_A(image(0, 1, 3, 32))
    assert torch.equal(first.u, u)
    train_step(model, 1)
    assert not torch.equal(first.u, u)


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_discriminator_sees_its_estimates_of_now(
    train_opt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced with its gradients as --compile traces it, without the C++ compiler."""

    def trace(net: nn.Module, mode: str, _fixed: bool) -> None:
        if mode != "off" and has_spectral_norm(net):
            net.compile(backend="aot_eager", dynamic=False)

    monkeypatch.setattr("models.compute.forward.compile_network", trace)
    words = (*PIX2PIX, "--no_dropout", "--spectral_norm", "--lambda_r1", "1")
    plain, compiled = (trained(train_opt(*words, *more), 1) for more in ((), ("--compile",)))
    expected = plain.get_current_losses()
    assert compiled.get_current_losses() == pytest.approx(expected, rel=tolerance())
    net, images = compiled.netD, image(9, 2, 6, 32)
    before = net(images)
    for layer in net.modules():
        if isinstance(layer, SpectralNorm):
            layer.u.copy_(layer.u.roll(1))
    assert_near(net(images), net.forward(images))
    assert float((net(images) - before).abs().max()) > 1e-2


def updates(opt: Options, steps: int) -> str:
    """Train an epoch; return which networks each step updates, in this order, and its end."""
    model, order = trained(opt, steps=0), []
    for name, optimizer in {"G": model.optimizer_G, "D": model.optimizer_D}.items():
        optimizer.register_step_post_hook(lambda *_, name=name: order.append(name))
    for step in range(steps):
        train_step(model, step)
        model.check_declared_names()
        assert all(torch.tensor(x).isfinite() for x in model.get_current_losses().values())
        order.append(" ")
    model.update_learning_rate()
    return "".join(order)


@pytest.mark.parametrize("words", MODELS, ids=str)
def test_generators_take_one_of_d_steps_updates(words: tuple[str, ...], train_opt: Make) -> None:
    both = "GD" if words == MODELS[0] else "DG"
    assert updates(train_opt(*words), 2) == f"{both} {both} "
    assert updates(train_opt(*words, "--d_steps", "3"), 7) == f"D D {both} D D {both} D "
    accumulates = train_opt(*words, "--d_steps", "2", "--accumulate", "2")
    assert updates(accumulates, 5) == f" D  {both}  D"
    assert updates(accumulates, 7) == f" D  {both}  D  DG"  # gradients of the last image


@pytest.mark.parametrize("words", MODELS, ids=str)
def test_a_run_resumes_between_two_updates_of_the_generators(
    words: tuple[str, ...], train_opt: Make
) -> None:
    opt = train_opt(*words, "--d_steps", "3", "--no_dropout")  # which draws from a global stream
    whole = trained(opt, steps=4)
    resumed = trained(opt, steps=0)
    resumed.load_training_state(copy.deepcopy(whole.training_state()))
    for step in (4, 5):
        train_step(whole, step)
        train_step(resumed, step)
        assert whole.get_current_losses() == resumed.get_current_losses()
    for mine, yours in zip(whole.weights(), resumed.weights(), strict=True):
        assert torch.equal(mine, yours)


def test_color_changes_brightness_saturation_and_contrast() -> None:
    images = torch.rand(2, 3, 4, 4) * 2 - 1
    unchanged = torch.tensor([[0.5, 0.5, 0.5]] * 2)
    torch.testing.assert_close(color(images, unchanged), images)
    brighter = torch.tensor([[0.75, 0.5, 0.5]] * 2)
    torch.testing.assert_close(color(images, brighter), images + 0.25)
    gray = color(images, torch.tensor([[0.5, 0.0, 0.5]] * 2))
    torch.testing.assert_close(gray, images.mean(1, keepdim=True).expand_as(images))
    flat = color(images, torch.tensor([[0.5, 0.5, 0.0]] * 2))
    mean = images.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(flat - mean, (images - mean) / 2)


def test_translation_shifts_each_image() -> None:
    images = torch.rand(3, 2, 16, 24)
    draws = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.99, 0.2]])
    shifted = translation(images, draws)
    for n, (rows, columns) in enumerate([(-2, -3), (0, 0), (2, -2)]):  # of the window
        expected = torch.zeros(2, 16, 24)
        for y in range(16):
            for x in range(24):
                if 0 <= y + rows < 16 and 0 <= x + columns < 24:
                    expected[:, y, x] = images[n, :, y + rows, x + columns]
        assert torch.equal(shifted[n], expected)


def test_cutout_erases_a_rectangle_of_half_the_sides() -> None:
    images = torch.ones(2, 3, 16, 32)
    cut = cutout(images, torch.tensor([[0.5, 0.5], [0.0, 0.99]]))
    assert (cut[0, 0] == 0).any(dim=1).nonzero().flatten().tolist() == list(range(4, 12))
    assert (cut[0, 0] == 0).any(dim=0).nonzero().flatten().tolist() == list(range(8, 24))
    assert (cut[1] == 0).sum() == 3 * 4 * 8  # the part within the image
    assert set(cut.unique().tolist()) == {0, 1}
    odd = cutout(torch.ones(1, 1, 17, 15), torch.tensor([[0.5, 0.5]]))
    assert (odd == 0).sum() == 9 * 8  # half of an odd side, rounded up


def test_pairs_are_augmented_alike_and_gradients_pass() -> None:
    augment = DiffAugment(",".join(AUGMENTATIONS), torch.Generator().manual_seed(1))
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    both = augment(torch.cat([images, images], dim=1), 3)
    assert torch.equal(both[:, :3], both[:, 3:])
    assert not torch.equal(both[:, :3], images)
    both.sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0
    assert DiffAugment("", torch.Generator())(images) is images


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--diffaugment", "colour"),
            "--diffaugment colour: there is no colour",
        ),
        (("--lambda_r1", "-1"), "--lambda_r1 -1.0: must not be negative"),
        (("--lr_D", "0"), "--lr_D 0.0: must be above 0"),
        (("--d_steps", "0"), "--d_steps 0: must be above 0"),
        (("--model", "template", "--d_steps", "2"), "--d_steps is a flag of --model "),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: tuple[str, str], message: str, train_opt: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train_opt(*words)
    assert message in capsys.readouterr().err
