"""What a user is told to type, so that a run resumes exactly."""

from argparse import Namespace

import pytest

from util.run.resume import resume_command


@pytest.mark.parametrize(
    ("given", "without"),
    [
        ({"name", "lr"}, ""),
        ({"name", "start_from"}, " and without --start_from"),
        ({"epoch", "epoch_count"}, " and without --epoch or --epoch_count"),
        ({"continue_train", "load_iter"}, " and without --load_iter"),
    ],
)
def test_flags_that_choose_weights_or_an_epoch_are_to_be_left_out(
    given: set[str], without: str
) -> None:
    opt = Namespace(given=frozenset(given))
    assert resume_command(opt) == f"the same command with --continue_train{without}"
