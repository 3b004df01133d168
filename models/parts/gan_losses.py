"""Adversarial losses, by the names that `--gan_mode` takes.

Legend: N batch, C channels, H W height and width; scores are (N, 1, H', W').
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util import global_batch
from util.errors import UserError

from .layers import to_float32, twice_differentiable

LOSSES: dict[str, Callable[[], nn.Module | None]] = {
    "vanilla": nn.BCEWithLogitsLoss,
    "lsgan": nn.MSELoss,
    "wgangp": lambda: None,  # a mean, without labels
    "hinge": lambda: None,
}
GAN_MODES = tuple(LOSSES)
PENALTIES = ("real", "fake", "mixed")
"""The images that `cal_gradient_penalty` takes the gradient at."""


def add_gan_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags of a model that trains generators against discriminators."""
    parser.add_argument(
        "--lambda_GAN", type=float, default=1.0, help="weight of the adversarial losses"
    )
    parser.add_argument(
        "--d_steps",
        type=int,
        default=1,
        help="updates of the discriminators for each update of the generators, of a batch each",
        metavar="N",
    )


class GANLoss(nn.Module):
    """The mean over all patches of the loss against a label.

    lsgan: (D(x) - label)^2 (arXiv 1611.04076, equation 9 with a = 0, b = c = 1);
    vanilla: binary cross entropy with logits (arXiv 1406.2661, equation 1, the generator's term
    in its non-saturating form); wgangp: -D(x) for real, D(x) for fake (arXiv 1704.00028,
    equation 3, whose penalty is `gradient_penalty`); hinge: max(0, 1 - D(x)) for real,
    max(0, 1 + D(x)) for fake (arXiv 1705.02894; the generator's is in `generator_loss`).
    """

    def __init__(
        self, gan_mode: str, target_real_label: float = 1.0, target_fake_label: float = 0.0
    ) -> None:
        super().__init__()
        if gan_mode not in GAN_MODES:
            raise ValueError(f"--gan_mode {gan_mode}: choose from {', '.join(GAN_MODES)}")
        self.gan_mode = gan_mode
        self.real_label: Tensor
        self.fake_label: Tensor
        self.register_buffer("real_label", torch.tensor(target_real_label))
        self.register_buffer("fake_label", torch.tensor(target_fake_label))
        self.loss: nn.Module | None = LOSSES[gan_mode]()

    def get_target_tensor(self, prediction: Tensor, target_is_real: bool) -> Tensor:
        """Return the label in the shape, type and device of the scores, (N, 1, H', W')."""
        label = self.real_label if target_is_real else self.fake_label
        return label.to(prediction).expand_as(prediction)

    def forward(self, prediction: Tensor, target_is_real: bool) -> Tensor:
        """(N, 1, H', W') -> scalar."""
        prediction = to_float32(prediction)
        if self.gan_mode == "hinge":
            return F.relu(1 - prediction if target_is_real else 1 + prediction).mean()
        if self.loss is None:
            return -prediction.mean() if target_is_real else prediction.mean()
        return self.loss(prediction, self.get_target_tensor(prediction, target_is_real))


def generator_loss(gan_loss: nn.Module, scores: Tensor) -> Tensor:
    """Return what a generator minimises for the scores of its images, (N, 1, H', W') -> scalar.

    That is the loss of real images, but -D(x) for hinge, whose loss of real images has no gradient
    where D(x) > 1.
    """
    if getattr(gan_loss, "gan_mode", "") == "hinge":  # a subclass may have a loss of its own
        return -to_float32(scores).mean()
    return gan_loss(scores, True)


def _refuse_sizes(real_data: Tensor, fake_data: Tensor) -> None:
    """Raise UserError where real and generated images cannot be mixed."""
    if real_data.shape != fake_data.shape:
        sizes = [f"{images.shape[3]}x{images.shape[2]}" for images in (real_data, fake_data)]
        raise UserError(
            f"--gan_mode wgangp mixes real and generated images, which have {sizes[0]} and "
            f"{sizes[1]} pixels here: give --preprocess resize_and_crop or another one with crop"
        )


def cal_gradient_penalty(
    netD: nn.Module,
    real_data: Tensor,
    fake_data: Tensor,
    device: torch.device | str,
    type: str = "mixed",
    constant: float = 1.0,
    lambda_gp: float = 10.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor | float, Tensor | None]:
    """Return lambda_gp * E[(|grad D(x)| - constant)^2] and the gradients, (N, C H W).

    This is the penalty of arXiv 1704.00028, equation 3. x are the real or the fake images
    (N, C, H, W), or for `type` mixed random ones between both, drawn from the `generator` for the
    global batch, or else from PyTorch's own; the norm is over all values of one image. Without a
    weight above 0 the result is (0.0, None). It is computed outside autocast, as these gradients
    are too small for half precision, and not compiled, as compiled networks can be differentiated
    only once. Raises ValueError for an unknown type, UserError where sizes differ.
    """
    if type not in PENALTIES:
        raise ValueError(f"type {type}: choose from {', '.join(PENALTIES)}")
    if lambda_gp <= 0:
        return 0.0, None
    images = fake_data if type == "fake" else real_data
    if type == "mixed":
        _refuse_sizes(real_data, fake_data)
        share = _share(images, device, generator).view(-1, 1, 1, 1)
        images = share * real_data.detach() + (1 - share) * fake_data.detach()
    images = images.detach().requires_grad_(True)
    with twice_differentiable(netD):
        scores = netD.forward(images).sum()
    if not global_batch.has_images():  # synchronised norms let it change gradients of others
        scores = scores * 0
    (gradients,) = torch.autograd.grad(scores, images, create_graph=True)
    gradients = gradients.flatten(1)
    return lambda_gp * (gradients.norm(dim=1) - constant).square().mean(), gradients


def _share(images: Tensor, device: torch.device | str, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.rand(len(images), device=device, dtype=images.dtype)
    return global_batch.draw(len(images), 1, generator).to(device, images.dtype)


def gradient_penalty(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    weight: float = 10.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the penalty of `cal_gradient_penalty` between real and fake images, a scalar."""
    penalty, _ = cal_gradient_penalty(
        discriminator, real, fake, real.device, lambda_gp=weight, generator=generator
    )
    return torch.as_tensor(penalty)


def r1_penalty(discriminator: nn.Module, real: Tensor, weight: float) -> Tensor:
    """Return weight / 2 E[|grad D(real)|^2], a scalar (arXiv 1801.04406, equation 9).

    As in `cal_gradient_penalty` D is the sum of the patch scores of an image.
    """
    penalty, _ = cal_gradient_penalty(
        discriminator, real, real, real.device, "real", constant=0.0, lambda_gp=weight / 2
    )
    return torch.as_tensor(penalty)


@dataclass(frozen=True)
class DiscriminatorLoss:
    """The terms of a discriminator's loss; the penalty is zero except for wgangp and R1."""

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
    gan_loss: nn.Module,
    real: Tensor,
    fake: Tensor,
    apply: Apply = apply_separately,
    fake_first: bool = False,
    lambda_r1: float = 0.0,
    generator: torch.Generator | None = None,
) -> DiscriminatorLoss:
    """Return the discriminator's loss on real and generated images (N, C, H, W).

    Gradients do not reach what generated `fake`. `fake_first` says which batch goes through the
    network first: the running statistics of batch norm depend on it. `lambda_r1` is the weight of
    `r1_penalty`, `generator` the source of the random numbers of wgangp.
    """
    fake = fake.detach()
    penalty = real.new_zeros(())
    if getattr(gan_loss, "gan_mode", "") == "wgangp":  # a subclass may have a loss of its own
        penalty = gradient_penalty(discriminator, real, fake, generator=generator)
    if lambda_r1 > 0:
        penalty = penalty + r1_penalty(discriminator, real, lambda_r1)
    if fake_first:
        on_fake, on_real = apply(discriminator, fake, real)
    else:
        on_real, on_fake = apply(discriminator, real, fake)
    return DiscriminatorLoss(gan_loss(on_real, True), gan_loss(on_fake, False), penalty)
