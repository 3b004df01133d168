"""Adversarial losses, by the names that `--gan_mode` takes.

Legend: N batch, C channels, H W height and width; scores are (N, 1, H', W').
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import to_float32

GAN_MODES = ("vanilla", "lsgan", "wgangp")


class GANLoss(nn.Module):
    """The mean over all patches of the loss against a label.

    lsgan: (D(x) - label)^2 (arXiv 1611.04076, equation 9 with a = 0, b = c = 1);
    vanilla: binary cross entropy with logits (arXiv 1406.2661, equation 1, the generator's term
    in its non-saturating form); wgangp: -D(x) for real, D(x) for fake (arXiv 1704.00028,
    equation 3, whose penalty is `gradient_penalty`).
    """

    def __init__(
        self, gan_mode: str, target_real_label: float = 1.0, target_fake_label: float = 0.0
    ) -> None:
        super().__init__()
        if gan_mode not in GAN_MODES:
            raise ValueError(f"--gan_mode {gan_mode}: choose from {', '.join(GAN_MODES)}")
        self.gan_mode = gan_mode
        self.labels = {True: target_real_label, False: target_fake_label}

    def forward(self, prediction: Tensor, target_is_real: bool) -> Tensor:
        """(N, 1, H', W') -> scalar."""
        prediction = to_float32(prediction)
        if self.gan_mode == "wgangp":
            return -prediction.mean() if target_is_real else prediction.mean()
        target = torch.full_like(prediction, self.labels[target_is_real])
        if self.gan_mode == "lsgan":
            return F.mse_loss(prediction, target)
        return F.binary_cross_entropy_with_logits(prediction, target)


def gradient_penalty(
    discriminator: nn.Module, real: Tensor, fake: Tensor, weight: float = 10.0
) -> Tensor:
    """Return weight * E[(|grad D(x)| - 1)^2], x between real and fake, a scalar.

    This is the penalty of arXiv 1704.00028, equation 3, where 10 is its weight. Images are
    (N, C, H, W); the norm is over all values of one image. It is computed outside autocast, as
    these gradients are too small for half precision, and not compiled, as compiled networks can
    be differentiated only once.
    """
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_(True)
    scores = discriminator.forward(between).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    return weight * (gradient.flatten(1).norm(dim=1) - 1).square().mean()


@dataclass(frozen=True)
class DiscriminatorLoss:
    """The terms of a discriminator's loss; the penalty is zero except for wgangp."""

    real: Tensor
    fake: Tensor
    penalty: Tensor

    @property
    def total(self) -> Tensor:
        """Half the sum (arXiv 1703.10593, section 4).

        The penalty is halved with the rest, so that its weight against the critic's terms is that
        of arXiv 1704.00028, equation 3.
        """
        return 0.5 * (self.real + self.fake + self.penalty)


Apply = Callable[..., tuple[Tensor, ...]]
"""A function (network, batch, batch, ...) -> the network's output for each batch."""


def apply_separately(net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
    """Return the output of `net` for each batch, each in a forward pass of its own."""
    return tuple(net(batch) for batch in batches)


def discriminator_loss(
    discriminator: nn.Module,
    gan_loss: GANLoss,
    real: Tensor,
    fake: Tensor,
    apply: Apply = apply_separately,
    fake_first: bool = False,
) -> DiscriminatorLoss:
    """Return the discriminator's loss on real and generated images (N, C, H, W).

    Gradients do not reach what generated `fake`. `fake_first` says which batch goes through the
    network first: the running statistics of batch norm depend on it.
    """
    fake = fake.detach()
    penalty = real.new_zeros(())
    if gan_loss.gan_mode == "wgangp":
        penalty = gradient_penalty(discriminator, real, fake)
    if fake_first:
        on_fake, on_real = apply(discriminator, fake, real)
    else:
        on_real, on_fake = apply(discriminator, real, fake)
    return DiscriminatorLoss(gan_loss(on_real, True), gan_loss(on_fake, False), penalty)
