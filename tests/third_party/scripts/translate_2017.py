"""A test script with the names of 2017."""

import os

from data import create_dataset
from models import create_model
from options.test_options import TestOptions
from util import html, util
from util.visualizer import Visualizer

opt = TestOptions().parse()
opt.nThreads = 1
opt.batchSize = 1
opt.serial_batches = True
opt.no_flip = True
dataset = create_dataset(opt)
model = create_model(opt)
model.setup(opt)
visualizer = Visualizer(opt)
web_dir = os.path.join(opt.results_dir, opt.name, f"{opt.phase}_{opt.which_epoch}")
webpage = html.HTML(web_dir, f"Experiment = {opt.name}, Phase = {opt.phase}")
util.mkdirs([os.path.join(web_dir, "single"), os.path.join(web_dir, "more")])
for i, data in enumerate(dataset):
    if i >= opt.how_many:
        break
    model.set_input(data)
    model.test()
    visuals = model.get_current_visuals()
    img_path = model.get_image_paths()
    arrays = {label: util.tensor2im(images) for label, images in visuals.items()}
    visualizer.save_images(webpage, arrays, img_path)
    util.save_image(arrays["fake"], os.path.join(web_dir, "single", f"{i}.png"))
webpage.save()
