"""`best.json`: of which epoch the weights in `best_net_<network>.pth` are, and why."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import write_text_atomically

FILE_NAME = "best.json"


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a network."""

    epoch: int
    metric: str
    """The title of the figure, with its extractor."""
    value: float


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
                row["epoch"], row["metric"], math.inf if row["value"] is None else row["value"]
            )
            for net, row in rows.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it") from error


def _plain(value: float) -> float | None:
    """JSON has no infinity: the PSNR of equal images is None."""
    return value if math.isfinite(value) else None
