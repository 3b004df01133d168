"""Epochs of a run side by side: python scripts/compare_epochs.py --name NAME --epochs 120,180,200

Writes <checkpoints_dir>/<name>/web/epochs.html, a page that opens from disk, and epochs.png: rows
are held-out images, columns epochs, with the figures of each epoch above and the best one marked.
Without weights it shows the fixed images that the training stored in its gallery.
"""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gallery_samples import StoredSamples
from measuring import Measuring, chosen_device, measuring
from run_directions import (
    add_ema_flag,
    check_numbers,
    chosen_epochs,
    directions,
    generator,
    generators,
    run_folder_of,
)
from tqdm import tqdm

from util.checkpoints.run_folder import read_training_options
from util.errors import UsageError
from util.evaluation import METRICS, Figure
from util.evaluation.epochs_page import EpochsPage, Side
from util.evaluation.figures import check_metrics, in_order
from util.evaluation.translated import Translated
from util.run.session import run_program, start_logging
from util.sinks.curves import MetricCurves
from util.sinks.gallery import Gallery
from util.sinks.loss_log import read_curves
from util.sinks.metrics_log import read_metrics

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Write the page and say where it is."""
    args = arguments(argv)
    start_logging()
    folder = run_folder_of(args)
    page = EpochsPage(folder / "web", args.name)
    stored = recorded_figures(folder)
    if args.samples or not (args.ema or has_weights(folder, args.epochs)):
        if args.metrics:
            raise UsageError(
                f"--metrics needs weights, and {folder} holds none of --epochs {args.epochs}; "
                "leave it out, or give --epochs latest or best where these are stored"
            )
        add_samples(page, StoredSamples(folder, args.epochs), stored)
    else:
        averaged = bool(read_training_options(folder).get("ema"))  # which the training measured
        add_translations(page, args, folder, stored if averaged == args.ema else {})
    where = page.save()
    link_from_gallery(folder, args.name)
    log.info("page: %s", where)
    return 0


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The checked command line. Raises UsageError where a flag is out of range."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--name", required=True, help="name of a run")
    add("--epochs", default="all", help="epochs of the run: 120,180,200 (default: all stored)")
    add_ema_flag(parser)
    add("--images", type=int, default=6, help="held-out images of each direction (default: 6)")
    add("--samples", action="store_true", help="show the fixed images of the training instead")
    add("--metrics", help=f"measure some of {','.join(METRICS)} (default: what the run recorded)")
    add("--extractor", help="inception, efficientnet-lite0, or another one of torch-fidelity")
    add("--inception_weights", type=Path, help="file with the weights of Inception")
    add("--max", type=int, help="measure with at most so many images of each folder")
    add("--dataroot", help="folder of testA and testB (default: what the run was trained on)")
    add("--phase", help="<phase>A and <phase>B are shown (default: test, else val)")
    add("--eval", action="store_true", help="dropout off, batch norm by its statistics")
    add("--load_size", type=int, help="resize all images to a square (default: own size)")
    add("--seed", type=int, default=0, help="of which images are shown, and dropout (default: 0)")
    add("--checkpoints_dir", default="./checkpoints", help="where runs are stored")
    add("--gpu_ids", help="GPU to compute on; -1 is the CPU (default: 0 where there is one)")
    args = parser.parse_args(argv)
    check_numbers(args, "images", "max", "load_size")
    if args.samples and args.ema:
        raise UsageError("--ema needs weights; leave it out with --samples")
    if args.samples and args.metrics:
        raise UsageError("--metrics needs weights; leave it out with --samples")
    args.metrics = [name.strip() for name in args.metrics.split(",")] if args.metrics else []
    check_metrics(args.metrics)
    return args


def has_weights(folder: Path, epochs: str) -> bool:
    """Whether weights are stored of any epoch with a number, or of one that is named."""
    stored = {path.name.split("_net_G")[0] for path in folder.glob("*_net_G*.pth")}
    named = {word.strip() for word in epochs.split(",")}
    return any(epoch.isdecimal() or epoch in named for epoch in stored)


def recorded_figures(folder: Path) -> dict[str, dict[str, Mapping[str, Figure]]]:
    """Network -> epoch -> figures, of the evaluations during training."""
    found: dict[str, dict[str, Mapping[str, Figure]]] = {}
    for record in read_metrics(folder):
        for network, row in record.figures.items():
            found.setdefault(network, {})[str(record.epoch)] = row
    return found


def add_translations(
    page: EpochsPage,
    args: argparse.Namespace,
    folder: Path,
    stored: Mapping[str, Mapping[str, Mapping[str, Figure]]],
) -> None:
    """Translate the images with the generators of each epoch, and write them at once."""
    epochs = chosen_epochs(args, folder, "epochs")
    ways = directions(args, folder, generators(args, folder, epochs))
    device = chosen_device(args)
    tools: Measuring | None = measuring(args, device) if args.metrics else None
    shown = [way.inputs.limited(args.images, args.seed) for way in ways]
    for way, images in zip(ways, shown, strict=True):
        side = Side(f"G{way.forward}", way.title, list(images))
        page.sides.append(side)
        side.answers = all(name in way.real for name in images)
        for place, name in enumerate(images):
            page.add(side, "input", place, images[name].transpose(1, 2, 0))
            if side.answers:
                page.add(side, "answer", place, way.real[name].transpose(1, 2, 0))
    for epoch in tqdm(epochs, unit=" epochs", disable=None):
        nets = {way.forward: generator(args, folder, epoch, way.forward, device) for way in ways}
        for way, images, side in zip(ways, shown, page.sides, strict=True):
            translated = Translated(images, nets[way.forward], seed=args.seed)
            for place, levels in enumerate(translated.values()):
                page.add(side, epoch, place, levels.transpose(1, 2, 0))
            side.figures[epoch] = stored.get(side.key, {}).get(epoch, {})
            if tools is not None:
                backward = None if way.backward is None else nets[way.backward]
                figures = tools.of_direction(way, nets[way.forward], backward)
                side.figures[epoch] = in_order(figures, args.metrics)


def add_samples(
    page: EpochsPage,
    samples: StoredSamples,
    stored: Mapping[str, Mapping[str, Mapping[str, Figure]]],
) -> None:
    """Cut the images out of the sheets that the training stored, one sheet at a time."""
    for epoch, cells in samples:
        for key, column, place, image in cells:
            side = next((side for side in page.sides if side.key == key), None)
            if side is None:
                side = Side(key, samples.title(key), [], inputs=key != "samples")
                page.sides.append(side)
            if column != "output" and epoch != samples.epochs[0]:
                continue  # inputs and answers are the same in every epoch
            name = f"fixed image {place + 1}"
            side.names += [name] if name not in side.names else []
            side.answers = side.answers or column == "answer"
            page.add(side, epoch if column == "output" else column, place, image)
        for side in page.sides:
            side.figures[epoch] = stored.get(side.key, {}).get(epoch, {})


def link_from_gallery(folder: Path, name: str) -> None:
    """Write the index of the gallery anew, which links to the page now that it exists."""
    if (folder / "web" / "gallery.json").is_file():
        width = int(read_training_options(folder).get("display_winsize", 256))
        curves, metrics = read_curves(folder), MetricCurves(read_metrics(folder))
        Gallery(folder, name, width, curves, metrics).close()


if __name__ == "__main__":
    sys.exit(run_program(main))
