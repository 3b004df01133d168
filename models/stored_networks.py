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

from util.checkpoints.find_weights import (
    GENERATORS,
    find_all_weights,
    find_start_weights,
    find_weights,
    none_found,
)
from util.checkpoints.training_state import state_path
from util.checkpoints.weights import (
    AVERAGED,
    bare_state_dict,
    load_into,
    read_weights,
    weights_path,
    write_weights,
)
from util.errors import UserError
from util.files import make_folder
from util.options import script_of

from .compute.attributes import declared, image_pools, unlisted_networks
from .compute.optimization import Optimization
from .compute.scalars import as_scalar
from .compute.weight_averages import WeightAverages

log = logging.getLogger(__name__)


class StoredNetworks:
    """The part of a model that reads and writes files; `models.base_model` is the whole."""

    opt: Namespace
    device: torch.device
    optimization: Optimization
    averages: WeightAverages
    draws: torch.Generator
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
        own = {"networks": nets, "pools": pools, "draws": self.draws.get_state()}
        if self.averages.steps:
            own["averages"] = dict(self.averages.steps)
        return {**own, **metric, **self.optimization.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore what `training_state` returned. Raises UserError if weights do not fit."""
        path = state_path(Path(self.save_dir))
        stored = state["networks"]
        for name, net in self._trained_networks().items():
            if name in stored or name not in self.averages.networks:
                load_into(net, stored.get(name, {}), path)
        self.averages.start(self.averages.networks.keys() - stored.keys())
        self.averages.resume(state.get("averages", {}))  # not in older states
        self.metric = state.get("metric", 0)
        if "draws" in state:  # not in older states
            self.draws.set_state(state["draws"])
        self.optimization.load_state_dict(state)
        for name, pool in image_pools(vars(self)).items():
            if name in state["pools"]:
                pool.load_state_dict(state["pools"][name], self.device)

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network; called by a script, the state too."""
        script = script_of(self.opt)
        with script.saving(self) if script else nullcontext(True) as writes:
            if writes:  # of several processes rank 0 does
                nets = self._networks().items()
                self.write_weights(epoch, {name: bare_state_dict(net) for name, net in nets})

    def write_weights(self, epoch: int | str, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Write `<epoch>_net_<name>.pth` for every state dict of `weights`, by name.

        It may run in another thread. Raises UserError where a file cannot be written.
        """
        folder = Path(self.save_dir)  # a plug-in may have set it, as text
        make_folder(folder)
        for name, state in weights.items():
            write_weights(state, weights_path(folder, str(epoch), name))

    def weights_in(self, state: Mapping[str, Any]) -> dict[str, Mapping[str, Tensor]] | None:
        """Return the state dicts that `save_networks` writes, by name, out of a `training_state`.

        None where a plug-in writes something else, with a `save_networks` of its own.
        """
        networks = state.get("networks", {})
        own = getattr(self.save_networks, "__func__", None) is not StoredNetworks.save_networks
        if own or not networks.keys() >= set(self.model_names):
            return None
        return {name: networks[name] for name in self.model_names}

    def load_networks(self, epoch: int | str) -> None:
        """Load `<epoch>_net_<name>.pth` into every network.

        With --ema of inference those of generators are `<epoch>_net_<name>_ema.pth`. Raises
        UserError if a file is missing (it lists the files of the folder) or does not fit.
        """
        folder, names = Path(self.save_dir), self.model_names
        files = {name: f"{name}{AVERAGED * self._takes_average(name)}" for name in names}
        found = find_weights(folder, str(epoch), [*files.values()])
        for name, file in files.items():
            if file != name and file not in found:
                reason = none_found(folder, str(epoch), [file], GENERATORS)
                raise UserError(f"--ema: {reason}. Leave out --ema, or train with it")
        paths = find_all_weights(folder, str(epoch), [*files.values()])
        self._load_weights({name: paths[file] for name, file in files.items()})
        for path in paths.values():
            log.info("loaded %s", path)

    def _takes_average(self, name: str) -> bool:
        return not self.opt.isTrain and self.opt.ema and name.startswith("G")

    def _load_start_weights(self) -> None:
        paths = find_start_weights(self.opt, self.model_names, Path(self.save_dir))
        self._load_weights(paths)
        missing = [name for name in self.model_names if name not in paths]
        self.averages.start(name for name in missing if name in self.averages.networks)
        self.averages.start_past_warm_up(name for name in paths if name in self.averages.networks)
        missing = [name for name in missing if name not in self.averages.networks]
        log.info(
            "starting from weights alone (%s), with new optimizers%s",
            ", ".join(path.name for path in paths.values()),
            f"; {', '.join(missing)} start fresh" if missing else "",
        )

    def _load_weights(self, paths: Mapping[str, Path]) -> None:
        for name, path in paths.items():
            load_into(getattr(self, f"net{name}"), read_weights(path), path)

    def _networks(self) -> "OrderedDict[str, nn.Module]":
        return declared(self, "model_names")

    def _metric(self) -> float:
        return float(as_scalar(self.metric, self.device))

    def _trained_networks(self) -> dict[str, nn.Module]:
        nets = self._networks()
        return {**nets, **unlisted_networks(vars(self), nets.values(), self.optimizers)}
