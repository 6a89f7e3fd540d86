"""The lanes of one detector, each lent to one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from engines.cuda.detection_lane import DetectionLane, Placed
from engines.cuda.device_image import DeviceImage
from engines.cuda.upload import Image
from engines.errors import EngineError

_CLOSE_WITHIN = 10.0


class DetectionLanes:
    """At most `most` lanes, made when threads come together; the one that was used last is lent first. Any thread."""

    def __init__(self, make: Callable[[], DetectionLane], most: int = 2) -> None:
        self._make, self._most = make, most
        self._free: list[DetectionLane] = []
        self._lent = 0
        self._closed = False
        self._changed = threading.Condition()

    def find(self, images: Sequence[Image | DeviceImage]) -> list[Placed]:
        """See `DetectionLane.find`; waits until a lane is free. EngineError after `close`."""
        with self._lane() as lane:
            return lane.find(images)

    def close(self) -> None:
        """Waits for runs under way, then frees all lanes; before the session is closed. Twice is safe.

        EngineError where a run does not end: its memory cannot be freed under it.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._lent, _CLOSE_WITHIN):
                raise EngineError(f"{self._lent} detections did not end within {_CLOSE_WITHIN:g} s; memory stays taken")
            lanes, self._free = self._free, []
        for lane in lanes:
            lane.close()

    @contextmanager
    def _lane(self) -> Iterator[DetectionLane]:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._lent < self._most)
            if self._closed:
                raise EngineError("a detector was asked after it was closed")
            self._lent += 1
            free = self._free.pop() if self._free else None
        lane = free
        try:
            lane = lane or self._make()
            yield lane
        finally:
            with self._changed:
                self._lent -= 1
                if lane is not None:
                    self._free.append(lane)
                self._changed.notify_all()
