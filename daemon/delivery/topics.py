"""Names of topics and subjects, from a template and an event."""

from __future__ import annotations

import re

from sightd.daemon.events.event import Event

_NONE = "_"
"""Stands for a camera that an event does not have; no camera's name begins with it."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


def topic_of(template: str, event: Event, instance: str) -> str:
    """Replaces {instance}, {kind} and {camera}. Characters of a kind that names must not have become "_"."""
    values = {"instance": instance, "kind": event.kind, "camera": event.camera or _NONE}
    return re.sub(r"\{(\w+)\}", lambda found: _NOT_IN_NAMES.sub("_", values[found[1]]), template)
