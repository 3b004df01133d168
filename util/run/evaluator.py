"""Evaluation while a run trains: figures of held-out images, the best epoch, and early stopping."""

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .. import ranks, sharing
from ..checkpoints.best import BestEpoch, restore_best, write_best
from ..checkpoints.run_folder import run_folder
from ..checkpoints.weights import AVERAGED, save_weights, weights_path
from ..errors import UserError
from ..evaluation import (
    METRICS,
    Extractor,
    FeatureCache,
    Figure,
    evaluate_direction,
    make_extractor,
)
from ..evaluation.direction import Direction
from ..evaluation.figures import in_order, is_better
from ..evaluation.report import number
from ..evaluation.translated import Translate
from ..random_streams import own_random_streams
from ..sinks.sink import MetricsRecord
from .launch import SAME_IMAGES, check_alike, hash_of_names
from .progress import Position, Progress

log = logging.getLogger(__name__)

FINISHED = "this run is finished; a larger --patience extends it"
"""What is said of a run that --patience ended."""

EVALUATED = ("G_A", "G_B", "G")
"""The networks that are evaluated, whichever of them a model has."""

Figures = dict[str, dict[str, Figure]]
"""Network -> title -> figure."""


class Shows(Protocol):
    """What a visualizer offers."""

    def open(self, start: Position | None = None) -> None:
        """Take the logs back to where the run resumes."""

    def metrics(self, record: MetricsRecord) -> None:
        """Show the figures of an epoch."""


class Evaluator:
    """Measures the generators every --eval_freq epochs and at the end of a run.

    For each direction the weights with the best value of the first of --eval_metrics are stored as
    `best_net_<network>.pth`, and `best.json` says of which epoch they are. Nothing of the training
    changes: `generators` gives copies of the networks, and the random streams are set back.

    `directions` gives the held-out images for the options of a training and the suffixes of its
    generators. Raises UserError, with --eval_freq above 0, where images or packages are missing.
    """

    def __init__(
        self,
        opt: Namespace,
        model: Any,
        directions: Callable[..., Sequence[Direction]],
        generators: Callable[[Any], Mapping[str, Translate]],
    ) -> None:
        self.opt, self.model, self.generators = opt, model, generators
        self.best: dict[str, BestEpoch] = {}
        self.waited = 0
        self._has_resumed = False
        """Evaluations since a direction has improved."""
        self._began, self._seconds = time.perf_counter(), 0.0
        if opt.eval_freq == 0:
            return
        suffixes = [name[1:] for name in EVALUATED if name in model.model_names]
        if not suffixes:
            raise UserError(
                f"--eval_freq: --model {opt.model} has none of the networks {', '.join(EVALUATED)}"
            )
        self.metrics = opt.eval_metrics.split(",")
        self.directions = sharing.on_all(
            # seed 0: the same images for every run
            lambda: directions(vars(opt), suffixes, most=opt.eval_max, seed=0)
        )
        names = [name for way in self.directions for name in (*way.inputs, *way.real)]
        check_alike(hash_of_names(len(names), names), SAME_IMAGES)
        self.extractor = sharing.on_all(self._make_extractor)
        self.cache = FeatureCache(Path(opt.checkpoints_dir) / "cache" / "features")

    def _make_extractor(self) -> Extractor | None:
        if not any(METRICS[metric].of_features for metric in self.metrics):
            return None
        name = self.opt.eval_extractor or None
        with own_random_streams(0):  # making a network draws its first weights
            return make_extractor(name, self.model.device, flag="--eval_extractor")

    def state(self) -> dict[str, Any]:
        """Return what resuming needs, as plain containers."""
        return {
            "best": {net: vars(best).copy() for net, best in self.best.items()},
            "waited": self.waited,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; an empty mapping is a run without evaluations."""
        self.best = {net: BestEpoch(**best) for net, best in state.get("best", {}).items()}
        self.waited = state.get("waited", 0)
        self._has_resumed = True

    @property
    def out_of_patience(self) -> bool:
        """Whether the last --patience evaluations have improved no direction."""
        return 0 < self.opt.patience <= self.waited and self.opt.eval_freq > 0

    def end_epoch(self, epoch: int, progress: Progress, visualizer: Shows) -> None:
        """Evaluate `epoch`, which has just ended, where that is due.

        Without improvement for --patience evaluations the epoch becomes the last one. An
        evaluation that fails is logged, and the training continues. Of several processes each
        translates a share of the images, and rank 0 decides what is best.
        """
        last = epoch >= progress.last_epoch
        if self.opt.eval_freq == 0 or (epoch % self.opt.eval_freq and not last):
            return
        visualizer.open(progress.start)
        began = time.perf_counter()
        try:
            figures = self._measure()
            sharing.on_main(lambda: self._take(epoch, figures))
        except Exception as error:  # whatever it is: measuring must never harm the run
            if ranks.is_main():
                log.warning("epoch %d is not evaluated (%s); the training continues", epoch, error)
            return
        if ranks.is_main():
            self._report(epoch, progress, visualizer, figures, began)
        progress.last_epoch = ranks.from_main(progress.last_epoch)

    def _report(
        self, epoch: int, progress: Progress, visualizer: Shows, figures: Figures, began: float
    ) -> None:
        """Show the figures; without improvement for long enough the run ends with this epoch."""
        now = time.perf_counter()
        self._seconds += now - began
        best = {net: found.epoch for net, found in self.best.items()}
        share = self._seconds / (now - self._began)
        visualizer.metrics(
            MetricsRecord(epoch, progress.total_iters, figures, best, now - began, share)
        )
        if self.out_of_patience and epoch < progress.last_epoch:
            progress.last_epoch = epoch
            log.info("%s; the run ends with this epoch", self.why_stopped())

    def why_stopped(self) -> str:
        """Return the reason of a stop by --patience, with the best epochs, for a message."""
        return _why_stopped(self.opt.patience, self.waited, self.best)

    def _measure(self) -> Figures:
        networks = sharing.on_all(lambda: self.generators(self.model))
        found = {}
        for way in self.directions:
            back = None if way.backward is None else networks[f"G{way.backward}"]
            figures = evaluate_direction(
                *(way.inputs, way.real, networks[f"G{way.forward}"], self.extractor),
                *(way.applicable(self.metrics),),
                backward=back,
                cache=self.cache,
            )
            found[f"G{way.forward}"] = in_order(figures, self.metrics)
        return found

    def _take(self, epoch: int, figures: Figures) -> None:
        """Store the weights of the networks that are better than ever, and count the others."""
        if not any(figures.values()):
            names = ",".join(self.metrics)
            log.warning("--eval_metrics %s: nothing could be measured on these images", names)
            return
        if self._has_resumed:  # only now: a resumed run writes nothing before its first step
            self.best = restore_best(run_folder(self.opt), self.best)
            self._has_resumed = False
        self.waited += 1
        for net, row in figures.items():
            title = next(iter(row), None)  # of the first of --eval_metrics that could be measured
            if title is None:
                continue
            best, figure = self.best.get(net), row[title]
            if best and (best.metric != title or best.protocol not in ("", figure.protocol)):
                best = None  # what is not comparable begins anew
            if best and (best.epoch, best.value) == (epoch, figure.value):
                self.waited = 0  # an epoch again, after a kill: its weights are stored already
            if is_better(figure, best.value if best else None):
                self._store(net, BestEpoch(epoch, title, figure.value, figure.protocol))
                self.waited = 0

    def _store(self, net: str, found: BestEpoch) -> None:
        """Store the weights of a network as its best ones."""
        folder = run_folder(self.opt)
        others = {other: best for other, best in self.best.items() if other != net}
        write_best(folder, others)  # if killed now, resuming knows that the weights differ
        for name in (net, f"{net}{AVERAGED}"):
            if name in self.model.model_names:
                save_weights(getattr(self.model, f"net{name}"), weights_path(folder, "best", name))
        self.best = dict(sorted({**others, net: found}.items()))
        write_best(folder, self.best)


def ended_by_patience(state: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return what a training says that resumes after a stop by --patience; empty without a stop.

    `state` is the whole training state, `options` are those of the run.
    """
    evaluation, patience = state.get("evaluation", {}), options.get("patience", 0)
    waited, epoch_iters = evaluation.get("waited", 0), state["progress"].get("epoch_iters", 0)
    if epoch_iters or not 0 < patience <= waited or not options.get("eval_freq", 0):
        return ""
    best = {net: BestEpoch(**found) for net, found in evaluation["best"].items()}
    reason = _why_stopped(patience, waited, best)
    return f"{reason}; {FINISHED}"


def _why_stopped(patience: int, waited: int, best: Mapping[str, BestEpoch]) -> str:
    epochs = ", ".join(
        f"{net} epoch {found.epoch} ({found.metric} {number(found.value)})"
        for net, found in best.items()
    )
    return f"--patience {patience}: {waited} evaluations improved nothing; best: {epochs}"
