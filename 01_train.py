"""Train a model: python 01_train.py --dataroot DIR --name NAME --model cycle_gan.

Writes weights, options, losses and a gallery to <checkpoints_dir>/<name>; --help lists all flags.
"""

import logging
import sys

from data import create_dataset
from models import create_model
from options.base_options import option_defaults
from options.continued_run import complete_training
from options.train_options import TrainOptions
from util.health import Health
from util.progress import Progress
from util.resume import resume
from util.run_folder import claim_run_folder
from util.saver import Saver
from util.session import begin, run_program
from util.stopping import StopRequest
from util.visualizer import Visualizer

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Train as the command line says; returns the exit code."""
    options = TrainOptions()
    opt = begin(options.parse(argv), complete_training)
    dataset = create_dataset(opt)
    model = create_model(opt)
    claim_run_folder(opt, option_defaults(options, opt))
    model.setup(opt)
    progress = Progress(opt, dataset)
    resume(opt, model, progress)
    visualizer, health, saver = Visualizer(opt), Health(opt), Saver(opt, model, progress)

    with StopRequest() as stop:
        for epoch in progress.epochs():
            for batch in progress.batches():
                model.set_input(batch)
                model.optimize_parameters()
                if progress.first_step:
                    model.check_declared_names()
                health.watch(model.current_loss_tensors(), batch, progress)

                keep = progress.due(opt.update_html_freq) or progress.last_step
                if keep or progress.due(opt.display_freq):
                    model.compute_visuals()
                    visuals = model.get_current_visuals()
                    health.watch_pictures(visuals)
                    visualizer.pictures(visuals, epoch, progress.total_iters, keep)
                if progress.due(opt.print_freq):
                    losses = model.get_current_losses()
                    health.watch_reported(losses)
                    visualizer.losses(progress.loss_record(losses, model.learning_rate))
                if stop.exit_code or progress.due(opt.save_latest_freq):
                    health.check_before_save(model.current_loss_tensors(), model.weights())
                    saver.save_latest()
                if stop.exit_code:
                    visualizer.close()
                    progress.close()
                    log.info("stopped; the same command with --continue_train goes on from here")
                    return stop.exit_code

            health.check_before_save(model.current_loss_tensors(), model.weights())
            model.update_learning_rate()
            progress.end_epoch()
            saver.save_epoch(epoch)

    progress.close()
    visualizer.close()
    return 1 if saver.failed else 0


if __name__ == "__main__":
    sys.exit(run_program(main))
