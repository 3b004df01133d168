"""What every model shares: the protocol that the entry scripts and plug-ins rely on."""

import logging
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from util.checkpoints.find_weights import find_all_weights, find_start_weights
from util.checkpoints.run_folder import run_folder
from util.checkpoints.training_state import state_path
from util.checkpoints.weights import (
    bare_state_dict,
    epoch_label,
    load_into,
    read_weights,
    save_weights,
    weights_path,
)
from util.devices import pick_device
from util.image_pool import ImagePool

from .compute.forward import Compute
from .compute.image_sizes import check_sizes
from .compute.optimization import Optimization
from .networks import define_D, define_G, get_scheduler

log = logging.getLogger(__name__)


class BaseModel(ABC):
    """A model that owns its networks, losses and optimizers.

    A plug-in fills three lists of names and sets the attributes that they stand for:
    `model_names` (X: the network `self.netX`), `loss_names` (x: the scalar `self.loss_x`) and
    `visual_names` (y: the images `self.y`, (N, C, H, W) in [-1, 1]).
    """

    # X of each self.netX that make_generator (A -> B first) and make_discriminator make: the
    # options read the architecture off their weight files
    generators: tuple[str, ...] = ()
    discriminators: tuple[str, ...] = ()

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.isTrain: bool = opt.isTrain
        self.device = pick_device(opt.gpu_ids, "gpu_ids" in opt.given)
        self.compute = Compute(opt, self.device)
        scaled = self.compute.precision.scaled
        self.optimization = Optimization(self.device, opt.accumulate, scaled)
        self.save_dir = run_folder(opt)
        self.loss_names: list[str] = []
        self.model_names: list[str] = []
        self.visual_names: list[str] = []
        self.image_paths: list[str] = []

    @property
    def optimizers(self) -> list[Optimizer]:
        """Those of `optimization`; a plug-in may assign or append its own."""
        return self.optimization.optimizers

    @optimizers.setter
    def optimizers(self, optimizers: list[Optimizer]) -> None:
        self.optimization.optimizers = optimizers

    @property
    def schedulers(self) -> list[Any]:
        """One for each optimizer, made by `setup`; a plug-in may assign its own."""
        return self.optimization.schedulers

    @schedulers.setter
    def schedulers(self, schedulers: list[Any]) -> None:
        self.optimization.schedulers = schedulers

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

    def check_sizes(self, batch: Mapping[str, Any]) -> None:
        """Raise DataError, naming the file, where an image of a batch does not fit a network.

        A plug-in whose networks do not see the images as they are in the batch overrides this.
        """
        nets = {name: getattr(self, f"net{name}") for name in self.model_names}
        check_sizes(self.opt, nets, batch)

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
        found = find_start_weights(self.opt, self.model_names, self.save_dir)
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
        nets = {name: bare_state_dict(getattr(self, f"net{name}")) for name in self.model_names}
        pools = {name: pool.state_dict() for name, pool in self._pools().items()}
        return {"networks": nets, "pools": pools, **self.optimization.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """The inverse of `training_state`, after `setup`."""
        path = state_path(run_folder(self.opt))
        for name in self.model_names:
            load_into(getattr(self, f"net{name}"), state["networks"].get(name, {}), path)
        self.optimization.load_state_dict(state)
        for name, pool in self._pools().items():
            if name in state["pools"]:
                pool.load_state_dict(state["pools"][name], self.device)

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
        self.optimization.end_epoch(self._sum_of_losses)

    @property
    def learning_rate(self) -> float:
        """The rate of the first optimizer."""
        return self.optimization.learning_rate

    def observe(self, metric: Tensor) -> None:
        """Add a step's value of what `--lr_policy plateau` watches, the lower the better."""
        self.optimization.observe(metric)

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
        found = find_all_weights(self.save_dir, str(epoch), self.model_names)
        for name, path in found.items():
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
        return self.optimization.make_optimizer(nets, self.opt.lr, self.opt.beta1)

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """`net` of each batch (N, C, H, W), in full precision, in as few passes as can be."""
        return self.compute.apply(net, *batches)

    def minimize(self, optimizer: Optimizer, losses: Mapping[str, Tensor]) -> Tensor:
        """One step of an optimizer down the sum of the losses; returns the sum.

        With `--accumulate N` every Nth call is a step, down the mean of N sums.
        """
        total = torch.stack(list(losses.values())).sum()
        self.optimization.minimize(optimizer, total)
        return total

    def keep(self, images: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """The one place where a step stores its results: `self.<image>`, `self.loss_<name>`."""
        for name, image in images.items():
            setattr(self, name, image)
        for name, loss in losses.items():
            setattr(self, f"loss_{name}", loss.detach())

    def _sum_of_losses(self) -> float | None:
        """The sum of the current losses; None before the first step of a resumed run."""
        return sum(self.get_current_losses().values()) if self.current_loss_tensors() else None

    def _networks(self) -> list[nn.Module]:
        return [getattr(self, f"net{name}") for name in self.model_names]

    def _pools(self) -> dict[str, ImagePool]:
        return {name: value for name, value in vars(self).items() if isinstance(value, ImagePool)}

    def _declared(self, prefix: str, name: str, where: str) -> Any:
        attribute = f"{prefix}{name}"
        if not hasattr(self, attribute):
            raise AttributeError(
                f"{type(self).__name__}.{where} names {name!r}, but self.{attribute} is not set"
            )
        return getattr(self, attribute)
