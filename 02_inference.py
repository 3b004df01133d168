"""Translate images with a trained run: python 02_inference.py --name NAME --model test.

Writes a gallery to <results_dir>/<name>/<phase>_<epoch>, or with --output the translated images
alone; --help lists all flags. Several processes (torchrun, or --gpu_ids 0,1) share the images out.
"""

import logging
import sys
from typing import Any

from tqdm import tqdm

from data import create_inference_images
from models import BaseModel, create_model
from models.inference.translator import draws, make_translators
from options.base_options import option_defaults
from options.test_options import TestOptions
from util.checkpoints.run_folder import run_folder, store_options_if_possible
from util.options import Options
from util.random_streams import own_random_streams
from util.results import make_results
from util.results.results import relative_to_input
from util.run.ending import EndTogether
from util.run.out_of_memory import out_of_memory_advice
from util.run.session import begin, run_program
from util.sharing import on_all, on_main

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Translate as the command line says; return the exit code, 1 where images were skipped."""
    options = TestOptions()
    opt = begin(options.parse(sys.argv[1:] if argv is None else argv), options.complete)
    images = on_all(lambda: create_inference_images(opt))
    model = on_all(lambda: load_model(opt))
    on_main(lambda: store_options_if_possible(run_folder(opt), opt, option_defaults(options, opt)))
    if draws(model):  # what it draws must not depend on the other images of a batch
        images.batch_size = 1
    results = on_all(lambda: make_results(opt, model.visual_names))
    on_main(lambda: images.refuse_overwriting(results))
    remaining = images.left(results)

    with EndTogether(results, images) as end, results:
        make_translators(model, opt, remaining)
        log.info("translating %s%s", images.how_many, end.processes)
        with tqdm(**images.bar | {"total": remaining}) as bar:
            for batch in end.until_stopped(images.batches(results)):
                translate(model, batch)
                paths = model.get_image_paths()
                results.add(model.get_current_visuals(), paths, images.places)
                bar.update(len(paths))

    location = on_main(results.close)
    exit_code = on_main(lambda: images.report(results.failures))
    if location is None:
        log.warning("nothing was translated")
    else:
        log.info("results: %s", location)
    return exit_code


def load_model(opt: Options) -> BaseModel:
    """Return the model with its weights, in the mode of --eval."""
    model = create_model(opt)
    model.setup(opt)
    if opt.eval:
        model.eval()
    return model


def translate(model: BaseModel, batch: dict[str, Any]) -> None:
    """Translate a batch; what the model draws depends on --seed and the name of its first image."""
    first = (batch.get("image_paths") or batch["A_paths"])[0]
    name = relative_to_input(first, model.opt).as_posix()
    with out_of_memory_advice(model.opt, model.device), own_random_streams(model.opt.seed, name):
        model.set_input(batch)
        model.test()


if __name__ == "__main__":
    sys.exit(run_program(main))
