"""What every sink does, how an event and its topic are written for it, and how long to wait after a failure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

from sightd.daemon.events.event import Event
from sightd.engines.text import json_text

_NO_CAMERA = "_"
"""Stands for a camera that an event does not have; no camera's name begins with it."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class UnavailableError(Exception):
    """The sink does not accept events at the moment; the message says why, without a secret. The event is retried until
    it is delivered, but not within the next `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(Exception):
    """The sink refuses this event and would refuse it again; the message says why, without a secret."""


class Sink(Protocol):
    """A receiver of events. All methods but `abort` are called on one thread."""

    @property
    def idle_interval(self) -> float | None:
        """Maximum seconds between two calls of `keep_alive` while there is nothing to send; None if it does nothing."""

    def keep_alive(self) -> None:
        """Connects if the sink needs a connection, and maintains it. Raises UnavailableError."""

    def send(self, event: Event) -> None:
        """Returns when the sink has acknowledged the event, within the sink's timeout. Raises UnavailableError or
        RefusedError; the event may have arrived nevertheless."""

    def close(self) -> None:
        """Ends the connection in an orderly way, within a second. Never raises."""

    def abort(self) -> None:
        """Makes a call in progress fail soon. May be called from any thread; the sink is not used afterwards, except
        for `close`."""


@runtime_checkable
class PipelinedSink(Sink, Protocol):
    """A sink that has several events under way at once."""

    @property
    def window(self) -> int:
        """Maximum events in one call of `send_many`."""

    def send_many(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> None:
        """Sends events in order, and calls `acknowledged` with their ids as the sink acknowledges them, in any order.
        Returns when it has acknowledged all; the timeout counts from the last acknowledgement. Raises RefusedError if
        it refuses the first one that it has not acknowledged, UnavailableError for any other failure."""


def body_of(event: Event) -> str:
    """Returns the event as a line of JSON, without the line break."""
    return json_text(event.for_json(), separators=(",", ":"))


def topic_of(template: str, event: Event, instance: str) -> str:
    """Returns the name of a topic or subject: replaces {instance}, {kind} and {camera} in `template`. Characters of a
    kind that names must not have become "_"."""
    values = {"instance": instance, "kind": event.kind, "camera": event.camera or _NO_CAMERA}
    return re.sub(r"\{(\w+)\}", lambda found: _NOT_IN_NAMES.sub("_", values[found[1]]), template)


class Backoff:
    """Delays between attempts: exponential with full jitter. Not thread-safe; `draw` returns random numbers in
    [0, 1)."""

    def __init__(self, initial: float, maximum: float, draw: Callable[[], float] = random.random) -> None:
        self._initial, self._maximum, self._draw = min(initial, maximum), maximum, draw
        self._limit = self._initial

    def next(self) -> float:
        """Returns the seconds to wait after one more failure."""
        limit, self._limit = self._limit, min(2 * self._limit, self._maximum)
        return limit * self._draw()

    def reset(self) -> None:
        """Begins again with the initial delay."""
        self._limit = self._initial
