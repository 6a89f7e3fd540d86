"""What an event is, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sightd.daemon.capture.reasons import words_of


class Kind(StrEnum):
    """What happened."""

    CAMERA_DOWN = "camera.down"
    """Its picture turned to the slate. Facts: `reason`, `last_picture` (UTC, or null where there never was one)."""
    CAMERA_UP = "camera.up"
    """Its picture is live. Facts: `away`, seconds; null where it is the first picture of a run."""
    CAMERA_LATE = "camera.late"
    """Its pictures arrive late. Facts: `age`, seconds."""
    CAMERA_ON_TIME = "camera.on_time"
    """Its pictures arrive on time again. Facts: `late`, seconds for which they did not."""
    PLUGIN_DOWN = "plugin.down"
    """Its circuit breaker took it out. Facts: `reason` (error, invalid or timeout)."""
    PLUGIN_UP = "plugin.up"
    """It runs again. Facts: `away`, seconds."""
    CONFIG_RELOADED = "config.reloaded"
    """Facts: `outcome` (applied or refused); the lists of what changed that are not empty, or the `reason`."""
    DAEMON_STARTED = "daemon.started"
    """Facts: `version`."""
    DAEMON_STOPPED = "daemon.stopped"
    """In order. A start without a stop before it follows a crash, a kill or a power cut."""
    EVENTS_LOST = "events.lost"
    """Events could not be kept for so long that not all of them had room. Facts: `count`."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that is not kept yet. `at` in seconds since the epoch; `facts` is for JSON and holds no secret."""

    kind: Kind
    at: float
    camera: str | None = None
    plugin: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that is kept. Ids rise and are never given twice; `kind` may be one that a newer sightd wrote."""

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
    """The event of `Event.for_json`. ValueError, KeyError or TypeError if it is none."""
    at = datetime.fromisoformat(form["time"]).timestamp()
    return Event(int(form["id"]), str(form["kind"]), at, form["camera"], form["plugin"], dict(form["facts"]))


def utc(at: float) -> str:
    """Seconds since the epoch as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(what: Happening | Event) -> str:
    """A line for people: "camera door: camera.down, reason timeout (no answer)"."""
    subject = f"camera {what.camera}: " if what.camera else f"plug-in {what.plugin}: " if what.plugin else ""
    facts = ", ".join(
        f"{name} {_shown(value)}{_explained(what, name, value)}"
        for name, value in what.facts.items()
        if value not in (None, [], (), "")
    )
    return f"{subject}{what.kind}" + (f", {facts}" if facts else "")


def _explained(what: Happening | Event, name: str, value: object) -> str:
    """The words for the reason why a camera is down; journals of other versions may have reasons unknown here."""
    words = words_of(str(value)) if what.kind == Kind.CAMERA_DOWN and name == "reason" else None
    return f" ({words})" if words else ""


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return f"{value:.1f}" if isinstance(value, float) else " ".join(str(value).split())  # an event is one line
