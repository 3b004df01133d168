"""Translate pictures with a trained run: python 02_inference.py --name NAME --model test.

Writes a gallery to <results_dir>/<name>/<phase>_<epoch>; --help lists all flags.
"""

import logging
import sys
from itertools import islice

from tqdm import tqdm

from data import create_dataset
from models import create_model
from options.base_options import option_defaults
from options.from_run import adopt_from_run
from options.test_options import TestOptions
from util.results import ResultPages
from util.run_folder import run_folder, store_options
from util.session import begin, run_program

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Translate as the command line says; returns the exit code."""
    options = TestOptions()
    opt = begin(options.parse(argv), adopt_from_run)
    dataset = create_dataset(opt)
    model = create_model(opt)
    model.setup(opt)
    store_options(run_folder(opt), opt, option_defaults(options, opt))
    if opt.eval:
        model.eval()
    wanted = min(opt.num_test, len(dataset)) if "num_test" in opt.given else len(dataset)
    log.info("translating %d of %d pictures", wanted, len(dataset))

    results = ResultPages(opt)
    for batch in tqdm(islice(dataset, wanted), total=wanted, unit=" images", disable=None):
        model.set_input(batch)
        model.test()
        results.add(model.get_current_visuals(), model.get_image_paths()[0])

    log.info("results: %s", results.close())
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
