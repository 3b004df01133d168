"""pix2pix: translation learnt from paired images (arXiv 1611.07004).

Legend: images are (N, C, H, W) in [-1, 1], A of input_nc and B of output_nc channels. G: A -> B;
D scores the pair (A, B), (N, input_nc + output_nc, H, W).
"""

from argparse import ArgumentParser, Namespace
from typing import Any

import torch
from torch import Tensor, nn

from util.image_pool import ImagePool
from util.random_streams import stream

from . import networks
from .base_model import BaseModel
from .parts.gan_losses import add_gan_flags


class Pix2PixModel(BaseModel):
    """A conditional GAN with an L1 term (equation 4)."""

    generators, discriminators = ("G",), ("D",)
    replaced_methods = {"backward_D": "discriminator_terms", "backward_G": "generator_losses"}

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Set the defaults of the paper: batch norm, U-Net, aligned data, vanilla GAN."""
        parser.set_defaults(norm="batch", netG="unet_256", dataset_mode="aligned")
        if is_train:
            parser.set_defaults(pool_size=0, gan_mode="vanilla")
            parser.add_argument(
                "--lambda_L1", type=float, default=100.0, help="weight of the L1 loss"
            )
            add_gan_flags(parser)
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.loss_names = ["G_GAN", "G_L1", "D_real", "D_fake"]
        self.visual_names = ["real_A", "fake_B", "real_B"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        self.netG = self.make_generator(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self.netD = self.make_discriminator(opt.input_nc + opt.output_nc)
            self.fake_pool = ImagePool(opt.pool_size, stream(opt.seed, "pool"))
            self.criterionGAN: nn.Module = networks.GANLoss(opt.gan_mode).to(self.device)
            self.criterionL1: nn.Module = nn.L1Loss()
            self.optimizer_G = self.make_optimizer(self.netG, lr=opt.lr_G)
            self.optimizer_D = self.make_optimizer(self.netD, lr=opt.lr_D)

    def set_input(self, input: dict[str, Any]) -> None:
        """Store images `A`, `B` (N, C, H, W) and their paths; --direction BtoA swaps them."""
        self.real_A, self.real_B = self.unpack_pair(input)

    def forward(self) -> None:
        """Compute fake_B = G(real_A)."""
        (fake_B,) = self.apply(self.netG, self.real_A)
        self.fake_B: Tensor = fake_B

    def optimize_parameters(self) -> None:
        """Step the discriminator, then, in every --d_steps-th step, the generator."""
        due = self.optimization.is_due(self.optimizer_D, every=self.opt.d_steps)
        with torch.set_grad_enabled(due):
            self.forward()
        self.set_requires_grad(self.netD, True)
        loss_D = self.discriminator_terms(self.fake_B)
        self.minimize(self.optimizer_D, {"D": loss_D.total})
        self.set_requires_grad(self.netD, False)
        with torch.set_grad_enabled(due):
            generator_losses = self.generator_losses(self.fake_B)
        objective = self.minimize(self.optimizer_G, generator_losses, due)
        discriminator_losses = {"D": loss_D.total, "D_real": loss_D.real, "D_fake": loss_D.fake}
        self.store_results({}, {"G": objective} | generator_losses | discriminator_losses)
        self.observe(objective)

    def discriminator_terms(self, fake_B: Tensor) -> networks.DiscriminatorLoss:
        """Return the loss of the discriminator on real and on buffered fake pairs (equation 1)."""
        real_pair = torch.cat([self.real_A, self.real_B], dim=1)
        fake_pair = self.fake_pool.query(torch.cat([self.real_A, fake_B.detach()], dim=1))
        first = self.real_A.shape[1]
        real_pair, fake_pair = self.augment(real_pair, first), self.augment(fake_pair, first)
        # fakes first, as in the reference: the running statistics of batch norm depend on it
        how: dict[str, Any] = {"lambda_r1": self.opt.lambda_r1, "generator": self.draws}
        return networks.discriminator_loss(
            self.netD, self.criterionGAN, real_pair, fake_pair, self.apply, fake_first=True, **how
        )

    def generator_losses(self, fake_B: Tensor) -> dict[str, Tensor]:
        """Return lambda_GAN GAN(D(A, G(A)), real) and lambda_L1 E|G(A) - B|_1 (equation 4)."""
        pair = torch.cat([self.real_A, fake_B], dim=1)
        (scores,) = self.apply(self.netD, self.augment(pair, self.real_A.shape[1]))
        return {
            "G_GAN": self.opt.lambda_GAN * networks.generator_loss(self.criterionGAN, scores),
            "G_L1": self.opt.lambda_L1 * self.criterionL1(fake_B, self.real_B),
        }
