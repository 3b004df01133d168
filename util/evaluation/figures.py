"""What is measured: the names of the metrics, and a figure with its protocol."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from util.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """How a metric is called and read."""

    title: str
    higher_is_better: bool = False
    of_features: bool = False
    """Compares two sets by the features of an extractor; needs torch-fidelity."""
    of_pairs: bool = False
    """Compares a translation with the true answer, the real image of the same name."""


METRICS = {
    "fid": Metric("FID", of_features=True),
    "kid": Metric("KID", of_features=True),
    "precision": Metric("precision", higher_is_better=True, of_features=True),
    "recall": Metric("recall", higher_is_better=True, of_features=True),
    "l1": Metric("L1", of_pairs=True),
    "psnr": Metric("PSNR", higher_is_better=True, of_pairs=True),
    "ssim": Metric("SSIM", higher_is_better=True, of_pairs=True),
    "lpips_like": Metric("LPIPS-like", of_features=True, of_pairs=True),
    "cycle": Metric("cycle error"),
    "identity": Metric("identity error"),
}
"""What `--metrics` accepts, in the order in which figures are shown."""

PLAIN = {"inception-v3-compat": ("fid", "kid")}
"""The figures whose plain name is defined by an extractor; all others carry its name."""


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    metric: str
    """A key of METRICS."""
    value: float
    protocol: str
    """What one must know to compare it: counts, extractor, resize, seed."""
    spread: float | None = None
    """KID alone: the standard deviation over its subsets."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is better."""
        return METRICS[self.metric].higher_is_better


def title(metric: str, extractor: str | None) -> str:
    """`FID` where the extractor is the one that defines it, else `FID[<extractor>]`."""
    name = METRICS[metric].title
    if not METRICS[metric].of_features or metric in PLAIN.get(extractor or "", ()):
        return name
    return f"{name}[{extractor}]"


def check_metrics(names: Iterable[str], flag: str = "--metrics") -> tuple[str, ...]:
    """The metrics of these names in the order of METRICS. Raises UsageError for an unknown one."""
    wanted = list(names)
    for name in wanted:
        if name not in METRICS:
            hint = did_you_mean(name, METRICS)
            raise UsageError(
                f"{flag} {name}: there is no such metric{hint} (there are: {', '.join(METRICS)})"
            )
    return tuple(name for name in METRICS if name in wanted)


def in_order(figures: Mapping[str, Figure], metrics: Sequence[str]) -> dict[str, Figure]:
    """Return the figures in the order of `metrics`, of which the first decides what is best."""
    titles = sorted(figures, key=lambda title: metrics.index(figures[title].metric))
    return {title: figures[title] for title in titles}


def is_better(figure: Figure, value: float | None) -> bool:
    """Return whether a figure is better than a `value` of its metric; None is worse than all."""
    if math.isnan(figure.value):
        return False
    if value is None:
        return True
    return figure.value > value if figure.higher_is_better else figure.value < value


def best(figures: Mapping[str, Figure]) -> str | None:
    """The key (an epoch, say) of the best of several figures of one metric; the first of equals.

    Only figures of the protocol of the latest epoch are compared. None where there are none, or
    where all are equal; not a number is never the best.
    """
    latest = max(figures, key=lambda key: int(key) if key.isdecimal() else -1, default="")
    values = {
        key: figure.value
        for key, figure in figures.items()
        if figure.protocol == figures[latest].protocol and not math.isnan(figure.value)
    }
    if len(set(values.values())) < 2:
        return None
    choose = max if next(iter(figures.values())).higher_is_better else min
    return choose(values, key=values.__getitem__)


def best_by_title(rows: Mapping[str, Mapping[str, Figure]]) -> dict[str, str]:
    """Title -> the key of the row that is best in it, for rows of title -> figure."""
    titles = dict.fromkeys(title for row in rows.values() for title in row)
    found = {t: best({key: row[t] for key, row in rows.items() if t in row}) for t in titles}
    return {title: key for title, key in found.items() if key is not None}
