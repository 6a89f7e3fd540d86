"""Pool of an engine's execution slots, each lent to one caller at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sightd.engines.errors import EngineError
from sightd.engines.trt.execution_slot import ExecutionSlot


class ExecutionSlotPool:
    """Lends the most recently used slot, whose memory is warm. Thread-safe."""

    def __init__(self, execution_slots: Sequence[ExecutionSlot], name: str) -> None:
        self._slots, self._name = list(execution_slots), name
        self._free = list(execution_slots)
        self._changed = threading.Condition()
        self._closed = False

    def take(self) -> ExecutionSlot:
        """Waits for a free slot and returns it. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: bool(self._free))
            return self._free.pop()

    def take_all(self) -> Sequence[ExecutionSlot]:
        """Waits until all slots are free and returns them. Raises EngineError after `close`."""
        with self._changed:
            self._wait(lambda: len(self._free) == len(self._slots))
            taken, self._free = self._free, []
            return taken

    def give_back(self, slot: ExecutionSlot) -> None:
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def close(self, within: float) -> list[ExecutionSlot]:
        """Stops lending and returns all slots once they are free, or an empty list if the pool was already closed.

        Raises EngineError if a slot is still in use after `within` seconds, because its memory cannot be freed during a
        run.
        """
        with self._changed:
            if self._closed:
                return []
            self._closed = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: len(self._free) == len(self._slots), within):
                out = len(self._slots) - len(self._free)
                raise EngineError(
                    f"{self._name}: {out} runs did not finish within {within:g} s; their memory is not released"
                )
            execution_slots, self._slots, self._free = self._slots, [], []
            return execution_slots

    def _wait(self, ready: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._closed or ready())
        if self._closed:
            raise EngineError(f"{self._name}: called after close")
