"""A regression test of accuracy: the counts on a seeded crowd are exactly the recorded ones.

Check a change of the tracker that alters them with `python -m bench.trackers` and, if it is better, record the new
counts here.
"""

from __future__ import annotations

import pytest

from bench.trackers import score_ours
from tests.support.moving_world import Crowd


@pytest.mark.parametrize(
    ("every", "switches", "missed", "false", "idf1"),
    [(1, 2, 83, 68, 0.93), (4, 5, 246, 175, 0.885)],
)
def test_the_crowd_is_followed_as_on_record(every: int, switches: int, missed: int, false: int, idf1: float) -> None:
    score = score_ours(Crowd(seed=7, seconds=20), every).score
    assert (score.switches, score.missed, score.false, round(score.idf1, 3)) == (switches, missed, false, idf1)
