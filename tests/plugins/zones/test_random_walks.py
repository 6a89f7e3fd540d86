"""Whatever objects do, nothing is counted twice or forgotten, and the frame rate changes no count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightd.plugins.zones.state import Kind
from tests.plugins.zones.scenes import SQUARE, UPWARDS, Walk, Watched, plan, watch

CAMERA = plan(
    {
        "square": {"corners": SQUARE, "loiter_after": "4s", "crowd": 2},
        "half": {"corners": [[0, 0], [0.5, 0], [0.45, 1], [0, 1]], "classes": ["person"]},
        "star": {
            "corners": [[0.1, 0.1], [0.5, 0.3], [0.9, 0.1], [0.7, 0.5], [0.9, 0.9], [0.5, 0.7], [0.1, 0.9], [0.3, 0.5]]
        },
    },
    {"upwards": {"points": UPWARDS}, "endless": {"points": [[0, 0.37], [1, 0.41]]}},
)
SECONDS = 30
BAND = 10
"""Half the width of the band around an edge, in px, for objects of this size."""


def seeds(first: int, number: int, quick: int) -> list[Any]:
    """Returns `number` seeds, all but `quick` of which are slow: what breaks the counts breaks most walks."""
    return [pytest.param(first + one, marks=() if one < quick else pytest.mark.slow) for one in range(number)]


def walks(seed: int, number: int = 5) -> list[Walk]:
    """Objects that turn at whole seconds, appear and disappear, and rest for the last four seconds."""
    random = np.random.default_rng(seed)
    found = []
    for track in range(1, number + 1):
        begin, steps = int(random.integers(0, 8)), int(random.integers(4, 18))
        places = np.clip(np.cumsum(random.normal(0, 120, (steps, 2)), axis=0) + random.uniform(100, 900, 2), 2, 998)
        points = [(float(begin + index), x, y) for index, (x, y) in enumerate(places.tolist())]
        at, x, y = points[-1]
        points.append((at + 4, x, y))
        found.append(Walk(points, track, str(random.choice(["person", "car"]))))
    return found


def seen(seed: int, fps: float) -> Watched:
    return watch(walks(seed), CAMERA, SECONDS, fps=fps)


@pytest.mark.parametrize("seed", seeds(0, 12, quick=3))
def test_the_frame_rate_changes_no_count(seed: int) -> None:
    expected = seen(seed, 25)
    assert expected.happened
    for fps in (1, 5):
        assert seen(seed, fps).numbers == expected.numbers, f"{fps} frames per second"


@pytest.mark.parametrize("seed", seeds(20, 20, quick=5))
def test_who_entered_and_has_not_left_is_inside(seed: int) -> None:
    found = watch(walks(seed, 12), CAMERA, 12, fps=5)
    for name, tally in found.state.zones.items():
        members = [one for one in found.state.subjects.values() if name in one.presences and one.presences[name].inside]
        assert tally.inside == tally.entered - tally.left == len(members)
        assert (tally.occupied is not None) is bool(members)
        assert sum(tally.by_class.values()) == tally.entered == found.numbers["zone.entered", name, ""]
    later = watch([], CAMERA, 16, fps=5, before=found, begin=12.2)
    assert not any(tally.inside for tally in later.state.zones.values())
    assert len(later.of(Kind.OCCUPIED)) == len(later.of(Kind.EMPTY))


@pytest.mark.parametrize("seed", seeds(40, 20, quick=5))
def test_crossings_balance(seed: int) -> None:
    """Over a line from border to border, each object goes in as often as out, or once more if it ends on the other
    side."""
    for walk in walks(seed):
        found = watch([walk], CAMERA, SECONDS, fps=5)
        net = found.numbers["line.crossed", "endless", "in"] - found.numbers["line.crossed", "endless", "out"]
        begin, end = (_offset(point) for point in (walk.points[0], walk.points[-1]))
        if abs(end) > BAND:  # what ends nearer may still count as on the other side
            assert net == (end > 0) - (begin > 0)


def _offset(point: tuple[float, float, float]) -> float:
    return float(CAMERA.lines[1].gate.offsets(np.array([point[1:]]))[0])
