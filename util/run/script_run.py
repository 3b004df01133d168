"""The run of a script in the reference's manner, which has a loop of its own.

Such a script calls neither `begin`, `resume`, `claim_run_folder` nor `Saver`, as 01_train.py does;
what it calls instead (`create_dataset`, `model.setup`, `model.save_networks`, the visualizer) finds
the ScriptRun of its `opt` and calls them in their place.

Of several processes, which join in `parse()`, rank 0 alone claims the folder, writes and shows.
Since many scripts save and show in a block for rank 0 alone, nothing there waits for the others.
"""

import atexit
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from .. import ranks, sharing
from ..checkpoints.run_folder import claim_run_folder, run_folder, store_options
from ..checkpoints.training_state import read_state, state_path
from ..devices import choose_device
from ..errors import UserError
from ..options import Options
from .health import Health
from .launch import complete_on_main
from .lock import RunLock
from .progress import Position, Progress
from .resume import resume
from .saver import Saver
from .session import begin, seed_random_streams, tell

log = logging.getLogger(__name__)

CHOOSES_RUN = {
    *("name", "checkpoints_dir", "continue_train", "start_from", "epoch", "load_iter"),
    *("model", "model_suffix", "direction", "dataroot", "phase", "max_size"),
}
"""Options that decide which run on disk completes the others."""

Change = Callable[[Options], Options]


class ScriptRun:
    """What 01_train.py does around its loop, done where a script first needs it.

    `complete` fills in options from the run on disk, `follow` those that follow from others,
    `check` raises UsageError where options do not fit, `defaults` are those of the flags;
    `translators` makes what is entered around `model.test()` in inference.
    """

    current: "ScriptRun | None" = None
    """That of the latest `parse()` of this process."""

    def __init__(
        self,
        complete: Change,
        follow: Change,
        check: Callable[[Options], None],
        defaults: Callable[[Options], Mapping[str, Any]],
        translators: Callable[..., Callable[[], AbstractContextManager[None]]],
    ) -> None:
        self._complete, self._follow, self._check = complete, follow, check
        self._defaults, self._translators = defaults, translators
        self._assigned: set[str] = set()
        self._lock: RunLock | None = None
        self._claimed = False
        self._stored: dict[str, Any] | None = None
        self._watched = 0
        self._no_run: UserError | None = None
        self._batch: dict[str, Any] = {}
        self.resumes = False
        self.model: Any = None
        self.loader: Any = None
        self.progress: Progress | None = None
        self.on_save: Callable[[], None] = lambda: None

    def begin(self, parsed: Options) -> Options:
        """Begin the run of a parsed command line; return the options that the script gets."""
        opt = begin(parsed, self._complete_if_named, shares=parsed.isTrain)
        self._parsed = parsed.replace(seed=opt.seed)
        self._gpus, self._is_main = opt.gpu_ids, ranks.is_main()
        if ranks.is_launched_here():
            atexit.register(ranks.leave, False)
        self.opt = opt.replace(epoch_count=self._first_epoch(opt))
        self.opt.belong_to(self)
        ScriptRun.current = self
        return self.opt

    def _complete_if_named(self, opt: Options) -> Options:
        """Complete the options from their run; a script may name that of inference later."""
        try:
            return self._complete(opt)
        except UserError as error:
            if opt.isTrain or "name" in opt.given:
                raise
            self._no_run = error
            return opt

    def settle(self) -> None:
        """Complete and check the options that the script has assigned since the last call.

        Raises UserError where neither the command line nor the script has named the run.
        """
        if self._no_run is not None and "name" not in self.opt.unsettled | self._assigned:
            raise self._no_run
        if not self.opt.unsettled:
            return
        unsettled, now = set(self.opt.unsettled), vars(self.opt)
        self._assigned |= unsettled
        opt = self._follow(self.opt.replace())
        if unsettled & CHOOSES_RUN and self.model is None:
            typed = {name: now[name] for name in self._assigned}
            typed["given"] = self._parsed.given | self._assigned
            opt = complete_on_main(self._follow(self._parsed.replace(**typed)), self._complete)
            opt = opt.replace(epoch_count=self._first_epoch(opt))
        elif not self.opt.isTrain or self.opt.epoch_count <= opt.n_epochs + opt.n_epochs_decay:
            self._check(opt)
        if ranks.world() > 1:  # each process has a GPU of its own
            opt = opt.replace(gpu_ids=self._gpus)
        if "gpu_ids" in unsettled and "device" not in unsettled:
            opt = opt.replace(device=None)
        opt = choose_device(opt)
        reseed = opt.seed != self._parsed.seed
        self.opt.settle(opt)
        if reseed:
            self._parsed = self._parsed.replace(seed=opt.seed)
            seed_random_streams(opt)

    @staticmethod
    def _first_epoch(opt: Options) -> int:
        """Return the epoch to train next, in a finished run the one behind the last."""
        if opt.resume != "state" or "epoch_count" in opt.given:
            return opt.epoch_count
        path = state_path(run_folder(opt))
        return sharing.on_main(lambda: read_state(path, mmap=True)["progress"]["epoch"])

    def made_loader(self, loader: Any) -> None:
        """Take the first data loader of a training as the one whose images are counted."""
        if self.opt.isTrain and self.loader is None:
            self.loader = loader
            self._begin_counting()

    def set_up(self, model: Any) -> None:
        """Restore a model that resumes; one of inference gets images of any size in `test`."""
        if not self.opt.isTrain:
            store_options(run_folder(self.opt), self.opt, self._defaults(self.opt))
            model.around_test = self._translators(model, self.opt)
            return
        if self.model is not None:
            return
        self.model = model
        self._take_lock()
        if self.loader is None and self.opt.resume == "state":
            path = state_path(run_folder(self.opt))
            model.load_training_state(sharing.on_main(lambda: read_state(path))["model"])
        self._begin_counting()

    def _begin_counting(self) -> None:
        """Make the parts of the run, as 01_train.py does, once there are a model and a loader."""
        if self.model is None or self.loader is None:
            return
        if self.opt.eval_freq > 0:
            log.warning("--eval_freq %d: 01_train.py alone evaluates", self.opt.eval_freq)
        self.progress = Progress(self.opt, self.loader, self.model.check_sizes, visible=False)
        self.health, evaluation = Health(self.opt), _Evaluation()
        self.saver = Saver(
            *(self.opt, self.model, self.progress, self.health, evaluation),
            on_save=lambda: self.on_save(),
        )
        self.resumes = resume(self.opt, self.model, self.progress, evaluation)

    def batches(self, loader: Any) -> Iterator[dict[str, Any]]:
        """Yield the batches of the next epoch, of a resumed one those that are left.

        An epoch that the script leaves early ends there.
        """
        progress = self.progress
        if progress is None or loader is not self.loader:
            yield from loader.batches(loader.next_epoch)
            return
        if loader.next_epoch != progress.epoch:
            progress.jump(loader.next_epoch)
        try:
            for batch in progress.batches():
                self._batch = batch
                yield batch
                self._watch()
        except GeneratorExit:
            loader.set_epoch(progress.epoch + 1)
        progress.end_epoch()

    @property
    def resumes_within_epoch(self) -> bool:
        """Whether the next step of the script is the first since it resumed within an epoch."""
        progress = self.progress
        return progress is not None and not progress.trained and progress.epoch_iters > 0

    def _watch(self) -> None:
        """Look at the losses of the last step, once."""
        if self.progress is not None and self.progress.total_steps != self._watched:
            self._watched = self.progress.total_steps
            self.health.watch(self.model.current_loss_tensors(), self._batch, self.progress)

    @contextmanager
    def saving(self, model: Any) -> Iterator[bool]:
        """Store the training state after the block, in which a model writes its weights.

        Yields whether this process writes them. With --accumulate and --lr_policy plateau the state
        has parts of all processes, so that all of them must save; else rank 0 may do so alone.
        """
        if not self.opt.isTrain:
            yield True
            return
        together = self.opt.accumulate > 1 or self.opt.lr_policy == "plateau"
        if not (self._is_main or together):
            yield False
            return
        self.claim()
        counted = self.progress is not None and model is self.model
        with nullcontext() if together else ranks.alone():
            if counted and self._batch:
                self._check_before_save()
            yield self._is_main
            if not counted or self.progress is None:
                return
            state = self.progress.state()
            if state != self._stored or self.opt.accumulate > 1:  # `latest` and a number: once
                self.saver.store_state()
                self._stored = state
        self.on_save()

    def _check_before_save(self) -> None:
        """Raise UserError where a loss or weight is not finite; all look at this step later too."""
        watched = self._watched
        self._watch()
        self.saver.check()
        if ranks.is_launched_here():
            self._watched = watched

    def claim(self) -> Position | None:
        """Make the folder of the run before its first file; return where this process starts."""
        if self.opt.isTrain and self._is_main and not self._claimed:
            self._claimed = True
            with ranks.alone():
                self._take_lock()
                resumes = self.resumes if self.progress else self.opt.resume == "state"
                claim_run_folder(self.opt, self._defaults(self.opt), resumes)
        return self.progress.start if self.progress else None

    def _take_lock(self) -> None:
        if self._lock is None:
            self._lock = RunLock(self.opt)
            self._lock.__enter__()
            atexit.register(self._lock.__exit__, None, None, None)


class _Evaluation:
    """The best epochs of a run that 01_train.py evaluated, stored again unchanged."""

    out_of_patience = False

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        """Return what `load_state` was given."""
        return self._state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over the state of the evaluation."""
        self._state = dict(state)

    def why_stopped(self) -> str:
        """Return the reason of a stop by --patience, which a script does not make."""
        return ""


def print_user_errors_in_one_line() -> None:
    """Let a UserError that ends the script be one line on stderr, without a traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            if ranks.is_main() or not error.everywhere:
                tell(f"error: {error}")
        else:
            before(kind, error, trace)

    if getattr(before, "__module__", "") != __name__:
        sys.excepthook = hook
