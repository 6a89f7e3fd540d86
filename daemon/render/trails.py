"""The ways that tracks came: a bounded memory of places, drawn as lines that fade."""

from __future__ import annotations

import math
from collections import OrderedDict, deque

import numpy as np

from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.palette import Colour
from sightd.plugins.types import Tracks

MOST_TRACKS = 256
POINTS = 20
"""Places remembered of a track: a trail of 2 s has one every 105 ms, whatever the frame rate."""
PIECES = 4
"""Steps in which a trail fades."""
_STEP = 0.012
"""Way between places, as a share of the box's width and height: who stands still leaves no scribble."""
_FAR = 1 << 20
"""Places further out than this many pixels are not remembered: they would not fit a drawn coordinate."""

Place = tuple[float, float, float]
"""When (captured_at, s) and where (x, y in source pixels) a track was: the middle of its lower edge."""


class Trails:
    """Where each track of one camera was in the last `length` seconds. Used by one thread."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._trails: OrderedDict[int, deque[Place]] = OrderedDict()
        self._now = float("-inf")

    def __len__(self) -> int:
        return len(self._trails)

    def update(self, tracks: Tracks, now: float) -> None:
        """Remembers where the tracks are at `now` (captured_at, s) and forgets what is older than the length."""
        if now < self._now:
            self._trails.clear()  # another source's clock: its places lie in no order with these
        self._now = now
        for number, (x1, y1, x2, y2) in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            x, y = (x1 + x2) / 2, y2
            if abs(x) < _FAR and abs(y) < _FAR:  # which also says that they are numbers
                self._remember(number, (now, x, y), _STEP * (y2 - y1 + x2 - x1))
        self._forget(now - self._length)

    def places(self, number: int) -> list[Place]:
        """Where a track was, the oldest place first; empty for a track that is not known."""
        return list(self._trails.get(number, ()))

    def draw(self, canvas: OutputCanvas, number: int, colour: Colour) -> None:
        """The trail of a track, fading into the picture towards its old end."""
        places = self._trails.get(number, ())
        if len(places) < 2:
            return
        line = np.array(places)[:, 1:].astype(np.float32)
        step = -(-(len(places) - 1) // PIECES)
        for start in range(0, len(places) - 1, step):
            piece = line[start : start + step + 1]
            middle = start + len(piece) // 2
            strength = max(0.0, 1 - (self._now - places[middle][0]) / self._length)
            thickness = max(1, round(0.85 * canvas.measures.accent * strength))
            canvas.trail(piece, colour, strength, thickness)

    def _remember(self, number: int, place: Place, step: float) -> None:
        """Moves the trail's end to `place`; the end before it stays where it is a way off from its predecessor."""
        places = self._trails.setdefault(number, deque(maxlen=POINTS))
        if len(places) > 1:
            (then, x, y), (end, end_x, end_y) = places[-2], places[-1]
            if end - then < self._length / (POINTS - 1) or math.hypot(end_x - x, end_y - y) < step:
                places.pop()
        places.append(place)
        self._trails.move_to_end(number)

    def _forget(self, before: float) -> None:
        for number, places in list(self._trails.items()):
            while places and places[0][0] < before:
                places.popleft()
            if not places:
                del self._trails[number]
        while len(self._trails) > MOST_TRACKS:
            self._trails.popitem(last=False)
