"""Show a finished run on the dashboard: python scripts/replay_log.py --name NAME

Reads loss_log.jsonl (or the loss_log.txt of a run of the reference) and the newest images of the
gallery; starts a server where none answers, as training does.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from util.checkpoints.run_folder import read_training_options, run_folder
from util.errors import UsageError
from util.files import list_folder
from util.image_files import open_image
from util.images import ImageArray
from util.run.session import start_logging
from util.sinks.curves import Curves
from util.sinks.dashboard.client import server_address
from util.sinks.dashboard.sink import Dashboard, DashboardSettings
from util.sinks.gallery import read_gallery_state
from util.sinks.loss_log import last_record, read_curves, read_history
from util.sinks.metrics_log import read_metrics
from util.sinks.sink import ImageRecord, LossRecord

LINE = re.compile(
    r"(?:\[Rank \d+\] )?"
    r"\(epoch: (\d+), iters: (\d+), time: ([\d.]+), data: ([\d.]+)[^)]*\)\s*,?\s*(.*)"
)
VALUE = re.compile(r"(\w+): ([^\s,]+)")


def main(argv: list[str] | None = None) -> int:
    """Replay as the command line says; return 1 where nothing could be shown."""
    args = parse(argv)
    start_logging()
    folder = run_folder(args)
    if not folder.is_dir():
        print(f"error: there is no run {folder}; {list_folder(folder.parent)}", file=sys.stderr)
        return 1
    curves, last = past(folder)
    if last is None:
        print(f"error: {folder} holds no losses (loss_log.jsonl, loss_log.txt)", file=sys.stderr)
        return 1
    stored = read_training_options(folder) if (folder / "train_opt.json").is_file() else {}
    settings = DashboardSettings(
        name=args.name,
        server=args.display_server,
        port=args.display_port,
        env=args.display_env or args.name,
        first_window=max(1, int(stored.get("display_id", 1))),
        columns=int(stored.get("display_ncols", 4)),
        width=int(stored.get("display_winsize", 256)),
    )
    dashboard = Dashboard(settings, folder, curves)
    dashboard.losses(last)
    dashboard.open()
    for record in read_metrics(folder):
        dashboard.metrics(record)
    add_images(dashboard, folder / "web", last.total_iters)
    dashboard.close()
    if dashboard.failures:
        print(f"error: no dashboard answers at {dashboard.client.address}", file=sys.stderr)
        return 1
    print(f"{len(curves.points)} points of {len(curves.names)} losses are shown")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the flags, whose names are those of training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--name", required=True, help="which run")
    add("--checkpoints_dir", default="./checkpoints", help="where runs are stored")
    add("--display_server", default="http://localhost", help="where visdom runs")
    add("--display_port", type=int, default=8097, help="port of visdom")
    add("--display_env", help="environment in visdom; when not given, the name of the run")
    args = parser.parse_args(argv)
    try:
        server_address(args.display_server, args.display_port)
    except UsageError as error:
        parser.error(str(error))
    return args


def past(folder: Path) -> tuple[Curves, LossRecord | None]:
    """Return curves and last record of a run, from `loss_log.jsonl` or else `loss_log.txt`.

    Where a log does not say how many images an epoch has, the longest one in it does.
    """
    text = folder / "loss_log.txt"
    if (folder / "loss_log.jsonl").is_file() or not text.is_file():
        last = last_record(folder)
        if last is not None and not last.epoch_images:
            longest = max(record.iters for record in read_history(folder))
            last = replace(last, epoch_images=longest)
        return read_curves(folder), last
    longest = max((record.iters for record in text_records(text)), default=0)
    found = [
        replace(r, total_iters=(r.epoch - 1) * longest + r.iters, epoch_images=longest)
        for r in text_records(text)
    ]
    return Curves(found), found[-1] if found else None


def text_records(path: Path) -> Iterator[LossRecord]:
    """Yield the records of the lines of `loss_log.txt`; damaged lines are skipped."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not (match := LINE.match(line)):
                continue
            epoch, iters, seconds, data, values = match.groups()
            try:
                losses = {name: float(value) for name, value in VALUE.findall(values)}
                times = float(seconds), float(data)
                yield LossRecord(int(epoch), int(iters), 0, losses, 0.0, *times, 0.0)
            except ValueError:  # a damaged line
                continue


def add_images(dashboard: Dashboard, web: Path, total_iters: int) -> None:
    """Send the newest images of the gallery to the dashboard; warn where they are damaged."""
    try:
        rows = read_gallery_state(web)[0] if (web / "gallery.json").is_file() else []
        for row in [row for row in rows if row.labels][-1:]:
            images = {label: read(web, row.epoch, label) for label in row.labels}
            dashboard.images(ImageRecord(row.epoch, total_iters, images, store=True))
        for row in [row for row in rows if row.samples][-1:]:
            dashboard.sample_sheet(read(web, row.epoch, "samples"), f"epoch {row.epoch}")
    except (OSError, ValueError) as error:
        print(f"warning: images of the gallery are left out ({error})", file=sys.stderr)


def read(web: Path, epoch: int, label: str) -> ImageArray:
    """Read an image of the gallery, (H, W, 3) uint8. Raises OSError where that fails."""
    with open_image(web / "images" / f"epoch{epoch:03d}_{label}.png") as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    sys.exit(main())
