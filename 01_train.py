"""Train a model: python 01_train.py --dataroot DIR --name NAME --model cycle_gan.

Writes weights, options, losses and a gallery to <checkpoints_dir>/<name>; --help lists all flags.
"""

import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial

from data import create_dataset, fixed_samples, held_out_directions
from models import BaseModel, create_model, current_generators
from options.base_options import option_defaults
from options.train_options import TrainOptions
from util import global_batch
from util.checkpoints.run_folder import claim_run_folder
from util.run.announcements import log_end
from util.run.evaluator import Evaluator
from util.run.health import Health
from util.run.lock import RunLock
from util.run.out_of_memory import out_of_memory_advice
from util.run.progress import Progress
from util.run.resume import resume
from util.run.saver import Saver
from util.run.session import begin, run_program
from util.run.stopping import StopRequest
from util.visualizer import Visualizer

Claim = Callable[[], None]


def main(argv: list[str] | None = None) -> int:
    """Train as the command line says; return the exit code."""
    options = TrainOptions()
    opt = begin(options.parse(sys.argv[1:] if argv is None else argv), options.complete)
    with RunLock(opt):
        dataset = create_dataset(opt)
        model = create_model(opt)
        model.setup(opt)
        progress = Progress(opt, dataset, model.check_sizes)
        evaluator = Evaluator(opt, model, held_out_directions, current_generators)
        resumes = resume(opt, model, progress, evaluator)
        claim = partial(claim_run_folder, opt, option_defaults(options, opt), resumes)
        visualizer = Visualizer(opt, samples=fixed_samples(opt, dataset.dataset))
        exit_code = train(model, progress, visualizer, evaluator, claim)
        visualizer.close()
        dataset.report()
        log_end(opt, model, progress, evaluator, exit_code)
    return exit_code


def train(
    model: BaseModel, progress: Progress, visualizer: Visualizer, evaluator: Evaluator, claim: Claim
) -> int:
    """Train to the last epoch or a stop signal; return the exit code, 1 if the last save failed."""
    opt = model.opt
    health = Health(opt)
    saver = Saver(opt, model, progress, health, evaluator, on_save=visualizer.saved)
    with StopRequest() as stop, saver.finishing():
        for epoch in progress.epochs():
            for batch in progress.batches(saver.save_before_retry):
                with out_of_memory_advice(opt, model.device):
                    model.set_input(batch)
                    model.optimize_parameters()
                if progress.first_step:  # nothing is written before it is done
                    model.check_declared_names()
                    claim()
                    visualizer.open(progress.start)
                health.watch(model.current_loss_tensors(), batch, progress)
                report(opt, model, progress, visualizer, health)
                if stop.exit_code:
                    saver.save_latest(last=True)
                    return stop.exit_code
                if progress.due(opt.save_latest_freq):
                    saver.save_latest()

            model.update_learning_rate()
            progress.end_epoch()
            evaluator.end_epoch(epoch, progress, visualizer)
            saver.save_epoch(epoch)
            visualizer.samples(model, epoch, progress.total_iters, store=True)
    return 1 if saver.failed else 0


def report(
    opt: Namespace, model: BaseModel, progress: Progress, visualizer: Visualizer, health: Health
) -> None:
    """Report losses and images of the current step where they are due."""
    if progress.shown(opt.print_freq):  # before the images: their time is not the step's
        losses = global_batch.mean_of(model.get_current_losses())
        health.watch_reported(losses)
        visualizer.losses(progress.loss_record(losses, model.learning_rate))
    store = progress.due(opt.update_html_freq) or progress.last_step
    if store or progress.shown(opt.display_freq):
        visualizer.show(model, progress.epoch, progress.total_iters, store)
        health.watch_images(model.get_current_visuals())


if __name__ == "__main__":
    sys.exit(run_program(main))
