"""What every model shares: the protocol that the entry scripts and plug-ins rely on."""

import logging
import math
import warnings
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from util.checkpoints.find_weights import find_start_weights, find_weights, none_found
from util.checkpoints.run_folder import run_folder
from util.checkpoints.weights import (
    epoch_label,
    load_into,
    read_weights,
    save_weights,
    weights_path,
)
from util.devices import pick_device
from util.errors import UserError

from . import model_state
from .compute.forward import Compute
from .compute.optimization import Descent
from .networks import define_D, define_G, get_scheduler

log = logging.getLogger(__name__)


class BaseModel(ABC):
    """A model that owns its networks, losses and optimizers.

    A plug-in fills three lists of names and sets the attributes that they stand for:
    `model_names` (X: the network `self.netX`), `loss_names` (x: the scalar `self.loss_x`) and
    `visual_names` (y: the images `self.y`, (N, C, H, W) in [-1, 1]).
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.isTrain: bool = opt.isTrain
        self.device = pick_device(opt.gpu_ids, "gpu_ids" in getattr(opt, "given", ()))
        self.compute = Compute(opt, self.device)
        accumulate = getattr(opt, "accumulate", 1)
        self.descent = Descent(self.device, accumulate, self.compute.precision.scaled)
        self.save_dir = run_folder(opt)
        self.loss_names: list[str] = []
        self.model_names: list[str] = []
        self.visual_names: list[str] = []
        self.optimizers: list[Optimizer] = []
        self.schedulers: list[Any] = []
        self.image_paths: list[str] = []
        self.observed_sum: Tensor | float = 0.0
        self.observed_steps = 0
        self.best_metric = math.inf

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags of this model and change defaults of others."""
        return parser

    @abstractmethod
    def set_input(self, input: dict[str, Any]) -> None:
        """Take a batch from the data loader: move its images to the device."""

    @abstractmethod
    def forward(self) -> None:
        """Compute the output images of the current input."""

    @abstractmethod
    def optimize_parameters(self) -> None:
        """One training step: losses, gradients, weights."""

    def compute_visuals(self) -> None:  # noqa: B027 - optional
        """Compute further images to show; called before they are shown."""

    def setup(self, opt: Namespace) -> None:
        """Make the schedules (training), load the weights (inference, --continue_train)."""
        for name in self.model_names:
            self.compute.prepare(self._declared("net", name, "model_names"))
        if self.isTrain:
            self.schedulers = [get_scheduler(optimizer, opt) for optimizer in self.optimizers]
        if not self.isTrain:
            self.load_networks(epoch_label(opt))
        elif opt.resume == "weights":
            self._start_warm()
        self.print_networks(opt.verbose)

    def _start_warm(self) -> None:
        found = find_start_weights(self.opt, self.model_names)
        for name, path in found.items():
            load_into(getattr(self, f"net{name}"), read_weights(path), path)
        fresh = [name for name in self.model_names if name not in found]
        log.info(
            "starting from weights alone (%s), with new optimizers%s",
            ", ".join(path.name for path in found.values()),
            f"; {', '.join(fresh)} start fresh" if fresh else "",
        )

    def training_state(self) -> dict[str, Any]:
        """Everything that going on exactly needs, as tensors and plain containers."""
        return model_state.collect(self)

    def load_training_state(self, state: dict[str, Any]) -> None:
        """The inverse of `training_state`, after `setup`."""
        model_state.restore(self, state)

    def check_declared_names(self) -> None:
        """Raise AttributeError for a name in the lists that nothing stands behind.

        Called after the first step, so that a misspelt name fails there and not hours later.
        """
        self.compute_visuals()
        for name in self.loss_names:
            self._declared("loss_", name, "loss_names")
        for name in self.visual_names:
            self._declared("", name, "visual_names")

    def train(self) -> None:
        """Put all networks into training mode."""
        for net in self._networks():
            net.train()

    def eval(self) -> None:
        """Put all networks into evaluation mode (dropout off, batch norm by its statistics)."""
        for net in self._networks():
            net.eval()

    def test(self) -> None:
        """`forward` and `compute_visuals` without gradients."""
        with torch.no_grad():
            self.forward()
            self.compute_visuals()

    def get_image_paths(self) -> list[str]:
        """Where the images of the current input came from."""
        return self.image_paths

    def update_learning_rate(self) -> None:
        """Set the learning rate of the next epoch; called at the end of each."""
        self.descent.finish()
        before, metric = self.learning_rate, self.epoch_metric()
        self.best_metric = min(self.best_metric, metric)
        log.info("mean objective of the epoch %.4f, lowest so far %.4f", metric, self.best_metric)
        for scheduler in self.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(metric)
            else:
                with warnings.catch_warnings():
                    # torch warns where a run goes on from the very end of an epoch
                    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
                    scheduler.step()
        if self.learning_rate not in (before, 0):  # 0: after the last epoch
            log.info("learning rate %.7f -> %.7f", before, self.learning_rate)

    @property
    def learning_rate(self) -> float:
        """The rate of the first optimizer."""
        return self.optimizers[0].param_groups[0]["lr"]

    def observe(self, metric: Tensor) -> None:
        """Add a step's value of what `--lr_policy plateau` watches, the lower the better."""
        self.observed_sum = self.observed_sum + metric.detach()
        self.observed_steps += 1

    def epoch_metric(self) -> float:
        """The mean of what steps observed since the last call; if nothing, the sum of losses."""
        if self.observed_steps == 0:
            return sum(self.get_current_losses().values())
        mean = float(self.observed_sum) / self.observed_steps
        self.observed_sum, self.observed_steps = 0.0, 0
        return mean

    def get_current_visuals(self) -> "OrderedDict[str, Tensor]":
        """Name -> images (N, C, H, W) in [-1, 1]."""
        return OrderedDict(
            (name, self._declared("", name, "visual_names")) for name in self.visual_names
        )

    def get_current_losses(self) -> "OrderedDict[str, float]":
        """Name -> value; waits for the device once."""
        values = [self._declared("loss_", name, "loss_names") for name in self.loss_names]
        if not values:
            return OrderedDict()
        on_device = [torch.as_tensor(value).detach().to(self.device).float() for value in values]
        return OrderedDict(zip(self.loss_names, torch.stack(on_device).tolist(), strict=True))

    def current_loss_tensors(self) -> dict[str, Tensor]:
        """Name -> scalar on the device, of the losses that a step has set."""
        names = [name for name in self.loss_names if hasattr(self, f"loss_{name}")]
        return {name: getattr(self, f"loss_{name}") for name in names}

    def weights(self) -> list[Tensor]:
        """The weights of all networks."""
        return [weight for net in self._networks() for weight in net.parameters()]

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network."""
        self.save_dir.mkdir(parents=True, exist_ok=True)
        for name in self.model_names:
            save_weights(getattr(self, f"net{name}"), weights_path(self.save_dir, str(epoch), name))

    def load_networks(self, epoch: int | str) -> None:
        """Read `<epoch>_net_<name>.pth` for every network.

        Raises UserError where a file is missing (with what the folder holds) or does not fit.
        """
        found = find_weights(self.save_dir, str(epoch), self.model_names)
        for name in self.model_names:
            if name not in found:
                raise UserError(
                    f"{none_found(self.save_dir, str(epoch), [name])}. "
                    "Choose with --name, --epoch or --load_iter"
                )
            path = found[name]
            load_into(getattr(self, f"net{name}"), read_weights(path), path)
            log.info("loaded %s", path)

    def print_networks(self, verbose: bool) -> None:
        """Log the number of parameters of each network; with `verbose` its layers too."""
        for name in self.model_names:
            net = getattr(self, f"net{name}")
            if verbose:
                log.info("%s", net)
            millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
            log.info("network %s: %.3f M parameters", name, millions)

    def set_requires_grad(
        self, nets: nn.Module | Iterable[nn.Module], requires_grad: bool = False
    ) -> None:
        """Switch the gradients of whole networks on or off."""
        for net in [nets] if isinstance(nets, nn.Module) else nets:
            net.requires_grad_(requires_grad)

    def take_pair(self, input: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The two domains of a batch on the device, swapped by --direction BtoA."""
        self.compute.begin_step()
        first, second = ("A", "B") if self.opt.direction == "AtoB" else ("B", "A")
        self.image_paths = input.get("image_paths") or input[f"{first}_paths"]
        return self.to_device(input[first]), self.to_device(input[second])

    def to_device(self, images: Tensor) -> Tensor:
        """Images on the device; a GPU of CUDA copies pinned ones while it computes."""
        return images.to(self.device, non_blocking=self.device.type == "cuda")

    def make_generator(self, input_nc: int, output_nc: int) -> nn.Module:
        """The generator that the flags describe, on the device."""
        o = self.opt
        net = define_G(
            input_nc, output_nc, o.ngf, o.netG, o.norm, not o.no_dropout, o.init_type, o.init_gain
        )
        return net.to(self.device)

    def make_discriminator(self, input_nc: int) -> nn.Module:
        """The discriminator that the flags describe, on the device."""
        o = self.opt
        net = define_D(input_nc, o.ndf, o.netD, o.n_layers_D, o.norm, o.init_type, o.init_gain)
        return net.to(self.device)

    def make_optimizer(self, *nets: nn.Module) -> Optimizer:
        """Adam over all weights of the networks; its schedule is made by `setup`."""
        parameters = [parameter for net in nets for parameter in net.parameters()]
        fused = self.device.type in ("cuda", "cpu", "mps")
        betas = (self.opt.beta1, 0.999)
        optimizer = torch.optim.Adam(parameters, lr=self.opt.lr, betas=betas, fused=fused)
        self.optimizers.append(optimizer)
        return optimizer

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """`net` of each batch (N, C, H, W), in full precision, in as few passes as can be."""
        return self.compute.apply(net, *batches)

    def descend(self, optimizer: Optimizer, losses: Mapping[str, Tensor]) -> Tensor:
        """One step of an optimizer down the sum of the losses; returns the sum.

        With `--accumulate N` every Nth call is a step, down the mean of N sums.
        """
        total = torch.stack(list(losses.values())).sum()
        self.descent.descend(optimizer, total)
        return total

    def keep(self, images: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """The one place where a step stores its results: `self.<image>`, `self.loss_<name>`."""
        for name, image in images.items():
            setattr(self, name, image)
        for name, loss in losses.items():
            setattr(self, f"loss_{name}", loss.detach())

    def _networks(self) -> list[nn.Module]:
        return [getattr(self, f"net{name}") for name in self.model_names]

    def _declared(self, prefix: str, name: str, where: str) -> Any:
        attribute = f"{prefix}{name}"
        if not hasattr(self, attribute):
            raise AttributeError(
                f"{type(self).__name__}.{where} names {name!r}, but self.{attribute} is not set"
            )
        return getattr(self, attribute)
