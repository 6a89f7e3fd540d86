"""Events and their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sightd.daemon.capture.reasons import words_of
from sightd.plugins.api import EventRef


class EventKind(StrEnum):
    """The type of an event of sightd itself; plug-ins declare others."""

    CAMERA_DOWN = "camera.down"
    """Its stream switched to the slate. Facts: `reason`, `last_picture` (UTC, or null if there never was one)."""
    CAMERA_UP = "camera.up"
    """Its stream is live. Facts: `away`, seconds; null if it is the first time in a run."""
    CAMERA_LATE = "camera.late"
    """Its frames arrive late. Facts: `age`, seconds."""
    CAMERA_ON_TIME = "camera.on_time"
    """Its frames arrive on time again. Facts: `late`, seconds for which they did not."""
    PLUGIN_DOWN = "plugin.down"
    """Its circuit breaker disabled it. Facts: `reason` (error, invalid or timeout)."""
    PLUGIN_UP = "plugin.up"
    """It runs again. Facts: `away`, seconds."""
    CONFIG_RELOADED = "config.reloaded"
    """Facts: `outcome` (applied or refused); the non-empty lists of what changed, or the `reason`."""
    DAEMON_STARTED = "daemon.started"
    """Facts: `version`."""
    DAEMON_STOPPED = "daemon.stopped"
    """A clean stop. A start without a stop before it follows a crash, a kill or a power cut."""
    EVENTS_LOST = "events.lost"
    """Events could not be stored for so long that some had to be dropped. Facts: `count`."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is not stored yet. `kind` is an `EventKind` or one that a plug-in declares, `at` seconds since the
    epoch; `facts` can be written as JSON. The id of the event that `about` names is added to them as `event`."""

    kind: str
    at: float
    camera: str | None = None
    plugin: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: EventRef | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. Ids increase and are never reused; `kind` may be one that a newer sightd wrote."""

    id: int
    kind: str
    at: float
    camera: str | None
    plugin: str | None
    facts: Mapping[str, Any]

    def for_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "time": utc(self.at),
            "camera": self.camera,
            "plugin": self.plugin,
            "facts": dict(self.facts),
        }


def event_of(form: Mapping[str, Any]) -> Event:
    """Returns the event that `Event.for_json` wrote. Raises ValueError, KeyError or TypeError if `form` is invalid."""
    at = datetime.fromisoformat(form["time"]).timestamp()
    return Event(int(form["id"]), str(form["kind"]), at, form["camera"], form["plugin"], dict(form["facts"]))


def utc(at: float) -> str:
    """Formats seconds since the epoch as ISO 8601 with milliseconds, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe(what: PendingEvent | Event) -> str:
    """Formats an event as a line for people: "camera door: camera.down, reason timeout (no answer)"."""
    subject = f"camera {what.camera}: " if what.camera else f"plug-in {what.plugin}: " if what.plugin else ""
    facts = ", ".join(
        f"{name} {_shown(value)}{_explained(what, name, value)}"
        for name, value in what.facts.items()
        if value not in (None, [], (), "")
    )
    return f"{subject}{what.kind}" + (f", {facts}" if facts else "")


def _explained(what: PendingEvent | Event, name: str, value: object) -> str:
    """Returns the words for the reason why a camera is down, if any; journals of other versions may have reasons
    unknown here."""
    words = words_of(str(value)) if what.kind == EventKind.CAMERA_DOWN and name == "reason" else None
    return f" ({words})" if words else ""


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"
    return " ".join(str(value).split())  # an event is one line
