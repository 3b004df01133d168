"""Closed forms: adversarial losses, the gradient penalty, learning rates."""

import math
from argparse import Namespace

import pytest
import torch
from torch import nn

from models import networks
from models.compute.optimization import Optimization
from models.parts.gan_losses import discriminator_loss
from models.parts.layers import SyncBatchNorm
from util import ranks
from util.errors import UserError


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("mode", networks.GAN_MODES)
def test_gan_loss_is_its_formula(mode: str, real: bool) -> None:
    scores = torch.tensor([[0.3, -1.2], [2.0, 0.0]])
    label = 1.0 if real else 0.0
    sign = -1 if real else 1
    expected = {
        "lsgan": ((scores - label) ** 2).mean(),
        "vanilla": torch.log1p(torch.exp(sign * scores)).mean(),
        "wgangp": sign * scores.mean(),
        "hinge": (1 + sign * scores).clamp(min=0).mean(),
    }[mode]
    loss = networks.GANLoss(mode)(scores, real)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


class Slope(nn.Module):
    """D(x) = slope * sum(x): its gradient has the norm slope * sqrt(number of values)."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.slope * x).sum(dim=(1, 2, 3)).view(-1, 1, 1, 1)


def test_gradient_penalty_is_its_formula_and_trains_the_discriminator() -> None:
    net = Slope(0.5)
    real, fake = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    penalty = networks.gradient_penalty(net, real, fake)
    assert float(penalty.detach()) == pytest.approx(10 * (0.5 * 4 - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert float(net.slope.grad) == pytest.approx(10 * 2 * (0.5 * 4 - 1) * 4, rel=1e-5)


class HalfSquare(nn.Module):
    """D(x) = sum(x^2) / 2, whose gradient is x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.square() / 2).sum(dim=(1, 2, 3))


def test_the_penalty_is_that_of_real_of_fake_or_of_images_between_them() -> None:
    real, fake = torch.full((64, 1, 4, 4), 1.0), torch.full((64, 1, 4, 4), 3.0)
    for kind, value in (("real", 1), ("fake", 3)):
        penalty, gradients = networks.cal_gradient_penalty(HalfSquare(), real, fake, "cpu", kind)
        assert float(penalty.detach()) == pytest.approx(10 * (4 * value - 1) ** 2, rel=1e-5)
        assert (gradients == value).all()
    _, gradients = networks.cal_gradient_penalty(HalfSquare(), real, fake, "cpu")
    values = gradients[:, 0]
    assert (gradients == values[:, None]).all()  # one share for all pixels of an image
    assert values.min() >= 1 and values.max() <= 3 and values.std() > 0.1


def test_the_penalty_is_part_of_the_discriminator_loss_under_wgangp_alone() -> None:
    real, fake = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    for mode, expected in (("wgangp", 10.0), ("lsgan", 0.0)):
        loss_D = discriminator_loss(Slope(0.5), networks.GANLoss(mode), real, fake)
        assert float(loss_D.penalty.detach()) == pytest.approx(expected, rel=1e-5)
        half_sum = 0.5 * (loss_D.real + loss_D.fake + loss_D.penalty)
        assert torch.equal(half_sum, loss_D.total)


def test_the_penalty_weighs_ten_times_the_critic_as_in_equation_3_of_wgan_gp() -> None:
    """D(fake) - D(real) + 10 (|grad D| - 1)^2, here by hand, up to a common factor."""
    real, fake = torch.full((2, 1, 4, 4), 0.75), torch.full((2, 1, 4, 4), 0.25)
    critic = 0.5 * 16 * (0.25 - 0.75)  # slope * number of values * difference
    penalty = 10 * (0.5 * 4 - 1) ** 2
    loss_D = discriminator_loss(Slope(0.5), networks.GANLoss("wgangp"), real, fake)
    assert float(loss_D.total.detach()) == pytest.approx(0.5 * (critic + penalty), rel=1e-5)


def test_penalties_pass_by_the_synchronised_norm_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's has no second derivative; tensors without values stand for those of a GPU."""
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(ranks, "all_reduce", lambda values, _operation: values)
    called: list[torch.Tensor] = []
    monkeypatch.setattr(nn.SyncBatchNorm, "forward", lambda _layer, x: called.append(x) or x)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), SyncBatchNorm(4), nn.LeakyReLU()).to("meta")
    images = torch.rand(2, 3, 8, 8, device="meta")
    networks.gradient_penalty(net, images, images).backward()
    assert net[0].weight.grad is not None
    assert not called
    net(images)
    assert len(called) == 1


def rates(epochs: int, **changes: object) -> list[float]:
    """Return the learning rate of every epoch from epoch_count on."""
    values = {"n_epochs": 3, "n_epochs_decay": 4, "lr_decay_iters": 2, "epoch_count": 1}
    opt = Namespace(**{**values, **changes})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = networks.get_scheduler(optimizer, opt)
    table = []
    for _ in range(epochs):
        table.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return table


TABLES = {
    "linear": [1, 1, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5],
    "step": [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001],
    "cosine": [0.5 * (1 + math.cos(math.pi * k / 7)) for k in range(7)],
}


@pytest.mark.parametrize("policy", TABLES)
def test_learning_rate_of_every_epoch(policy: str) -> None:
    assert rates(7, lr_policy=policy) == pytest.approx(TABLES[policy], rel=1e-12)
    assert min(rates(7, lr_policy=policy)) > 0


@pytest.mark.parametrize("policy", TABLES)
@pytest.mark.parametrize("first", [2, 4, 7])
def test_a_resumed_run_has_the_learning_rates_of_an_uninterrupted_one(
    policy: str, first: int
) -> None:
    resumed = rates(8 - first, lr_policy=policy, epoch_count=first)
    assert resumed == pytest.approx(TABLES[policy][first - 1 :], rel=1e-12)


def test_plateau_cuts_the_learning_rate_when_the_metric_stops_falling() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = networks.get_scheduler(optimizer, Namespace(lr_policy="plateau"))
    for metric in (5, 4, 3):
        scheduler.step(metric)
    assert optimizer.param_groups[0]["lr"] == 1.0
    for _ in range(7):
        scheduler.step(2.99)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


@pytest.mark.parametrize("best", [10.0, -10.0])
def test_plateau_takes_a_share_of_an_objective_below_0_too(best: float) -> None:
    layer = nn.Linear(1, 1)
    opt = Namespace(lr_policy="plateau")
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scheduler = networks.get_scheduler(optimizer, opt)
    stepping = Optimization.__new__(Optimization)
    stepping.schedulers = [scheduler]
    for epoch in range(5):
        stepping.step_schedulers(best + 0.05 * epoch)  # 0.5 % worse each time
    assert (scheduler.best, scheduler.num_bad_epochs) == (best, 4)
    stepping.step_schedulers(best - 0.05)
    assert (scheduler.best, scheduler.num_bad_epochs) == (best, 5)
    stepping.step_schedulers(best - 0.15)  # better by 1.5 %
    assert (scheduler.best, scheduler.num_bad_epochs) == (best - 0.15, 0)


def test_penalties_between_images_of_several_sizes_are_refused() -> None:
    real, fake = torch.rand(1, 3, 8, 12), torch.rand(1, 3, 8, 16)
    with pytest.raises(UserError, match="which have 12x8 and 16x8 pixels here: give --preprocess"):
        networks.gradient_penalty(HalfSquare(), real, fake)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_synchronised_batch_norm_takes_half_precision_on_cpus(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(ranks, "all_reduce", lambda values, _operation: 2 * values)  # two alike
    images = torch.rand(4, 3, 8, 8)
    norm, plain = SyncBatchNorm(3), nn.BatchNorm2d(3)
    found = norm(images.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), plain(images), rtol=0.05, atol=0.05)
    torch.testing.assert_close(norm.running_mean, plain.running_mean, rtol=0.01, atol=0.01)
