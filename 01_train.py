"""Train a model: python 01_train.py --dataroot DIR --name NAME --model cycle_gan.

Writes weights, options, losses and a gallery to <checkpoints_dir>/<name>; --help lists all flags.
"""

import sys

from data import create_dataset
from data.fixed_samples import fixed_samples
from models import create_model
from options.base_options import option_defaults
from options.from_run import adopt_from_run
from options.train_options import TrainOptions
from util.progress import Progress
from util.run_folder import claim_run_folder
from util.session import begin, run_program
from util.visualizer import Visualizer


def main(argv: list[str] | None = None) -> int:
    """Train as the command line says; returns the exit code."""
    options = TrainOptions()
    opt = adopt_from_run(begin(options.parse(argv)))
    dataset = create_dataset(opt)
    model = create_model(opt)
    claim_run_folder(opt, option_defaults(options, opt))
    model.setup(opt)
    visualizer = Visualizer(opt, samples=fixed_samples(opt))
    progress = Progress(opt, len(dataset))
    last_epoch = opt.n_epochs + opt.n_epochs_decay

    for epoch in range(opt.epoch_count, last_epoch + 1):
        for batch in progress.batches(dataset.batches(epoch), epoch):
            model.set_input(batch)
            model.optimize_parameters()
            if progress.first_step:
                model.check_declared_names()
            if progress.due(opt.print_freq):
                losses = model.get_current_losses()
                visualizer.losses(progress.loss_record(losses, model.learning_rate))
            keep = progress.due(opt.update_html_freq)
            if keep or progress.due(opt.display_freq):
                visualizer.show(model, epoch, progress.total_iters, keep)
            if progress.due(opt.save_latest_freq):
                model.save_networks("latest")
                if opt.save_by_iter:
                    model.save_networks(f"iter_{progress.total_iters}")
                visualizer.saved()

        if epoch % opt.save_epoch_freq == 0 or epoch == last_epoch:
            model.save_networks(epoch)
            model.save_networks("latest")
            visualizer.saved()
        visualizer.samples(model, epoch, progress.total_iters, keep=True)
        model.update_learning_rate()

    progress.close()
    visualizer.show(model, last_epoch, progress.total_iters, keep=True)
    visualizer.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
