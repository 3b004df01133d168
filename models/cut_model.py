"""CUT and FastCUT: unpaired translation with one generator (arXiv 2007.15651).

Legend: images are (N, C, H, W) in [-1, 1], A and B of the same number of channels. G: A -> B;
D scores images of B; F projects features of the encoder of G at sampled patches.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

import torch
from torch import Tensor, nn

from util.errors import UsageError
from util.image_pool import ImagePool
from util.random_streams import stream

from . import networks
from .base_model import BaseModel
from .parts.gan_losses import add_gan_flags
from .parts.patch_nce import (
    PatchSampler,
    generator_layers,
    layer_channels,
    patch_nce_loss,
    sample_positions,
)
from .parts.resnet_generator import ResnetGenerator

MODES: dict[str, dict[str, Any]] = {
    "CUT": {"nce_idt": True, "lambda_NCE": 1.0, "n_epochs": 200, "n_epochs_decay": 200},
    "FastCUT": {
        **{"nce_idt": False, "lambda_NCE": 10.0, "flip_equivariance": True},
        **{"n_epochs": 150, "n_epochs_decay": 50},
    },
}
"""The published defaults of each --CUT_mode."""
SAMPLERS = ("mlp_sample", "sample")


class CUTModel(BaseModel):
    """A GAN whose generator keeps patches of the input recognisable in the output (equation 4)."""

    generators, discriminators = ("G",), ("D",)
    replaced_methods = {
        "compute_D_loss": "discriminator_terms",
        "compute_G_loss": "generator_losses",
        "calculate_NCE_loss": "nce_loss",
    }

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add the flags of the losses and set the published defaults, which the mode decides."""
        parser.set_defaults(no_dropout=True)
        if is_train:
            parser.set_defaults(pool_size=0, init_type="xavier")
            _add_flags(parser)
            known, _ = parser.parse_known_args()
            parser.set_defaults(**MODES[known.CUT_mode])
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.use_identity: bool = self.isTrain and opt.nce_idt
        self.loss_names = ["G_GAN", "D_real", "D_fake", "G", "NCE", *["NCE_Y"] * self.use_identity]
        self.visual_names = ["real_A", "fake_B", "real_B", *["idt_B"] * self.use_identity]
        self.model_names = ["G"]
        self.netG = self.make_generator(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self._prepare_training()

    def _prepare_training(self) -> None:
        o = self.opt
        _check(o)
        self.layers, channels = _compared_layers(o, self.netG)
        width = o.netF_nc if o.netF == "mlp_sample" else 0
        self.netF = PatchSampler(channels, width)
        networks.init_weights(self.netF, o.init_type, o.init_gain)
        self.netF.to(self.device)
        self.netD = self.make_discriminator(o.output_nc)
        self.model_names += ["F", "D"] if width else ["D"]
        self.fake_pool = ImagePool(o.pool_size, stream(o.seed, "pool"))
        self.criterionGAN: nn.Module = networks.GANLoss(o.gan_mode).to(self.device)
        self.optimizer_G = self.make_optimizer(self.netG, self.netF, lr=o.lr_G)
        self.optimizer_D = self.make_optimizer(self.netD, lr=o.lr_D)

    def set_input(self, input: dict[str, Any]) -> None:
        """Store images `A`, `B` (N, C, H, W) and their paths; --direction BtoA swaps them."""
        self.real_A, self.real_B = self.unpack_pair(input)

    def forward(self) -> None:
        """Compute fake_B = G(real_A) and, where it is trained on, idt_B = G(real_B)."""
        self._store_images(self._translate(mirrored=False), mirrored=False)

    def _translate(self, mirrored: bool) -> list[Tensor]:
        """Return fake_B, and idt_B where it is trained on, of images that are mirrored or not."""
        sources = [self.real_A, self.real_B] if self.use_identity else [self.real_A]
        return list(self.apply(self.netG, *(_mirror(image, mirrored) for image in sources)))

    def _store_images(self, made: list[Tensor], mirrored: bool) -> None:
        images = [_mirror(image, mirrored) for image in made]
        self.store_results(dict(zip(("fake_B", "idt_B"), images, strict=False)), {})

    def optimize_parameters(self) -> None:
        """Step the discriminator, and in every --d_steps-th step the generator and its sampler."""
        due = self.optimization.is_due(self.optimizer_D, every=self.opt.d_steps)
        # FastCUT: mirrored images shall be translated to mirrored ones
        mirrored = self.opt.flip_equivariance and bool(torch.rand((), generator=self.draws) < 0.5)
        with torch.set_grad_enabled(due):
            made = self._translate(mirrored)
        self.set_requires_grad(self.netD, True)
        loss_D = self.discriminator_terms(made[0])
        self.minimize(self.optimizer_D, {"D": loss_D.total})
        self.set_requires_grad(self.netD, False)
        with torch.set_grad_enabled(due):
            losses = self.generator_losses(made, mirrored)
        nce = torch.stack([loss for name, loss in losses.items() if name != "G_GAN"]).mean()
        objective = self.minimize(self.optimizer_G, {"G_GAN": losses["G_GAN"], "NCE": nce}, due)
        of_D = {"D_real": loss_D.real, "D_fake": loss_D.fake}
        self._store_images(made, mirrored)
        self.store_results({}, losses | of_D | {"G": objective})
        self.observe(objective)

    def discriminator_terms(self, fake_B: Tensor) -> networks.DiscriminatorLoss:
        """Return the loss of the discriminator on real images and on fake ones."""
        fakes = self.fake_pool.query(fake_B.detach())
        real, fake = self.augment(self.real_B), self.augment(fakes)
        how: dict[str, Any] = {"lambda_r1": self.opt.lambda_r1, "generator": self.draws}
        return networks.discriminator_loss(
            self.netD, self.criterionGAN, real, fake, self.apply, fake_first=True, **how
        )

    def generator_losses(self, made: list[Tensor], mirrored: bool) -> dict[str, Tensor]:
        """Return lambda_GAN GAN(D(G(A))) and lambda_NCE PatchNCE of A, and of B for --nce_idt.

        `made` is what `_translate` returns. The generator minimises the first plus the mean of the
        others.
        """
        (scores,) = self.apply(self.netD, self.augment(made[0]))
        adversarial = networks.generator_loss(self.criterionGAN, scores)
        losses = {"G_GAN": self.opt.lambda_GAN * adversarial}
        sources = {"NCE": self.real_A, "NCE_Y": self.real_B}
        for (name, source), image in zip(sources.items(), made, strict=False):
            losses[name] = self.opt.lambda_NCE * self.nce_loss(source, image, mirrored)
        return losses

    def nce_loss(self, source: Tensor, made: Tensor, mirrored: bool) -> Tensor:
        """Return the PatchNCE loss of images and their translations, the mean over the layers."""
        o = self.opt
        features = [_mirror(maps, mirrored) for maps in self.netG(made, self.layers)]
        positions = sample_positions(features, o.num_patches, self.draws)
        queries = self.netF(features, positions)
        with torch.no_grad():
            keys = self.netF(self.netG(source, self.layers), positions)
        across = o.nce_includes_all_negatives_from_minibatch
        losses = [
            patch_nce_loss(query, key, o.nce_T, across)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(losses).mean()


def _mirror(images: Tensor, mirrored: bool) -> Tensor:
    return images.flip(3) if mirrored else images


def _mode(text: str) -> str:
    return {mode.lower(): mode for mode in MODES}.get(text.lower(), text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ArgumentTypeError(f"give True or False, not {text}")
    return text.lower() == "true"


def _add_flags(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("contrastive unpaired translation")
    add_gan_flags(group)
    add = group.add_argument
    boolean: dict[str, Any] = {"type": _boolean, "nargs": "?", "const": True, "default": False}
    add(
        "--CUT_mode",
        type=_mode,
        choices=tuple(MODES),
        default="CUT",
        help="decides the defaults of the flags below and of the schedule. FastCUT is faster and "
        "needs less memory; CUT is better at texture",
    )
    add("--lambda_NCE", type=float, default=1.0, help="weight of the contrastive loss")
    add("--nce_idt", **boolean, help="contrastive loss of images of B and their translation too")
    add(
        "--nce_layers",
        type=str,
        default="0,4,8,12,16",
        help="layers of the generator whose features are compared: 0 is the image, 4 and 8 are the "
        "convolutions of stride 2, 12 and above the residual blocks",
    )
    add(
        "--nce_includes_all_negatives_from_minibatch",
        **boolean,
        help="compare with patches of all images of the batch, not of the same image alone",
    )
    add("--netF", type=str, default="mlp_sample", choices=SAMPLERS, help="with or without MLPs")
    add("--netF_nc", type=int, default=256, help="width of the MLPs")
    add("--nce_T", type=float, default=0.07, help="temperature of the contrastive loss")
    add("--num_patches", type=int, default=256, help="patches of each layer that are compared")
    add(
        "--flip_equivariance",
        **boolean,
        help="translate mirrored images in half of the steps, and compare with the image itself",
    )


def _check(opt: Namespace) -> None:
    for name in ("num_patches", "netF_nc", "nce_T"):
        if not getattr(opt, name) > 0:
            raise UsageError(f"--{name} {getattr(opt, name)}: must be above 0")
    if opt.lambda_NCE < 0:
        raise UsageError(f"--lambda_NCE {opt.lambda_NCE}: must not be negative")
    if opt.input_nc != opt.output_nc:
        raise UsageError(
            f"--model cut compares input and output: --input_nc {opt.input_nc} and --output_nc "
            f"{opt.output_nc} must be equal"
        )


def _compared_layers(opt: Namespace, net: nn.Module) -> tuple[list[int], list[int]]:
    """Return the entries of --nce_layers in the generator, and their channels.

    Raises UsageError where the generator has no such layers.
    """
    if not isinstance(net, ResnetGenerator):
        raise UsageError(
            f"--netG {opt.netG}: --model cut compares layers of a ResNet; use --netG resnet_9blocks"
        )
    try:
        layers = generator_layers(net, [int(layer) for layer in opt.nce_layers.split(",")])
    except ValueError as error:
        raise UsageError(
            f"--nce_layers {opt.nce_layers}: give numbers with commas between ({error})"
        ) from None
    return layers, layer_channels(net, layers)
