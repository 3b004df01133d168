"""What a model stores and loads: the weights of its networks, and its training state."""

import logging
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from util.checkpoints.find_weights import find_all_weights, find_start_weights
from util.checkpoints.training_state import state_path
from util.checkpoints.weights import (
    bare_state_dict,
    load_into,
    read_weights,
    refuse_not_finite,
    save_weights,
    weights_path,
)
from util.options import script_of

from .compute.attributes import declared, image_pools, unlisted_networks
from .compute.optimization import Optimization
from .compute.scalars import as_scalar

log = logging.getLogger(__name__)


class StoredNetworks:
    """The part of a model that reads and writes files; `models.base_model` is the whole."""

    opt: Namespace
    device: torch.device
    optimization: Optimization
    save_dir: Path
    model_names: list[str]
    metric: Tensor | float

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers of `optimization`; a plug-in may assign or append its own."""
        return self.optimization.optimizers

    @optimizers.setter
    def optimizers(self, optimizers: list[Optimizer]) -> None:
        self.optimization.optimizers = optimizers

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

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network; called by a script, the state too."""
        script = script_of(self.opt)
        folder = Path(self.save_dir)  # a plug-in may have set it, as text
        with script.saving(self) if script else nullcontext(True) as writes:
            if not writes:  # of several processes rank 0 does
                return
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
            weights = read_weights(path)
            if not self.opt.isTrain:
                refuse_not_finite(weights, path)
            load_into(getattr(self, f"net{name}"), weights, path)

    def _networks(self) -> "OrderedDict[str, nn.Module]":
        return declared(self, "model_names")

    def _metric(self) -> float:
        return float(as_scalar(self.metric, self.device))

    def _trained_networks(self) -> dict[str, nn.Module]:
        nets = self._networks()
        return {**nets, **unlisted_networks(vars(self), nets.values(), self.optimizers)}
