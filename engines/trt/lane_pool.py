"""Pool of an engine's execution slots, each lent to one caller at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sightd.engines.errors import EngineError
from sightd.engines.trt.lane import Lane


class LanePool:
    """Lends the most recently used slot, whose memory is warm. Thread-safe."""

    def __init__(self, lanes: Sequence[Lane], name: str) -> None:
        self._lanes, self._name = list(lanes), name
        self._free = list(lanes)
        self._changed = threading.Condition()
        self._closed = False

    def take(self) -> Lane:
        """Waits for a free slot and returns it. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: bool(self._free))
            return self._free.pop()

    def take_all(self) -> Sequence[Lane]:
        """Waits until all slots are free and returns them. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: len(self._free) == len(self._lanes))
            taken, self._free = self._free, []
            return taken

    def give_back(self, lane: Lane) -> None:
        with self._changed:
            self._free.append(lane)
            self._changed.notify_all()

    def close(self, within: float) -> list[Lane]:
        """Stops lending and returns all slots once they are free, or an empty list if the pool was already closed.

        Raises EngineError if a slot is still in use after `within` seconds, because its memory cannot be freed during a
        run.
        """
        with self._changed:
            if self._closed:
                return []
            self._closed = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: len(self._free) == len(self._lanes), within):
                out = len(self._lanes) - len(self._free)
                raise EngineError(
                    f"{self._name}: {out} runs did not finish within {within:g} s; their memory is not released"
                )
            lanes, self._lanes, self._free = self._lanes, [], []
            return lanes

    def _wait(self, ready: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._closed or ready())
        if self._closed:
            raise EngineError(f"{self._name}: called after close")
