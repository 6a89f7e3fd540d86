"""A film of pedestrians (OpenCV's sample vtest.avi: 768x576, 10 frames per second, 80 s), counted by eye.

`pedestrians.csv.gz` has what `sightd analyze --chain detector,tracker` found with yolox-nano: frame, track and box of
each person. Ids switch often: there are 25 tracks, and many more people.

By eye, 11 people cross the line on the road from the left to the right, and 15 from the right to the left. Two walk
onto the lawn together, leave it one after the other, and one of them comes back to its edge.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from sightd.plugins.zones.config import CameraZones
from sightd.plugins.zones.machine import step
from sightd.plugins.zones.plan import CameraPlan
from sightd.plugins.zones.state import CameraState, Direction, Sighting

SIZE, FPS, FRAMES = (768, 576), 10, 795
CAMERA = CameraZones.model_validate(
    {
        "size": SIZE,
        "lines": {"road": {"points": [[330, 310], [330, 190]]}},
        "zones": {"lawn": {"corners": [[0, 300], [240, 310], [560, 420], [768, 500], [768, 576], [0, 576]]}},
    }
)


@cache
def sightings() -> Mapping[int, list[Sighting]]:
    found, began = defaultdict(list), dict[int, int]()
    for line in gzip.decompress(Path(__file__).with_name("pedestrians.csv.gz").read_bytes()).decode().splitlines():
        frame, track, x1, y1, x2, y2 = map(int, line.split(","))
        age = (frame - began.setdefault(track, frame)) / FPS
        point = (x1 + x2) / 2, min(y2, SIZE[1] - 1e-6)
        found[frame].append(Sighting(track, "person", point, ((x2 - x1) * (y2 - y1)) ** 0.5, age))
    return found


def counted(every: int) -> CameraState:
    plan, state = CameraPlan.of(CAMERA, SIZE), CameraState()
    for frame in range(0, FRAMES, every):
        state, _ = step(state, sightings()[frame], frame / FPS, None, plan, 2.0)
    return state


@pytest.mark.parametrize("every", [1, 2, 5])
def test_line_and_zone_count_what_the_eye_counts(every: int) -> None:
    state = counted(every)
    assert state.lines["road"].crossed == {Direction.IN: 11, Direction.OUT: 15}
    assert (state.zones["lawn"].entered, state.zones["lawn"].left) == (3, 2)
