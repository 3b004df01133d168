"""`best.json`: of which epoch the weights in `best_net_<network>.pth` are, and why."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import write_text_atomically
from .weights import AVERAGED, read_weights, weights_path, write_weights

log = logging.getLogger(__name__)

FILE_NAME = "best.json"


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a network."""

    epoch: int
    metric: str
    """The title of the figure, with its extractor."""
    value: float
    protocol: str = ""
    """That of the figure; unknown where an earlier version stored it."""


def write_best(folder: Path, best: Mapping[str, BestEpoch]) -> None:
    """Write `best.json` of a run. Raises UserError where that is not possible."""
    rows = {net: {**vars(found), "value": _plain(found.value)} for net, found in best.items()}
    write_text_atomically(folder / FILE_NAME, json.dumps(rows, indent=1) + "\n")


def read_best(folder: Path) -> dict[str, BestEpoch]:
    """Return the best epoch of each network; empty where none is stored.

    Raises UserError where the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            net: BestEpoch(
                row["epoch"],
                row["metric"],
                math.inf if row["value"] is None else row["value"],
                row.get("protocol", ""),
            )
            for net, row in rows.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it") from error


def restore_best(folder: Path, known: Mapping[str, BestEpoch]) -> dict[str, BestEpoch]:
    """Make the state of a resumed run and the stored best weights agree; return the best epochs.

    A process that was killed between an evaluation and the save after it leaves weights of an epoch
    that the state does not know. Those of the known epoch replace them where they are stored, so
    that the run has the course of one that was not killed; else they stay, with a warning.
    """
    stored = _listed(folder)
    if stored is None:  # nothing says that the weights are not those that the state knows
        if known:
            write_best(folder, known)
        return dict(known)
    kept, unknown = dict(known), []
    for net in sorted(net for net in {*stored, *known} if stored.get(net) != known.get(net)):
        if net in known and _copied(folder, net, str(known[net].epoch)):
            continue
        kept.pop(net, None)  # without an entry, the next evaluation is the best one
        kept |= {net: stored[net]} if net in stored else {}
        unknown.append(net)
    if unknown:
        log.warning(
            "the best weights of %s are of an epoch that the training state does not know, and "
            "stay until an evaluation is better",
            " and ".join(unknown),
        )
    if stored != kept:
        write_best(folder, kept)
    return kept


def _listed(folder: Path) -> dict[str, BestEpoch] | None:
    """Return what `best.json` holds, None where it is missing or damaged."""
    try:
        return read_best(folder) if (folder / FILE_NAME).is_file() else None
    except UserError:
        return None


def _copied(folder: Path, net: str, epoch: str) -> bool:
    """Copy the weights of an epoch to the best ones; return whether all of them are stored."""
    averaged = weights_path(folder, "best", f"{net}{AVERAGED}").is_file()
    names = [net, f"{net}{AVERAGED}"] if averaged else [net]
    if not all(weights_path(folder, epoch, name).is_file() for name in names):
        return False
    try:
        weights = {name: read_weights(weights_path(folder, epoch, name)) for name in names}
    except UserError:  # a damaged file must not harm the run
        return False
    for name in names:
        write_weights(weights[name], weights_path(folder, "best", name))
    return True


def _plain(value: float) -> float | None:
    """JSON has no infinity: the PSNR of equal images is None."""
    return value if math.isfinite(value) else None
