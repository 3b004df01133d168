"""Measure translations: python scripts/evaluate.py --name NAME --epoch 120,180,200

Translates the held-out images of a run with each of the epochs and compares them with real ones:
FID, KID, precision, recall; with the true answers where file names are shared; and the cycle and
identity errors of CycleGAN. Or, with folders: --real DIR --fake DIR [--input DIR].
docs/evaluation.md says what the figures mean. Several processes (torchrun, or --gpu_ids 0,1) share
the images out, with the same figures.
"""

import argparse
import contextlib
import json
import logging
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import chosen_device, measuring
from run_directions import (
    add_ema_flag,
    check_numbers,
    chosen_epochs,
    directions,
    generator,
    generators,
    run_folder_of,
)

from data.inference.held_out import (
    image_set,
    other_side,
    reader,
    sources_in_gallery,
    without_repeats,
)
from models.inference.self_ensemble import NUMBERS
from models.inference.translator import InferenceSettings
from options.base_options import parse_gpu_ids
from util import ranks, sharing
from util.errors import UsageError, UserError
from util.evaluation import METRICS, ImageSet
from util.evaluation.correlation import rank_correlations, why_none
from util.evaluation.direction import Direction
from util.evaluation.figures import check_metrics
from util.evaluation.report import UNTRANSLATED, Comparison, plain, table
from util.evaluation.translated import Translate
from util.files import write_text_atomically
from util.run.launch import check_alike, hash_of_names, join_others
from util.run.session import run_program, start_logging

log = logging.getLogger(__name__)

OF_RUNS, OF_FOLDERS = (
    ("epoch", "ema", "self_ensemble", "dataroot", "phase", "eval"),
    ("real", "fake", "label", "input"),
)
"""The flags of either use."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write the JSON."""
    args = arguments(argv)
    with console_for(args.json):
        start_logging()
        join(args)
        comparisons = (of_run if args.name else of_folders)(args)
    sharing.on_main(lambda: show(comparisons, args))
    return 0


def join(args: argparse.Namespace) -> None:
    """Join the other processes, if any; --gpu_ids becomes the GPU of this one."""
    gpus = argparse.Namespace(gpu_ids=parse_gpu_ids(args.gpu_ids or "0"))
    own = join_others(gpus, args.gpu_ids is not None)
    if ranks.is_launched_here():
        flags = {f"--{name}": value for name, value in vars(args).items() if name != "gpu_ids"}
        check_alike(flags, "give all processes the same command line")
    if ranks.is_launched_here() and torch.cuda.is_available():
        args.gpu_ids = ",".join(map(str, own)) or "-1"


def show(comparisons: list[Comparison], args: argparse.Namespace) -> None:
    """Write the JSON, print the table."""
    if args.json:
        text = json.dumps({"comparisons": [plain(c) for c in comparisons]}, indent=1) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            write_text_atomically(Path(args.json), text)
    with console_for(args.json):
        for comparison in comparisons:
            print(f"\n{table(comparison)}")
            print_correlations(comparison, args.correlate)


def print_correlations(comparison: Comparison, metric: str | None) -> None:
    """The rank correlation of every figure with a metric, one a line, or why there is none."""
    if metric is None:
        return
    found, title = rank_correlations(comparison, metric), METRICS[metric].title
    if found:
        print(f"\nrank correlation (Spearman) with {title} over the epochs:")
    else:
        print(f"\nno rank correlation with {title}: {why_none(comparison, metric)}")
    for other, value in found.items():
        print(f"  {other:<40}{value:6.2f}")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The checked command line. Raises UsageError where flags do not go together."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--name", help="name of a run")
    add(
        "--epoch", default="latest", help="epochs of the run: 120,180,200, or all (default: latest)"
    )
    add_ema_flag(parser)
    add("--dataroot", help="folder of testA and testB (default: what the run was trained on)")
    add("--phase", help="<phase>A and <phase>B are compared (default: test, else val)")
    add("--eval", action="store_true", help="dropout off, batch norm by its statistics")
    ensemble = "average the translations of this many mirrored and shifted copies (default: 1)"
    add("--self_ensemble", type=int, default=1, choices=NUMBERS, help=ensemble)
    add("--real", type=Path, help="folder of real images")
    add("--fake", type=Path, help="folder of translations")
    add("--label", default="", help="of a gallery in --fake: fake, fake_B, ...")
    add("--input", type=Path, help="folder of the untranslated images, whose figures to beat")
    add("--metrics", help=f"some of {','.join(METRICS)} (default: all that apply)")
    add("--correlate", help="a metric: how alike the others order the epochs (Spearman)")
    add("--extractor", help="inception, efficientnet-lite0, or another one of torch-fidelity")
    add("--inception_weights", type=Path, help="file with the weights of Inception")
    add("--load_size", type=int, help="resize all images to a square (default: own size)")
    add("--max", type=int, help="use at most so many images of each folder")
    add("--seed", type=int, default=0, help="of KID's subsets, --max and dropout (default: 0)")
    add("--json", help="write all figures to this file; - is the standard output")
    add("--checkpoints_dir", default="./checkpoints", help="where runs and features are stored")
    add("--gpu_ids", help="GPU to compute on; -1 is the CPU (default: 0 where there is one)")
    args = parser.parse_args(argv)
    check(args, parser)
    names = args.metrics.split(",") if args.metrics else list(METRICS)
    args.metrics = check_metrics(name.strip() for name in names)
    if args.correlate is not None and args.correlate not in args.metrics:
        raise UsageError(f"--correlate {args.correlate}: add it to --metrics")
    return args


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Raise UsageError for flags that do not go together or are out of range."""
    if bool(args.name) == bool(args.real and args.fake):
        raise UsageError("give either --name, or --real and --fake")
    for flag in OF_FOLDERS if args.name else OF_RUNS:
        if getattr(args, flag) != parser.get_default(flag):
            there = "--name" if args.name else "--real and --fake"
            raise UsageError(f"--{flag} does not go with {there}; leave it out")
    if args.correlate is not None and args.correlate not in METRICS:
        raise UsageError(f"--correlate {args.correlate}: give one of {', '.join(METRICS)}")
    check_numbers(args, "max", "load_size")


def console_for(target: str | None) -> contextlib.AbstractContextManager[object]:
    """Where JSON goes to the standard output, all else goes to the standard error."""
    return contextlib.redirect_stdout(sys.stderr) if target == "-" else contextlib.nullcontext()


def check_same_images(*sets: ImageSet) -> None:
    """Raise UserError where processes on several machines see other images."""
    names = [name for images in sets for name in images]
    check_alike(hash_of_names(len(names), names), "all machines need the same images")


def of_folders(args: argparse.Namespace) -> list[Comparison]:
    """The images of --fake against those of --real."""
    read, how = reader(args.load_size)

    def sets() -> tuple[ImageSet, ImageSet, ImageSet | None]:
        inputs = image_set(args.input, "--input", read, how) if args.input else None
        real = image_set(args.real, "--real", read, how)
        fake = image_set(args.fake, "--fake", read, how, args.label).named_as(real)
        inputs = None if inputs is None else inputs.named_as(real)
        fake = as_measurable(args, real, fake, inputs)
        limits = (args.max, args.seed)
        return real.limited(*limits), fake.limited(*limits), inputs and inputs.limited(*limits)

    real, fake, inputs = sharing.on_all(sets)
    check_same_images(real, fake)
    tools = sharing.on_all(lambda: measuring(args))
    title = f"{len(fake)} images of {args.fake}, against {len(real)} images of {args.real}"
    comparison = Comparison(title, how.size)
    if inputs is not None:
        comparison.figures[UNTRANSLATED] = tools.of_sets(real, inputs)
    comparison.figures["translated"] = tools.of_sets(real, fake)
    if not comparison.figures["translated"]:
        raise nothing_measured(args, f"--real {args.real} and --fake {args.fake}")
    return [comparison]


def nothing_measured(args: argparse.Namespace, sets: str) -> UserError:
    """The error where none of the metrics could be measured on two sets of images."""
    return UserError(
        f"{sets} share no file name, or hold too few images for --metrics "
        f"{','.join(args.metrics)}: name translations as their answers, or choose other metrics"
    )


def as_measurable(
    args: argparse.Namespace, real: ImageSet, fake: ImageSet, inputs: ImageSet | None
) -> ImageSet:
    """Leave out repeats and figures of pairs where a gallery shows two sides that are no pairs."""
    sources = sources_in_gallery(fake, args.label)
    if not sources or set(real) == (other_side(args.real) if inputs is None else set(inputs)):
        return fake
    kept = without_repeats(fake, sources)
    metrics = tuple(metric for metric in args.metrics if not METRICS[metric].of_pairs)
    reason = (
        f"--label {args.label}: {fake.folder} names two sides after the longer one, which need not "
        "be pairs; --name measures both directions of a run, and --input with the folder of the "
        "inputs shows pairs by their names"
    )
    if not metrics:
        raise UserError(reason)
    repeats = len(fake) - len(kept)
    log.warning("%s. Left out: figures of pairs, %d repeated translations", reason, repeats)
    args.metrics = metrics
    return kept


def of_run(args: argparse.Namespace) -> list[Comparison]:
    """Every direction of a run, with every epoch that was asked for."""
    folder = sharing.on_all(lambda: run_folder_of(args))
    epochs = sharing.on_all(lambda: chosen_epochs(args, folder, "epoch"))
    ways = sharing.on_all(lambda: directions(args, folder, generators(args, folder, epochs)))
    check_same_images(*(images for way in ways for images in (way.inputs, way.real)))
    device = sharing.on_all(lambda: chosen_device(args))
    tools = sharing.on_all(lambda: measuring(args, device))
    copies = f", --self_ensemble {args.self_ensemble}" if args.self_ensemble > 1 else ""
    found = [Comparison(way.title + copies, way.inputs.how.size) for way in ways]
    for way, comparison in zip(ways, found, strict=True):
        comparison.figures[UNTRANSLATED] = tools.of_sets(way.real, way.inputs)
    for epoch in epochs:
        log.info("epoch %s: translating %d images", epoch, sum(len(way.inputs) for way in ways))
        nets = sharing.on_all(lambda epoch=epoch: stored(args, folder, epoch, ways, device))
        for way, comparison in zip(ways, found, strict=True):
            backward = None if way.backward is None else nets[way.backward]
            comparison.figures[epoch] = tools.of_direction(way, nets[way.forward], backward)
        if not any(comparison.figures[epoch] for comparison in found):
            raise nothing_measured(args, f"{ways[0].inputs.folder} and {ways[0].real.folder}")
    return found


def stored(
    args: argparse.Namespace, folder: Path, epoch: str, ways: list[Direction], device: torch.device
) -> dict[str, Translate]:
    """The generators of an epoch by their suffixes."""
    how = InferenceSettings(self_ensemble=args.self_ensemble)
    return {
        suffix: generator(args, folder, epoch, suffix, device, how)
        for suffix in {way.forward for way in ways}
    }


if __name__ == "__main__":
    sys.exit(run_program(main))
