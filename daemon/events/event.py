"""Events and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from sightd.daemon.capture.reasons import words_of
from sightd.plugins.api import EventRef, Phase


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


SCHEMA = 1
"""Version of the form of an event as JSON, which `config/event.schema.json` describes."""

COMMON_FACTS: Mapping[str, tuple[type, ...]] = {
    "zone": (str,),
    "line": (str,),
    "class": (str,),
    "track": (int,),
    "person": (str,),
    "score": (int, float),
}
"""The facts that are fields of an event too, and their types; a value of another type is only a fact."""
_LARGEST = 2**63
"""Integers of SQLite are below."""


class StoredListener(Protocol):
    """Learns what becomes of an event: exactly one of both is called, on any thread, and must return at once."""

    def stored(self, event: int) -> None:
        """The event has this id, and nobody has read it yet."""
        ...

    def lost(self) -> None:
        """The event was dropped."""
        ...


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is not stored yet. `kind` is an `EventKind` or one that a plug-in declares, `at` seconds since the
    epoch; `facts` can be written as JSON. The id of the event that `about` names becomes `Event.began` if the phase is
    UPDATED or ENDED; otherwise it is added to the facts as `event`. `snapshot`, `clean_snapshot`, `clip`: whether the
    event gets these. The `rules` that selected it, if any, are added to the facts as `rules`. `listener` learns its
    id."""

    kind: str
    at: float
    camera: str | None = None
    plugin: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: EventRef | None = None
    phase: Phase = Phase.ONCE
    snapshot: bool = False
    clean_snapshot: bool = False
    clip: bool = False
    rules: tuple[str, ...] = ()
    listener: StoredListener | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. Ids increase and are never reused; `kind` may be one that a newer sightd wrote. `began` is the id
    of the event with which it began, of the phases UPDATED and ENDED; None also if that is no longer stored."""

    id: int
    kind: str
    at: float
    camera: str | None
    plugin: str | None
    facts: Mapping[str, Any]
    phase: Phase = Phase.ONCE
    began: int | None = None
    snapshot: bool = False
    clean_snapshot: bool = False
    clip: bool = False

    @property
    def rules(self) -> Sequence[str]:
        """The rules that selected it."""
        rules = self.facts.get("rules")
        return rules if isinstance(rules, list) else ()

    def for_json(self) -> dict[str, Any]:
        """Returns the event in schema 1, the one form that everybody gets (REST, streams, sinks, `--json`)."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kind": self.kind,
            "phase": str(self.phase),
            "began": self.began,
            "time": utc(self.at),
            "camera": self.camera,
            "plugin": self.plugin,
            **common(self.facts),
            "facts": dict(self.facts),
            "snapshot": self._path("snapshot.jpg") if self.snapshot else None,
            "clean_snapshot": self._path("clean.jpg") if self.clean_snapshot else None,
            "clip": self._path("clip.mp4") if self.clip else None,
        }

    def _path(self, name: str) -> str:
        return f"/api/v1/events/{self.id}/{name}"


def event_of(form: Mapping[str, Any]) -> Event:
    """Returns the event that `Event.for_json` wrote, of this sightd or an older one. Raises ValueError, KeyError or
    TypeError if `form` is invalid."""
    at = datetime.fromisoformat(form["time"]).timestamp()
    phase, began = Phase(form.get("phase", Phase.ONCE)), form.get("began")
    media = (form.get(name) is not None for name in ("snapshot", "clean_snapshot", "clip"))
    facts = dict(form["facts"])
    return Event(int(form["id"]), str(form["kind"]), at, form["camera"], form["plugin"], facts, phase, began, *media)


def common(facts: Mapping[str, Any]) -> dict[str, str | int | float | None]:
    """Returns the common facts; null for those that are missing or of another type."""
    return {name: _typed(facts.get(name), types) for name, types in COMMON_FACTS.items()}


def _typed(value: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(value, types) or isinstance(value, bool):
        return None
    return None if isinstance(value, int) and not -_LARGEST <= value < _LARGEST else value


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
