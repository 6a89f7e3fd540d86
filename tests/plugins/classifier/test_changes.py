"""When a change of the class is reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import Event, Events, Frame, Image, JsonValue, Phase, Results
from sightd.plugins.classifier import Classifier
from sightd.plugins.classifier.changes import SPEC, ChangeRules, ReportedClass, changes
from tests.plugins.classifier.test_plugin import GREEN, RED, Opened, colours, followed, opened, plain, side_by_side

__all__ = ["colours", "opened"]

RULES = ChangeRules(min_score=0.3, change_after=2.0)
DAY, NIGHT, DOUBT, NOTHING = (0.9, 0.05, 0.05), (0.1, 0.8, 0.1), (0.45, 0.5, 0.05), (0.28, 0.29, 0.28)


def told(scores: Sequence[Sequence[float]], seconds: float = 1.0, rules: ChangeRules = RULES) -> list[int]:
    """Returns the reported class after each frame; -1 is none."""
    known, found = ReportedClass(), []
    for number, one in enumerate(scores):
        known = known.after(np.array(one, np.float32), number * seconds, rules)
        found.append(known.class_id)
    return found


@pytest.mark.parametrize(
    ("scores", "expected", "why"),
    [
        ([DAY] * 3, [-1, -1, 0], "the first class, once it has lasted"),
        ([*[DAY] * 3, *[NIGHT] * 3], [-1, -1, 0, 0, 0, 1], "another one, once it has lasted"),
        ([*[DAY] * 3, *[NIGHT, DAY] * 4], [-1, -1, *[0] * 9], "flicker changes nothing"),
        ([*[DAY] * 3, *[DOUBT] * 4], [-1, -1, *[0] * 5], "hardly more likely changes nothing"),
        ([*[DAY] * 3, *[NOTHING] * 4], [-1, -1, *[0] * 5], "nothing likely enough changes nothing"),
        ([NOTHING] * 4, [-1] * 4, "nothing was ever likely enough"),
    ],
)
def test_a_class_is_reported_once_it_has_clearly_been_the_likeliest_for_a_while(
    scores: Sequence[Sequence[float]], expected: list[int], why: str
) -> None:
    assert told(scores) == expected, why


def test_rare_frames_and_no_delay_and_time_that_runs_backwards() -> None:
    assert told([DAY, DAY, NIGHT, NIGHT], seconds=60) == [-1, 0, 0, 1]
    assert told([DAY, NIGHT], rules=ChangeRules(0.3, 0)) == [0, 1]
    known = ReportedClass()
    for at in (0.0, -5.0, -3.0):
        known = known.after(np.array(DAY, np.float32), at, RULES)
    assert known.class_id == 0, "the wait began again at -5 s"


def test_what_a_frame_has_no_room_for_is_reported_on_the_next() -> None:
    scores = {track: np.array(DAY, np.float32) for track in range(20)}
    reported, first = changes({}, scores, ("day", "night"), 0.0, ChangeRules(0.3, 0))
    _, second = changes(reported, scores, ("day", "night"), 0.1, ChangeRules(0.3, 0))
    assert [event.facts["track"] for event in (*first, *second)] == list(range(20))
    assert all(event.facts.keys() <= set(SPEC.facts or ()) for event in first), "facts are declared"


def events(plugin: Classifier, image: Image, at: float, *given: object, **of: Any) -> tuple[Event, ...]:
    [found] = plugin.process([Frame.of(image, captured_at=at, **of)], [Results(*given)])
    happened = found.get(Events)
    return () if happened is None else happened.items


def test_a_frame_whose_class_changes_is_reported_with_the_class_before(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="1s", change_after="1s")
    shown = [events(plugin, plain(RED if at < 5 else GREEN), at) for at in range(10)]
    [(first, red), (second, green)] = [(at, one) for at, found in enumerate(shown) for one in found]
    assert red.facts == {"class": "red", "before": None, "score": red.facts["score"]}
    assert (green.facts["class"], green.facts["before"], green.phase) == ("green", "red", Phase.ONCE)
    assert (first, second) == (1, 6), "the first frame of a class begins the wait"
    plugin.forget("camera")
    assert not plugin._reported


def test_a_tracked_object_has_events_of_its_own_and_a_photograph_none(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects", change_after="1s", smoothing_time=0)
    for at in range(3):
        found = events(plugin, side_by_side(RED, GREEN), at, followed(4, 5))
        expected: list[JsonValue] = [["red", 4], ["green", 5]] if at == 1 else []
        assert [[event.facts["class"], event.facts["track"]] for event in found] == expected
    for at in range(10, 12):
        events(plugin, side_by_side(RED), at, followed(6))
    assert set(plugin._reported["camera"]) == {6}, "those of tracks that have ended are dropped"
    assert not events(plugin, plain(RED), 20, still=True)
