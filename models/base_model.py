"""The base class of all models, whose methods the entry scripts and plug-ins rely on."""

import logging
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
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
from util.devices import choose_device
from util.errors import UserError
from util.frozen_options import script_of
from util.images import Visual

from . import networks
from .compute.attributes import declared, image_pools, unlisted_networks
from .compute.forward import ForwardPass
from .compute.image_sizes import check_sizes
from .compute.optimization import Optimization
from .compute.replaced_methods import refuse_unused_methods
from .compute.scalars import as_scalar, read_scalars

log = logging.getLogger(__name__)


class BaseModel(ABC):
    """A model that owns its networks, losses and optimizers.

    A plug-in fills three lists of names and sets the attributes that they stand for:
    `model_names` (X: the network `self.netX`), `loss_names` (x: the scalar `self.loss_x`) and
    `visual_names` (y: the images `self.y`, (N, C, H, W) in [-1, 1], or one image as a NumPy array
    (H, W, 3) uint8). It steps its optimizers by `minimize`, or by itself with `loss.backward()` and
    `optimizer.step()`; then --accumulate and --precision fp16 are refused.
    """

    # methods of the reference -> those that do their work here: a subclass that overrides one of
    # the former without the latter would have no effect
    replaced_methods: Mapping[str, str] = {}

    # names X of the networks self.netX that make_generator (A -> B first) and make_discriminator
    # make: the options read their architecture from weight files
    generators: tuple[str, ...] = ()
    discriminators: tuple[str, ...] = ()

    def __init_subclass__(cls, **more: Any) -> None:
        """Raise UsageError for a subclass that overrides a method which would never be called."""
        super().__init_subclass__(**more)
        refuse_unused_methods(cls, BaseModel)

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt = choose_device(opt)  # create_model has done so, a test may not
        self.isTrain: bool = opt.isTrain
        self.device: torch.device = opt.device
        self.gpu_ids: list[int] = opt.gpu_ids
        self.forward_pass = ForwardPass(opt, self.device)
        scaled = self.forward_pass.precision.scaled
        self.optimization = Optimization(self.device, opt.accumulate, scaled)
        self.save_dir = run_folder(opt)
        self.loss_names: list[str] = []
        self.model_names: list[str] = []
        self.visual_names: list[str] = []
        self.image_paths: list[str] = []
        self.metric: Tensor | float = 0
        """What `--lr_policy plateau` watches, where a model sets it; else see `observe`."""
        self.around_test: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers of `optimization`; a plug-in may assign or append its own."""
        return self.optimization.optimizers

    @optimizers.setter
    def optimizers(self, optimizers: list[Optimizer]) -> None:
        self.optimization.optimizers = optimizers

    @property
    def schedulers(self) -> list[Any]:
        """One scheduler per optimizer, made by `setup`; a plug-in may assign its own."""
        return self.optimization.schedulers

    @schedulers.setter
    def schedulers(self, schedulers: list[Any]) -> None:
        self.optimization.schedulers = schedulers

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add the flags of this model and change the defaults of other flags."""
        return parser

    @abstractmethod
    def set_input(self, input: dict[str, Any]) -> None:
        """Move the images of a batch of the data loader to the device and store them."""

    @abstractmethod
    def forward(self) -> None:
        """Compute the output images of the current input."""

    @abstractmethod
    def optimize_parameters(self) -> None:
        """Perform one training step: compute losses and gradients, update the weights."""

    def compute_visuals(self) -> None:  # noqa: B027 - optional
        """Compute further images to show; called before they are shown."""

    def check_sizes(self, batch: Mapping[str, Any]) -> None:
        """Raise DataError, naming the file, if a network cannot take the size of an image.

        Called with each batch before its step; a plug-in whose networks get other images overrides
        it.
        """
        self.forward_pass.begin_step()
        check_sizes(self.opt, self._networks(), batch)

    def setup(self, opt: Namespace) -> None:
        """Make the schedulers (training) and load weights (inference, --start_from).

        Raises UserError if a weight file is missing or does not fit.
        """
        for net in self._trained_networks().values():
            self.forward_pass.prepare(net)
        if self.isTrain:
            if not self.optimizers:
                raise UserError(f"{type(self).__name__} appends no optimizer to self.optimizers")
            self.optimization.make_schedulers(opt)
        else:
            self.load_networks(epoch_label(opt))
        if opt.resume == "weights":
            self._load_start_weights()
        self.print_networks(opt.verbose)
        if script := script_of(opt):
            script.set_up(self)

    def _load_start_weights(self) -> None:
        paths = find_start_weights(self.opt, self.model_names, Path(self.save_dir))
        self._load_weights(paths)
        missing = [name for name in self.model_names if name not in paths]
        log.info(
            "starting from weights alone (%s), with new optimizers%s",
            ", ".join(path.name for path in paths.values()),
            f"; {', '.join(missing)} start fresh" if missing else "",
        )

    def _load_weights(self, paths: Mapping[str, Path]) -> None:
        for name, path in paths.items():
            load_into(getattr(self, f"net{name}"), read_weights(path), path)

    def training_state(self) -> dict[str, Any]:
        """Return all that resuming exactly needs, as tensors and plain containers."""
        nets = {name: bare_state_dict(net) for name, net in self._trained_networks().items()}
        pools = {name: pool.state_dict() for name, pool in image_pools(vars(self)).items()}
        metric = {"metric": self._metric()} if self._metric() else {}
        return {"networks": nets, "pools": pools, **metric, **self.optimization.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore what `training_state` returned. Raises UserError if weights do not fit."""
        path = state_path(Path(self.save_dir))
        for name, net in self._trained_networks().items():
            load_into(net, state["networks"].get(name, {}), path)
        self.metric = state.get("metric", 0)
        self.optimization.load_state_dict(state)
        for name, pool in image_pools(vars(self)).items():
            if name in state["pools"]:
                pool.load_state_dict(state["pools"][name], self.device)

    def check_declared_names(self) -> None:
        """Raise AttributeError if a declared loss or image is not set.

        Called after the first step, so that a misspelt name fails then and not hours later.
        """
        self.compute_visuals()
        self._declared("loss_names")
        self._declared("visual_names")

    def train(self) -> None:
        """Put all networks into training mode."""
        for net in self._networks().values():
            net.train()

    def eval(self) -> None:
        """Put all networks into evaluation mode: no dropout, batch norm by running statistics."""
        for net in self._networks().values():
            net.eval()

    def test(self) -> None:
        """Run `forward` and `compute_visuals` without gradients."""
        with torch.no_grad(), self.around_test():
            self.forward()
            self.compute_visuals()

    def get_image_paths(self) -> list[str]:
        """Return the paths of the images of the current input."""
        return self.image_paths

    def update_learning_rate(self) -> None:
        """Set the learning rate of the next epoch; called at the end of each epoch.

        A script may call it as each epoch begins, also where it resumes within one.
        """
        script = script_of(self.opt)
        if script and script.resumes_within_epoch:
            self.optimization.step_schedulers(metric=None)  # that of the epoch is not complete
        else:
            self.optimization.end_epoch(self.current_loss_tensors(), self._metric() or None)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first optimizer."""
        return self.optimization.learning_rate

    def observe(self, metric: Tensor) -> None:
        """Add a step's value, a scalar, to the mean that `--lr_policy plateau` watches."""
        self.optimization.observe(metric)

    def get_current_visuals(self) -> "OrderedDict[str, Visual]":
        """Return the declared images by name, see `util.images.Visual`."""
        return self._declared("visual_names")

    def get_current_losses(self) -> "OrderedDict[str, float]":
        """Return the declared losses by name; the CPU synchronises with the GPU once."""
        return read_scalars(self._declared("loss_names"), self.device)

    def current_loss_tensors(self) -> dict[str, Tensor]:
        """Return the losses that a step has set, by name, as scalars on the device."""
        names = (name for name in self.loss_names if hasattr(self, f"loss_{name}"))
        return {name: as_scalar(getattr(self, f"loss_{name}"), self.device) for name in names}

    def weights(self) -> list[Tensor]:
        """Return the weights of all networks."""
        return [weight for net in self._networks().values() for weight in net.parameters()]

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network; called by a script, the state too."""
        script = script_of(self.opt)
        folder = Path(self.save_dir)  # a plug-in may have set it, as text
        with script.saving(self) if script else nullcontext():
            folder.mkdir(parents=True, exist_ok=True)
            for name, net in self._networks().items():
                save_weights(net, weights_path(folder, str(epoch), name))

    def load_networks(self, epoch: int | str) -> None:
        """Load `<epoch>_net_<name>.pth` into every network.

        Raises UserError if a file is missing (it lists the files of the folder) or does not fit.
        """
        paths = find_all_weights(Path(self.save_dir), str(epoch), self.model_names)
        self._load_weights(paths)
        for path in paths.values():
            log.info("loaded %s", path)

    def print_networks(self, verbose: bool) -> None:
        """Log the number of parameters of each network; with `verbose` also its layers."""
        for name, net in self._networks().items():
            log.info("%s", networks.describe_network(name, net, verbose))

    def set_requires_grad(
        self, nets: nn.Module | Iterable[nn.Module], requires_grad: bool = False
    ) -> None:
        """Switch the gradients of whole networks on or off."""
        for net in [nets] if isinstance(nets, nn.Module) else nets:
            net.requires_grad_(requires_grad)

    def unpack_pair(self, input: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return images A and B of a batch on the device, swapped by --direction BtoA."""
        self.forward_pass.begin_step()
        first, second = ("A", "B") if self.opt.direction == "AtoB" else ("B", "A")
        self.image_paths = input.get("image_paths") or input[f"{first}_paths"]
        return self.to_device(input[first]), self.to_device(input[second])

    def to_device(self, images: Tensor) -> Tensor:
        """Move images to the device; CUDA copies pinned memory while the GPU computes."""
        return images.to(self.device, non_blocking=self.device.type == "cuda")

    def make_generator(self, input_nc: int, output_nc: int) -> nn.Module:
        """Make the generator that the flags describe, on the device."""
        return networks.generator_from_options(self.opt, input_nc, output_nc).to(self.device)

    def make_discriminator(self, input_nc: int) -> nn.Module:
        """Make the discriminator that the flags describe, on the device."""
        return networks.discriminator_from_options(self.opt, input_nc).to(self.device)

    def make_optimizer(self, *nets: nn.Module) -> Optimizer:
        """Make an Adam optimizer of all weights of the networks; `setup` makes its scheduler."""
        return self.optimization.make_optimizer(nets, self.opt.lr, self.opt.beta1)

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """Return the float32 output of `net` for each batch (N, C, H, W), see `ForwardPass`."""
        return self.forward_pass.apply(net, *batches)

    def minimize(self, optimizer: Optimizer, losses: Mapping[str, Tensor]) -> Tensor:
        """Step an optimizer to lower the sum of the losses, see `Optimization`; return the sum."""
        return self.optimization.minimize(optimizer, losses)

    def store_results(self, images: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """Store the results of a step as attributes `self.<image>` and `self.loss_<name>`."""
        for name, image in images.items():
            setattr(self, name, image)
        for name, loss in losses.items():
            setattr(self, f"loss_{name}", loss.detach())

    def _networks(self) -> "OrderedDict[str, nn.Module]":
        return self._declared("model_names")

    def _metric(self) -> float:
        return float(as_scalar(self.metric, self.device))

    def _trained_networks(self) -> dict[str, nn.Module]:
        nets = self._networks()
        return {**nets, **unlisted_networks(vars(self), nets.values(), self.optimizers)}

    def _declared(self, names: str) -> "OrderedDict[str, Any]":
        return declared(self, names)
