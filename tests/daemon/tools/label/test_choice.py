"""Which frames are worth labelling: doubtful, missed and new ones, within a budget."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.tools.label.choice import Budget, Candidate, choose, uncertainty
from sightd.daemon.tools.label.finder import Found
from sightd.plugins.images.worth_labelling import Reason


def found(*scores: float, x: float = 0) -> Found:
    boxes = np.array([[x + 20 * n, 0, x + 20 * n + 10, 10] for n in range(len(scores))], np.float32).reshape(-1, 4)
    return Found(boxes, np.array(scores, np.float32), np.zeros(len(scores), np.int64))


def candidate(time: float, shade: float, result: Found | None = None) -> Candidate:
    return Candidate(time, np.full((18, 32), shade, np.float32), result)


def chosen(candidates: list[Candidate], most: int, gap: float = 1.0) -> list[tuple[float, Reason]]:
    return [(one.candidate.time, one.reason) for one in choose(candidates, Budget(most, gap))]


def test_without_a_model_the_frames_that_differ_most_are_taken() -> None:
    frames = [candidate(n, shade) for n, shade in enumerate((0.0, 0.01, 0.5, 0.51, 1.0, 0.99))]
    assert chosen(frames, 3) == [(0.0, Reason.NEW), (2.0, Reason.NEW), (4.0, Reason.NEW)]


def test_a_still_scene_gives_one_frame_however_large_the_budget_is() -> None:
    assert len(chosen([candidate(n, 0.5) for n in range(100)], 50)) == 1


def test_frames_that_the_dataset_has_already_are_not_new() -> None:
    known = [np.full((18, 32), 0.5, np.float32)]
    assert choose([candidate(0, 0.5)], Budget(5), known) == []


def test_the_most_doubtful_frames_come_first() -> None:
    scores = (0.9, 0.45, 0.05, 0.4, 0.6)
    frames = [candidate(n, 0.5, found(score)) for n, score in enumerate(scores)]
    assert chosen(frames, 4) == [(1.0, Reason.UNCERTAIN), (3.0, Reason.UNCERTAIN)]


@pytest.mark.parametrize(("score", "doubt"), [(0.4, 1), (0.525, 0.5), (0.275, 0.5), (0.7, 0), (0.1, 0)])
def test_doubt_is_largest_where_objects_begin_to_be_drawn(score: float, doubt: float) -> None:
    assert uncertainty(found(score)) == pytest.approx(doubt, abs=1e-6)
    assert uncertainty(found()) == uncertainty(None) == 0


def test_an_object_that_is_lost_for_one_frame_was_missed() -> None:
    frames = [candidate(0, 0.5, found(0.9)), candidate(1, 0.5, found()), candidate(2, 0.5, found(0.9))]
    assert (1.0, Reason.MISSED) in chosen(frames, 4)
    seen = [frames[0], candidate(1, 0.5, found(0.26)), frames[2]]
    assert (1.0, Reason.MISSED) not in chosen(seen, 4)
    moved = [candidate(0, 0.5, found(0.9)), candidate(1, 0.5, found()), candidate(2, 0.5, found(0.9, x=100))]
    assert (1.0, Reason.MISSED) not in chosen(moved, 4)


def test_no_reason_takes_more_than_half_of_the_budget_and_frames_keep_their_distance() -> None:
    frames = [candidate(n / 2, n / 40, found(0.4)) for n in range(40)]
    taken = chosen(frames, 10)
    assert len(taken) == 10
    assert sum(reason is Reason.UNCERTAIN for _, reason in taken) == 5
    times = [time for time, _ in taken]
    assert min(np.diff(times)) >= 1.0
