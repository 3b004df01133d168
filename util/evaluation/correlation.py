"""How well one metric orders the epochs of a run as another does."""

import numpy as np

from .report import UNTRANSLATED, Comparison


def rank_correlations(comparison: Comparison, metric: str) -> dict[str, float]:
    """Title -> Spearman's rank correlation of that figure with `metric` over the epochs.

    1: both order the epochs alike from best to worst, 0: their orders are unrelated, -1: opposite.
    Empty with fewer than three epochs, or where `metric` was not measured; a figure that is the
    same in all epochs orders nothing and is left out.
    """
    rows = [row for key, row in comparison.figures.items() if key != UNTRANSLATED]
    values: dict[str, list[float]] = {}
    truth = ""
    for title in comparison.titles:
        figures = [row[title] for row in rows if title in row]
        values[title] = [f.value if f.higher_is_better else -f.value for f in figures]
        truth = title if figures and figures[0].metric == metric else truth
    if len(rows) < 3 or len({*values.get(truth, ())}) < 2:
        return {}
    return {
        title: spearman(of_title, values[truth])
        for title, of_title in values.items()
        if title != truth and len(of_title) == len(rows) and len({*of_title}) > 1
    }


def why_none(comparison: Comparison, metric: str) -> str:
    """Return why `rank_correlations` finds none with that metric."""
    rows = [row for key, row in comparison.figures.items() if key != UNTRANSLATED]
    if len(rows) < 3:
        return "it takes three epochs or more"
    values = [figure.value for row in rows for figure in row.values() if figure.metric == metric]
    if not values:
        return "it could not be measured on these images"
    if len({*values}) < 2:
        return "it is the same in all epochs"
    return "no other figure was measured that differs between the epochs"


def spearman(first: list[float], second: list[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: list[float]) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]
