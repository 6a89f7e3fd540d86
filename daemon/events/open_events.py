"""Ends what the plug-ins of a camera have begun and can end no more, because they have forgotten the camera."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from sightd.daemon.events.event import PendingEvent
from sightd.plugins.api import EventRef, Phase

_MOST = 1000
"""Events of a camera that may last at the same time; beyond this, the oldest is ended."""

_Key = tuple[str | None, str, float, str]
Reason = Literal["stopped", "frame_size", "too_many"]


class OpenEvents:
    """Passes on the events of one camera's plug-ins, and knows which have begun and not ended. Thread-safe."""

    def __init__(self, record: Callable[[PendingEvent], None], clock: Callable[[], float] = time.time) -> None:
        """`record` gets the events, `clock` returns seconds since the epoch."""
        self._record, self._clock = record, clock
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, PendingEvent] = OrderedDict()
        self._closed = False

    def record(self, event: PendingEvent) -> None:
        self._record(event)
        with self._lock:
            if event.phase is Phase.BEGAN:
                self._open[_key(event.plugin, event.kind, event.at, event.facts)] = event
            elif event.phase is Phase.ENDED and event.about is not None:
                about = event.about
                self._open.pop(_key(event.plugin, about.kind, about.at, about.facts), None)
            too_many = len(self._open) > _MOST
            oldest = self._open.popitem(last=False)[1] if too_many else None
        if oldest is not None:
            self._end(oldest, "too_many")
        if self._closed:
            self.end("stopped")

    def end(self, reason: Reason) -> None:
        """Ends all events that last: each gets one more of its own kind, with its facts and the `reason`."""
        with self._lock:
            over = list(self._open.values())
            self._open.clear()
        for event in over:
            self._end(event, reason)

    def close(self) -> None:
        """Ends all events that last, and from now on each as soon as it has begun."""
        self._closed = True
        self.end("stopped")

    def _end(self, event: PendingEvent, reason: Reason) -> None:
        about = EventRef(event.kind, event.at, event.facts)
        facts = {**event.facts, "reason": reason}
        self._record(PendingEvent(event.kind, self._clock(), event.camera, event.plugin, facts, about, Phase.ENDED))


def _key(plugin: str | None, kind: str, at: float, facts: object) -> _Key:
    return plugin, kind, at, json.dumps(facts)
