"""Events in plain words, for notifications and chats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sightd.daemon.capture.reasons import words_of
from sightd.daemon.events.event import Event, describe
from sightd.plugins.api import Phase

Facts = Mapping[str, Any]


def in_words(event: Event) -> str:
    """Returns a sentence without a full stop, such as "Person entered yard (camera gate)"; of a kind unknown here, the
    line of `sightd events`."""
    write = _ENDS.get(event.kind) if event.phase is Phase.ENDED else None
    if (write := write or _WORDS.get(event.kind)) is None:
        return describe(event)
    words = write({**event.facts, "camera": event.camera, "plugin": event.plugin})
    where = f" (camera {event.camera})" if event.camera and not event.kind.startswith("camera.") else ""
    return words[:1].upper() + words[1:] + where


def _who(facts: Facts) -> str:
    """Returns the person's name, else the class, else "something"."""
    return str(facts.get("person") or facts.get("class") or "something")


def _camera_down(facts: Facts) -> str:
    reason = facts.get("reason")
    words = words_of(str(reason)) or reason
    return f"camera {facts['camera']} is offline" + (f": {words}" if words else "")


def _seconds(facts: Facts) -> str:
    value = facts.get("seconds")
    return f"{value:.0f} s" if isinstance(value, (int, float)) else "a while"


def _crossed(facts: Facts) -> str:
    direction = f" ({facts['direction']})" if facts.get("direction") else ""
    return f"{_who(facts)} crossed {facts.get('line')}{direction}"


def _reloaded(facts: Facts) -> str:
    return "a new configuration was refused" if facts.get("outcome") == "refused" else "the configuration was reloaded"


def _classification(facts: Facts) -> str:
    of = f"track {facts['track']}" if facts.get("track") is not None else "the picture"
    return f"{of} is now {facts.get('class')}"


_WORDS: Mapping[str, Callable[[Facts], str]] = {
    "camera.down": _camera_down,
    "camera.up": lambda facts: f"camera {facts['camera']} is online",
    "camera.late": lambda facts: f"the video of camera {facts['camera']} is late",
    "camera.on_time": lambda facts: f"the video of camera {facts['camera']} is on time again",
    "camera.tampered": lambda facts: f"camera {facts['camera']} was {facts.get('what') or 'tampered with'}",
    "plugin.down": lambda facts: f"plug-in {facts['plugin']} is disabled after errors",
    "plugin.up": lambda facts: f"plug-in {facts['plugin']} runs again",
    "config.reloaded": _reloaded,
    "daemon.started": lambda _facts: "sightd has started",
    "daemon.stopped": lambda _facts: "sightd was stopped",
    "events.lost": lambda facts: f"{facts.get('count')} events could not be stored",
    "zone.entered": lambda facts: f"{_who(facts)} entered {facts.get('zone')}",
    "zone.left": lambda facts: f"{_who(facts)} left {facts.get('zone')}",
    "zone.occupied": lambda facts: f"{facts.get('zone')} is occupied",
    "zone.empty": lambda facts: f"{facts.get('zone')} is empty",
    "zone.crowded": lambda facts: f"{facts.get('number')} are in {facts.get('zone')}",
    "line.crossed": _crossed,
    "object.new": lambda facts: f"{_who(facts)} appeared",
    "object.gone": lambda facts: f"{_who(facts)} is gone",
    "object.loitering": lambda facts: f"{_who(facts)} has been in {facts.get('zone')} for {_seconds(facts)}",
    "object.left_behind": lambda facts: f"{_who(facts)} was left behind in {facts.get('zone')}",
    "object.removed": lambda facts: f"{_who(facts)} was removed from {facts.get('zone')}",
    "face.recognised": lambda facts: f"{_who(facts)} was recognised",
    "face.unknown": lambda _facts: "an unknown person was seen",
    "classification.changed": _classification,
    "describe.answered": lambda facts: str(facts.get("text")),
}
_ENDS: Mapping[str, Callable[[Facts], str]] = {
    "camera.tampered": lambda facts: f"camera {facts['camera']} shows its usual view again",
    "zone.crowded": lambda facts: f"{facts.get('zone')} is not crowded any more",
    "object.loitering": lambda facts: f"{_who(facts)} is not in {facts.get('zone')} any more",
    "face.recognised": lambda facts: f"{_who(facts)} is not seen any more",
    "face.unknown": lambda _facts: "the unknown person is not seen any more",
    "camera.down": lambda facts: f"camera {facts['camera']} is not configured any more",
    "camera.late": lambda facts: f"camera {facts['camera']} is not configured any more",
    "plugin.down": lambda facts: f"plug-in {facts['plugin']} is not used any more",
    "zone.entered": lambda facts: f"{_who(facts)} is not followed in {facts.get('zone')} any more",
    "zone.occupied": lambda facts: f"{facts.get('zone')} is not watched any more",
    "object.new": lambda facts: f"{_who(facts)} is not followed any more",
    "object.left_behind": lambda facts: f"{_who(facts)} is not watched in {facts.get('zone')} any more",
}
"""What ends with an event of the same kind; of those with a kind of their own for the end, when they are no longer
watched (`open_events`)."""
