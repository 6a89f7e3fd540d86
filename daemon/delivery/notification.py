"""What a notification says: an event in plain words, or a summary of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sightd.daemon.config.event_template import EventTemplate
from sightd.daemon.events.event import Event
from sightd.daemon.events.words import in_words

_MOST_KINDS = 8
"""Lines of a summary."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What people read, as text. `picture` is a JPEG file."""

    title: str
    body: str
    picture: Path | None = None


class NotificationWriter:
    """Writes notifications by the templates of a sink, or as is usual. Immutable."""

    def __init__(
        self, title: EventTemplate | None, body: EventTemplate | None, instance: str, public_url: str | None
    ) -> None:
        """`public_url` is where people reach sightd's API; without it there are no links."""
        self._title, self._body, self._instance, self._public_url = title, body, instance, public_url

    def write(self, events: Sequence[Event], picture: Path | None) -> Notification:
        """Writes of the first event, and says how many more there are."""
        first, others = events[0], events[1:]
        record = self._record(first)
        title = in_words(first) if self._title is None else self._title.render(record)
        body = self._details(record) if self._body is None else self._body.render(record)
        if others:
            title += f" and {len(others)} more"
            body += "\n" + _summary(others)
        return Notification(title, body, picture)

    def _record(self, event: Event) -> dict[str, Any]:
        record = event.for_json()
        for name in ("snapshot", "clean_snapshot", "clip"):
            record[name] = self._link(record[name])
        return {**record, "text": in_words(event), "instance": self._instance}

    def _link(self, path: str | None) -> str | None:
        return None if path is None or self._public_url is None else self._public_url.rstrip("/") + path

    def _details(self, record: Mapping[str, Any]) -> str:
        at = datetime.fromisoformat(record["time"]).astimezone()
        lines = [f"{at:%d %b %Y, %H:%M:%S}"]
        lines += [f"{name}: {record[field]}" for name, field in (("Picture", "snapshot"), ("Clip", "clip"))
                  if record[field] is not None]  # fmt: skip
        return "\n".join(lines)


def _summary(events: Sequence[Event]) -> str:
    """Counts events by their words: "3 × Person entered yard (camera gate)"."""
    counts = Counter(in_words(event) for event in events)
    lines = [f"{count} × {words}" for words, count in islice(counts.most_common(), _MOST_KINDS)]
    if len(counts) > _MOST_KINDS:
        lines.append(f"{sum(counts.values()) - sum(n for _, n in counts.most_common(_MOST_KINDS))} × other")
    return "\n".join(lines)
