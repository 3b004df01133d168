"""The base class of all models, whose methods the entry scripts and plug-ins rely on."""

import logging
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from util.checkpoints.run_folder import run_folder
from util.checkpoints.weights import epoch_label
from util.devices import choose_device
from util.errors import UsageError, UserError
from util.images import Visual
from util.options import script_of
from util.random_streams import stream

from . import networks
from .compute.attributes import declared
from .compute.compilation import compiler_errors_for_users
from .compute.forward import ForwardPass
from .compute.image_sizes import check_sizes
from .compute.optimization import Optimization
from .compute.optimizer_state import improve_spectral_norms
from .compute.replaced_methods import refuse_unused_methods
from .compute.scalars import as_scalar, read_scalars
from .compute.weight_averages import WeightAverages
from .parts.diffaugment import DiffAugment
from .stored_networks import StoredNetworks

log = logging.getLogger(__name__)


class BaseModel(StoredNetworks, ABC):
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
        self.averages = WeightAverages({}, 0.0)
        # of choices that are alike on all processes; its state is part of the training state
        self.draws = torch.Generator().manual_seed(stream(opt.seed, "draws").getrandbits(63))
        self.augment = DiffAugment(opt.diffaugment if opt.isTrain else "", self.draws)
        self.save_dir = run_folder(opt)
        self.loss_names: list[str] = []
        self.model_names: list[str] = []
        self.visual_names: list[str] = []
        self.image_paths: list[str] = []
        self.metric: Tensor | float = 0
        """What `--lr_policy plateau` watches, where a model sets it; else see `observe`."""
        self.around_test: Callable[[], AbstractContextManager[None]] = nullcontext

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

    def compute_visuals(self) -> None:
        """Compute further images to show; called before they are shown."""

    def check_sizes(self, batch: Mapping[str, Any]) -> None:
        """Raise DataError, naming the file, if a network cannot take the size of an image.

        Called with each batch before its step; a plug-in whose networks get other images overrides
        it.
        """
        self.forward_pass.begin_step(len(batch["A_paths"]))
        check_sizes(self.opt, self._networks(), batch)

    def setup(self, opt: Namespace) -> None:
        """Make the schedulers (training) and load weights (inference, --start_from).

        Raises UserError if a weight file is missing or does not fit.
        """
        if self.isTrain and opt.ema:
            self._average_generators()
        for net in self._trained_networks().values():
            self.forward_pass.prepare(net)
        if self.isTrain:
            if not self.optimizers:
                raise UserError(f"{type(self).__name__} appends no optimizer to self.optimizers")
            self._warn_of_unlisted_optimizers()
            self.optimization.make_schedulers(opt)
            self.averages.follow(self.optimizers)
            self.forward_pass.follow(self.optimizers)
            improve_spectral_norms(self._trained_networks().values(), self.optimizers)
        else:
            self.load_networks(epoch_label(opt))
        if opt.resume == "weights":
            self._load_start_weights()
        self.print_networks(opt.verbose)
        if script := script_of(opt):
            script.set_up(self)

    def _average_generators(self) -> None:
        names = self.generators or [name for name in self.model_names if name.startswith("G")]
        if not names:
            raise UsageError(
                f"--ema averages generators, and --model {self.opt.model} names no network G..."
            )
        nets = {name: getattr(self, f"net{name}") for name in names}
        self.averages = WeightAverages(nets, self.opt.ema)
        for name, net in self.averages.networks.items():
            setattr(self, f"net{name}", net)
        self.model_names = [*self.model_names, *self.averages.networks]

    def _warn_of_unlisted_optimizers(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Optimizer) and not any(value is o for o in self.optimizers):
                log.warning(
                    "%s.%s is not in self.optimizers: its state is not resumed and its learning "
                    "rate follows no schedule; append it",
                    *(type(self).__name__, name),
                )

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

    def get_current_errors(self) -> "OrderedDict[str, float]":
        """Return `get_current_losses()`, by its name in scripts of 2017."""
        return self.get_current_losses()

    def save(self, label: int | str) -> None:
        """Call `save_networks`, by its name in scripts of 2017."""
        self.save_networks(label)

    def current_loss_tensors(self) -> dict[str, Tensor]:
        """Return the losses that a step has set, by name, as scalars on the device."""
        names = (name for name in self.loss_names if hasattr(self, f"loss_{name}"))
        return {name: as_scalar(getattr(self, f"loss_{name}"), self.device) for name in names}

    def weights(self) -> list[Tensor]:
        """Return the weights of all networks."""
        return [weight for net in self._networks().values() for weight in net.parameters()]

    def print_networks(self, verbose: bool) -> None:
        """Log the number of parameters of each network; with `verbose` also its layers."""
        for name, net in self._networks().items():
            log.info("%s", networks.describe_network(name, net, verbose))

    def set_requires_grad(
        self, nets: nn.Module | Iterable[nn.Module | None], requires_grad: bool = False
    ) -> None:
        """Switch the gradients of whole networks on or off; None among them is left out."""
        for net in filter(None, [nets] if isinstance(nets, nn.Module) else nets):
            net.requires_grad_(requires_grad)

    def unpack_pair(self, input: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return images A and B of a batch on the device, swapped by --direction BtoA."""
        self.forward_pass.begin_step(len(input["A"]))
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

    def make_optimizer(self, *nets: nn.Module, lr: float | None = None) -> Optimizer:
        """Make an Adam optimizer of all weights of the networks; `setup` makes its scheduler.

        `lr` is its initial learning rate, by default --lr.
        """
        lr = self.opt.lr if lr is None else lr
        return self.optimization.make_optimizer(nets, lr, self.opt.beta1)

    def apply(self, net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
        """Return the float32 output of `net` for each batch (N, C, H, W), see `ForwardPass`."""
        return self.forward_pass.apply(net, *batches)

    def minimize(
        self, optimizer: Optimizer, losses: Mapping[str, Tensor], due: bool = True
    ) -> Tensor:
        """Step an optimizer to lower the sum of the losses, see `Optimization`; return the sum."""
        with compiler_errors_for_users(self.forward_pass.compile_mode):
            return self.optimization.minimize(optimizer, losses, due)

    def store_results(self, images: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """Store the results of a step as attributes `self.<image>` and `self.loss_<name>`."""
        for name, image in images.items():
            setattr(self, name, image)
        for name, loss in losses.items():
            setattr(self, f"loss_{name}", loss.detach())

    def _declared(self, names: str) -> "OrderedDict[str, Any]":
        return declared(self, names)
