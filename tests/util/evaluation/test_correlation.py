"""Which metric orders epochs as another does."""

import pytest

from util.evaluation.correlation import rank_correlations, spearman, why_none
from util.evaluation.figures import Figure
from util.evaluation.report import UNTRANSLATED, Comparison


def comparison(**of_metrics: list[float]) -> Comparison:
    """Epochs 1, 2, ... with these values, titled by their metric."""
    epochs = zip(*of_metrics.values(), strict=True)
    rows = {
        str(epoch): {m: Figure(m, v, "") for m, v in zip(of_metrics, values, strict=True)}
        for epoch, values in enumerate(epochs, 1)
    }
    return Comparison("run", "own size", {UNTRANSLATED: {"l1": Figure("l1", 0.0, "")}, **rows})


def test_orders_alike_and_opposite() -> None:
    found = rank_correlations(
        comparison(l1=[4, 3, 2, 1], fid=[90, 80, 70, 10], psnr=[1, 2, 3, 9], kid=[1, 2, 3, 4]), "l1"
    )
    assert found == pytest.approx({"fid": 1, "psnr": 1, "kid": -1})


def test_a_known_value_with_equal_ranks() -> None:
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: Pearson of them is 4.5 / sqrt(4.5 * 5)
    assert spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_what_orders_nothing_is_left_out() -> None:
    assert rank_correlations(comparison(l1=[3, 2, 1], recall=[0, 0, 0]), "l1") == {}
    assert rank_correlations(comparison(l1=[2, 1], fid=[2, 1]), "l1") == {}
    assert rank_correlations(comparison(l1=[1, 1, 1], fid=[3, 2, 1]), "l1") == {}
    assert rank_correlations(comparison(kid=[3, 2, 1], fid=[3, 2, 1]), "l1") == {}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"l1": [3, 2, 1], "recall": [0, 0, 0]}, "no other figure was measured"),
        ({"l1": [2, 1], "fid": [2, 1]}, "it takes three epochs or more"),
        ({"l1": [1, 1, 1], "fid": [3, 2, 1]}, "it is the same in all epochs"),
        ({"kid": [3, 2, 1], "fid": [3, 2, 1]}, "it could not be measured"),
    ],
)
def test_it_is_said_why_there_is_none(values: dict[str, list[float]], reason: str) -> None:
    assert reason in why_none(comparison(**values), "l1")
