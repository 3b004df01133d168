"""Translate images with a trained run: python 02_inference.py --name NAME --model test.

Writes a gallery to <results_dir>/<name>/<phase>_<epoch>, or with --output the translated images
alone; --help lists all flags.
"""

import logging
import sys

from tqdm import tqdm

from data import create_inference_images
from models import create_model
from models.inference.translator import make_translators
from options.base_options import option_defaults
from options.test_options import TestOptions
from util.checkpoints.run_folder import run_folder, store_options_if_possible
from util.results import make_results
from util.run.out_of_memory import out_of_memory_advice
from util.run.session import begin, run_program
from util.run.stopping import RaiseOnTerminate

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Translate as the command line says; return the exit code, 1 where images were skipped."""
    options = TestOptions()
    opt = begin(options.parse(sys.argv[1:] if argv is None else argv), options.complete)
    images = create_inference_images(opt)
    model = create_model(opt)
    model.setup(opt)
    store_options_if_possible(run_folder(opt), opt, option_defaults(options, opt))
    if opt.eval:
        model.eval()

    with RaiseOnTerminate(), make_results(opt, model.visual_names) as results:
        images.refuse_overwriting(results)
        remaining = images.left(results)
        make_translators(model, opt, remaining)
        log.info("translating %s", images.how_many)
        with tqdm(**images.bar | {"total": remaining}) as bar:
            for batch in images.batches(results):
                with out_of_memory_advice(opt, model.device):
                    model.set_input(batch)
                    model.test()
                results.add(model.get_current_visuals(), model.get_image_paths())
                bar.update(len(model.get_image_paths()))

    location = results.close()
    exit_code = images.report(results.failures)
    log.info("results: %s", location)
    return exit_code


if __name__ == "__main__":
    sys.exit(run_program(main))
