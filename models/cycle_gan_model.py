"""CycleGAN: translation between two domains without paired examples (arXiv 1703.10593).

Legend: images are (N, C, H, W) in [-1, 1], A of input_nc and B of output_nc channels. G_A: A -> B
and G_B: B -> A are G and F of the paper; D_A scores images of B and D_B images of A (D_Y, D_X).
"""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from util.errors import UsageError
from util.image_pool import ImagePool
from util.random_streams import stream

from . import networks
from .base_model import BaseModel
from .compute.forward import processes_images_independently
from .parts.gan_losses import add_gan_flags


@dataclass(frozen=True)
class CycleImages:
    """A batch and what both generators make of it; idt_A = G_A(real_B), idt_B = G_B(real_A)."""

    real_A: Tensor
    fake_B: Tensor
    rec_A: Tensor
    real_B: Tensor
    fake_A: Tensor
    rec_B: Tensor
    idt_A: Tensor | None = None
    idt_B: Tensor | None = None

    def by_name(self) -> dict[str, Tensor]:
        """Return the images by name, without absent ones."""
        return {name: image for name, image in vars(self).items() if image is not None}


class CycleGANModel(BaseModel):
    """Two generators, two discriminators, and the eight losses of section 3 and 5.2."""

    generators, discriminators = ("G_A", "G_B"), ("D_A", "D_B")
    replaced_methods = {
        "forward": "translate",
        "backward_G": "generator_losses",
        "backward_D_basic": "discriminator_losses",
        "backward_D_A": "discriminator_losses",
        "backward_D_B": "discriminator_losses",
    }

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Turn dropout off by default and add the weights of the losses."""
        parser.set_defaults(no_dropout=True)
        if is_train:
            parser.add_argument(
                "--lambda_A", type=float, default=10.0, help="weight of the cycle A -> B -> A"
            )
            parser.add_argument(
                "--lambda_B", type=float, default=10.0, help="weight of the cycle B -> A -> B"
            )
            add_gan_flags(parser)
            parser.add_argument(
                "--lambda_identity",
                type=float,
                default=0.5,
                help="weight of the identity loss, as a share of lambda_A and lambda_B; 0: off",
            )
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.loss_names = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]
        self.use_identity = self.isTrain and opt.lambda_identity > 0
        if self.use_identity and opt.input_nc != opt.output_nc:
            raise UsageError(
                f"--lambda_identity {opt.lambda_identity:g} compares input and output, but "
                f"--input_nc {opt.input_nc} is not --output_nc {opt.output_nc}; "
                "use --lambda_identity 0"
            )
        self.visual_names = ["real_A", "fake_B", "rec_A", *(["idt_B"] * self.use_identity)]
        self.visual_names += ["real_B", "fake_A", "rec_B", *(["idt_A"] * self.use_identity)]
        self.model_names = ["G_A", "G_B", *(["D_A", "D_B"] if self.isTrain else [])]
        self.netG_A = self.make_generator(opt.input_nc, opt.output_nc)
        self.netG_B = self.make_generator(opt.output_nc, opt.input_nc)
        if self.isTrain:
            self._prepare_training()

    def _prepare_training(self) -> None:
        o = self.opt
        self.netD_A = self.make_discriminator(o.output_nc)
        self.netD_B = self.make_discriminator(o.input_nc)
        self.fake_A_pool = ImagePool(o.pool_size, stream(o.seed, "pool A"))
        self.fake_B_pool = ImagePool(o.pool_size, stream(o.seed, "pool B"))
        self.criterionGAN: nn.Module = networks.GANLoss(o.gan_mode).to(self.device)
        self.criterionCycle: nn.Module = nn.L1Loss()
        self.criterionIdt: nn.Module = nn.L1Loss()
        self.optimizer_G = self.make_optimizer(self.netG_A, self.netG_B, lr=o.lr_G)
        self.optimizer_D = self.make_optimizer(self.netD_A, self.netD_B, lr=o.lr_D)

    def set_input(self, input: dict[str, Any]) -> None:
        """Store images `A`, `B` (N, C, H, W) and their paths; --direction BtoA swaps them."""
        self.real_A, self.real_B = self.unpack_pair(input)

    def forward(self) -> None:
        """Translate the current input in both directions."""
        self.store_results(self.translate(self.real_A, self.real_B).by_name(), {})

    def translate(self, real_A: Tensor, real_B: Tensor) -> CycleImages:
        """Return translations, reconstructions and, if their loss counts, identity images."""
        if all(processes_images_independently(net) for net in (self.netG_A, self.netG_B)):
            return self._translate_fused(real_A, real_B)
        # the running statistics of batch norm depend on the order: it is that of the reference
        (fake_B,) = self.apply(self.netG_A, real_A)
        (rec_A,) = self.apply(self.netG_B, fake_B)
        (fake_A,) = self.apply(self.netG_B, real_B)
        (rec_B,) = self.apply(self.netG_A, fake_A)
        idt_A = idt_B = None
        if self.use_identity:
            (idt_A,) = self.apply(self.netG_A, real_B)
            (idt_B,) = self.apply(self.netG_B, real_A)
        return CycleImages(real_A, fake_B, rec_A, real_B, fake_A, rec_B, idt_A, idt_B)

    def _translate_fused(self, real_A: Tensor, real_B: Tensor) -> CycleImages:
        """Do as `translate`, with real images of both domains in one forward pass each."""
        idt_A = idt_B = None
        if self.use_identity:
            fake_B, idt_A = self.apply(self.netG_A, real_A, real_B)
            fake_A, idt_B = self.apply(self.netG_B, real_B, real_A)
        else:
            (fake_B,) = self.apply(self.netG_A, real_A)
            (fake_A,) = self.apply(self.netG_B, real_B)
        (rec_A,) = self.apply(self.netG_B, fake_B)
        (rec_B,) = self.apply(self.netG_A, fake_A)
        return CycleImages(real_A, fake_B, rec_A, real_B, fake_A, rec_B, idt_A, idt_B)

    def generator_losses(self, images: CycleImages) -> dict[str, Tensor]:
        """Return the terms of equation 3 that the generators minimise, and those of section 5.2."""
        o, i = self.opt, images
        (scores_B,), (scores_A,) = (
            self.apply(self.netD_A, self.augment(i.fake_B)),
            self.apply(self.netD_B, self.augment(i.fake_A)),
        )
        losses = {
            # lambda_GAN E[(D_A(G_A(a)) - 1)^2] for lsgan; likewise B
            "G_A": o.lambda_GAN * networks.generator_loss(self.criterionGAN, scores_B),
            "G_B": o.lambda_GAN * networks.generator_loss(self.criterionGAN, scores_A),
            # lambda_A E|G_B(G_A(a)) - a|_1; likewise B (equation 2)
            "cycle_A": o.lambda_A * self.criterionCycle(i.rec_A, i.real_A),
            "cycle_B": o.lambda_B * self.criterionCycle(i.rec_B, i.real_B),
            "idt_A": i.real_A.new_zeros(()),
            "idt_B": i.real_A.new_zeros(()),
        }
        if i.idt_A is not None and i.idt_B is not None:
            # lambda_idt lambda_B E|G_A(b) - b|_1; likewise A (section 5.2)
            losses["idt_A"] = o.lambda_identity * o.lambda_B * self.criterionIdt(i.idt_A, i.real_B)
            losses["idt_B"] = o.lambda_identity * o.lambda_A * self.criterionIdt(i.idt_B, i.real_A)
        return losses

    def discriminator_losses(self, images: CycleImages) -> dict[str, Tensor]:
        """Return half the sum of the losses on real and on buffered fake images (equation 1).

        Halving slows the discriminators down relative to the generators (section 4).
        """
        pooled_B = self.fake_B_pool.query(images.fake_B)
        pooled_A = self.fake_A_pool.query(images.fake_A)
        on_B = self._on_images(self.netD_A, images.real_B, pooled_B)
        on_A = self._on_images(self.netD_B, images.real_A, pooled_A)
        return {"D_A": on_B.total, "D_B": on_A.total}

    def _on_images(self, netD: nn.Module, real: Tensor, fake: Tensor) -> networks.DiscriminatorLoss:
        real, fake = self.augment(real), self.augment(fake)
        how: dict[str, Any] = {"lambda_r1": self.opt.lambda_r1, "generator": self.draws}
        return networks.discriminator_loss(netD, self.criterionGAN, real, fake, self.apply, **how)

    def optimize_parameters(self) -> None:
        """Step both generators, in every --d_steps-th step, then both discriminators."""
        due = self.optimization.is_due(self.optimizer_D, every=self.opt.d_steps)
        self.set_requires_grad([self.netD_A, self.netD_B], False)
        with torch.set_grad_enabled(due):
            images = self.translate(self.real_A, self.real_B)
            generator_losses = self.generator_losses(images)
        objective = self.minimize(self.optimizer_G, generator_losses, due)
        self.set_requires_grad([self.netD_A, self.netD_B], True)
        discriminator_losses = self.discriminator_losses(images)
        self.minimize(self.optimizer_D, discriminator_losses)
        losses = {"G": objective} | generator_losses | discriminator_losses
        self.store_results(images.by_name(), losses)
        self.observe(objective)
