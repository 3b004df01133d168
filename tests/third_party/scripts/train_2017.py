"""A training script with the names and the order of 2017: rates at the end, `opt` in the plot."""

import time

from data import create_dataset
from models import create_model
from options.train_options import TrainOptions
from util.visualizer import Visualizer

opt = TrainOptions().parse()
opt.nThreads = 0
dataset = create_dataset(opt)
dataset_size = len(dataset)
model = create_model(opt)
model.setup(opt)
visualizer = Visualizer(opt)
total_steps = 0

for epoch in range(opt.epoch_count, opt.niter + opt.niter_decay + 1):
    epoch_iter = 0
    iter_data_time = time.time()
    for i, data in enumerate(dataset):
        iter_start_time = time.time()
        t_data = iter_start_time - iter_data_time
        visualizer.reset()
        total_steps += opt.batchSize
        epoch_iter += opt.batchSize
        model.set_input(data)
        model.optimize_parameters()
        if total_steps % opt.display_freq == 0:
            save_result = total_steps % opt.update_html_freq == 0
            visualizer.display_current_results(model.get_current_visuals(), epoch, save_result)
        if total_steps % opt.print_freq == 0:
            losses = model.get_current_losses()
            t = (time.time() - iter_start_time) / opt.batchSize
            visualizer.print_current_losses(epoch, epoch_iter, losses, t, t_data)
            visualizer.plot_current_losses(epoch, float(epoch_iter) / dataset_size, opt, losses)
        if total_steps % opt.save_latest_freq == 0:
            model.save_networks("latest")
        iter_data_time = time.time()
    if epoch % opt.save_epoch_freq == 0:
        model.save_networks("latest")
        model.save_networks(epoch)
    model.update_learning_rate()
