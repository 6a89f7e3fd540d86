"""Reads a daemon's journal over its API, as `daemon.events.journal_reader` reads the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sightd.daemon.control.client import Client, ControlError
from sightd.daemon.events.event import Event, event_of
from sightd.daemon.events.journal_reader import Filter

_SILENCE = 60.0
"""Seconds of silence after which a stream counts as broken: the daemon sends a comment every 15 s."""


class RemoteJournal:
    """The journal of a running daemon. Methods raise ControlError and ApiError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def newest(self) -> int:
        """Returns the id of the newest event; 0 if there is none."""
        return max((event.id for event in self._events({"limit": 1})), default=0)

    def after(self, last: int, limit: int, wanted: Filter) -> list[Event]:
        """Like `JournalReader.after`."""
        return self._events({"after": last, "limit": limit, **_query(wanted)})

    def latest(self, limit: int, wanted: Filter) -> list[Event]:
        """Like `JournalReader.latest`."""
        return self._events({"limit": limit, **_query(wanted)})

    def following(self, last: int, wanted: Filter) -> Iterator[Event]:
        """Yields events with an id above `last` as they happen, until the daemon ends the stream. Ignores
        `wanted.since`."""
        query = {name: value for name, value in _query(wanted).items() if name != "since"}
        with self._client.lines("/api/events/stream", query={"after": last, **query}, silence=_SILENCE) as lines:
            is_event = True
            for line in lines:
                name, _, value = line.partition(": ")
                if not line:
                    is_event = True
                elif name == "event":  # a gap: deleted events cannot be shown
                    is_event = False
                elif name == "data" and is_event:
                    yield self._event_of(value)

    def _events(self, query: dict[str, object]) -> list[Event]:
        return [self._event(form) for form in self._client.json("GET", "/api/events", query=query)]

    def _event_of(self, line: str) -> Event:
        try:
            form = json.loads(line)
        except ValueError as error:
            raise ControlError(f"{self._client} sent an event that is not valid JSON") from error
        return self._event(form)

    def _event(self, form: Any) -> Event:
        try:
            return event_of(form)
        except (ValueError, KeyError, TypeError) as error:
            raise ControlError(f"{self._client} sent an invalid event") from error


def _query(wanted: Filter) -> dict[str, object]:
    asked = {"camera": wanted.camera, "kind": wanted.kind, "since": wanted.since}
    return {name: value for name, value in asked.items() if value is not None}
