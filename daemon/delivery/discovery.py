"""Messages for Home Assistant's MQTT discovery: a device for sightd and one for each camera, and their states.

The form is that of device-based discovery, which Home Assistant has had since 2024.11: a retained message at
PREFIX/device/NODE/OBJECT/config with `device`, `origin` and `components`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sightd.daemon.delivery.home_view import CameraView, DaemonView, LineView, Threshold

Form = dict[str, Any]

MOST_CLASSES = 8
"""Classes of a zone that have a sensor of their own; all count in the zone's sum and are among its attributes."""
_MOST_REMOVED = 64
_URL = "https://github.com/sightd/sightd"
_INSTANCE = "_instance"
"""Last part of the topic of sightd's own device: no camera has such a name."""
_READY_CLASS = re.compile(r"[\w .-]{1,64}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a camera beyond its present view: zones with classes seen in each, lines, and the last person
    with the time of recognition. Immutable."""

    chain: tuple[str, ...] = ()
    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lines: Mapping[str, LineView] = field(default_factory=dict)
    last_face: Mapping[str, str] | None = None

    def after(self, view: CameraView, now: str) -> Remembered:
        """Returns what is known after a view. What has no current numbers stays, unless the chain has changed."""
        kept = self if tuple(view.chain) == self.chain else Remembered(last_face=self.last_face)
        zones, lines, face = kept.zones, kept.lines, kept.last_face
        if view.zones is not None:
            zones = {name: _joined(kept.zones.get(name, ()), inside) for name, inside in view.zones.items()}
        if view.lines is not None:
            lines = view.lines
        for person in view.persons or ():
            face = {"person": person, "time": now}
        return Remembered(tuple(view.chain), zones, lines, face)

    @classmethod
    def of_state(cls, payload: bytes) -> Remembered:
        """Returns what a camera's retained state says; nothing if it is not one."""
        try:
            form = json.loads(payload)
            zones = {str(name): tuple(map(str, zone["classes"])) for name, zone in form["zones"].items()}
            lines = {
                str(name): LineView({"in": int(line["in"]), "out": int(line["out"])}, line["classes"])
                for name, line in form["lines"].items()
            }
            return cls(tuple(map(str, form["chain"])), zones, lines, form["last_face"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def _joined(known: Sequence[str], inside: Mapping[str, int]) -> tuple[str, ...]:
    fit = [label for label in (*known, *inside) if _READY_CLASS.fullmatch(label)]
    return tuple(dict.fromkeys(fit))[:MOST_CLASSES]


def camera_state(view: CameraView, known: Remembered) -> Form:
    """Returns the state of a camera, which all of its entities read."""
    zones = view.zones or {}
    return {
        "connected": view.connected,
        "paused": bool(view.paused),
        "chain": list(view.chain),
        "zones_current": view.zones is not None,
        "zones": {
            name: {
                "inside": sum(zones.get(name, {}).values()),
                "classes": {label: zones.get(name, {}).get(label, 0) for label in classes},
            }
            for name, classes in known.zones.items()
        },
        "lines": {name: {**line.crossed, "classes": line.by_class} for name, line in known.lines.items()},
        "objects_current": view.objects is not None,
        "objects": sum((view.objects or {}).values()),
        "classes": dict(view.objects or {}),
        "last_face": known.last_face,
    }


def daemon_state(view: DaemonView) -> Form:
    """Returns the state of sightd itself."""
    thresholds: dict[str, dict[str, float]] = {}
    for one in view.thresholds:
        thresholds.setdefault(one.plugin, {})[one.option] = one.value
    return {"version": view.version, "ready": view.ready, "reasons": list(view.reasons), "thresholds": thresholds}


def slug(name: str) -> str:
    """Returns a name for keys and topics: the name itself if it consists of a-z, 0-9, "_" and "-"; otherwise with a
    checksum, so that different names stay different."""
    if re.fullmatch(r"[a-z0-9_-]+", name):
        return name
    return f"{re.sub(r'[^a-z0-9-]+', '_', name.lower()).strip('_')}_{zlib.crc32(name.encode()):08x}"


class Discovery:
    """Makes the messages of one instance of sightd. `base` is the first part of its own topics."""

    def __init__(self, prefix: str, base: str, instance: str, *, commands: bool) -> None:
        """`commands`: whether entities may change something."""
        self._base, self._instance, self._commands = base, instance, commands
        self.folder = f"{prefix}/device/sightd_{slug(instance)}"
        self.states = f"{base}/cameras"
        self._status = {"topic": f"{base}/status"}

    def camera_topics(self, camera: str) -> tuple[str, str]:
        """Returns the topics of a camera's device and of its state."""
        return f"{self.folder}/{camera}/config", f"{self.states}/{camera}"

    def picture_topic(self, camera: str) -> str:
        """Returns the topic of a camera's snapshots."""
        return f"{self._base}/pictures/{camera}"

    def daemon_topics(self) -> tuple[str, str]:
        """Returns the topics of sightd's own device and of its state."""
        return f"{self.folder}/{_INSTANCE}/config", f"{self._base}/state"

    def camera_device(self, view: CameraView, known: Remembered, version: str) -> Form:
        """Returns the device of a camera."""
        device = {
            "identifiers": [f"sightd.{self._instance}.{view.name}"],
            "name": view.title,
            "manufacturer": "sightd",
            "model": "camera",
            "via_device": f"sightd.{self._instance}",
        }
        state = self.camera_topics(view.name)[1]
        components = {key: self._finished(view.name, key, one, state) for key, one in self._of_camera(view, known)}
        return self._device(device, components, version)

    def daemon_device(self, view: DaemonView) -> Form:
        """Returns the device of sightd itself."""
        device = {
            "identifiers": [f"sightd.{self._instance}"],
            "name": f"sightd {self._instance}",
            "manufacturer": "sightd",
            "model": "sightd",
            "sw_version": view.version,
        }
        state = self.daemon_topics()[1]
        components = {key: self._finished(_INSTANCE, key, one, state) for key, one in self._of_daemon(view)}
        return self._device(device, components, view.version)

    def _device(self, device: Form, components: Mapping[str, Form], version: str) -> Form:
        return {
            "device": device,
            "origin": {"name": "sightd", "sw_version": version, "support_url": _URL},
            "availability": [self._status],
            "components": components,
        }

    def _finished(self, camera: str, key: str, component: Form, state: str) -> Form:
        read = {} if component["platform"] == "image" else {"state_topic": state}
        filled = {**read, "qos": 1, **component, "unique_id": f"sightd.{self._instance}.{camera}.{key}"}
        if (current := filled.pop("current", None)) is not None:
            shown = {"topic": state, "value_template": f"{{{{ 'online' if value_json.{current} else 'offline' }}}}"}
            filled |= {"availability": [self._status, shown], "availability_mode": "all"}
        if (attributes := filled.pop("attributes", None)) is not None:
            filled |= {"json_attributes_topic": state, "json_attributes_template": f"{{{{ {attributes} | to_json }}}}"}
        return filled

    def _of_camera(self, view: CameraView, known: Remembered) -> Iterator[tuple[str, Form]]:
        yield (
            "connection",
            {
                "platform": "binary_sensor",
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "value_template": _on("value_json.connected"),
            },
        )
        for name, classes in known.zones.items():
            yield from _of_zone(name, classes)
        for name in known.lines:
            yield from _of_line(name)
        objects = _count("Objects", "value_json.objects", "objects_current")
        yield "objects", {**objects, "attributes": "value_json.classes"}
        if view.recognises:
            shown = "{{ value_json.last_face.person if value_json.last_face else None }}"
            face: Form = {"platform": "sensor", "name": "Last face", "value_template": shown, "icon": "mdi:account"}
            yield "last_face", {**face, "attributes": "value_json.last_face or {}"}
        yield "event", self._event(view.kinds, f"value_json.camera == {_quoted(view.name)}")
        if view.pictured:
            topic = self.picture_topic(view.name)
            yield (
                "snapshot",
                {"platform": "image", "name": "Snapshot", "image_topic": topic, "content_type": "image/jpeg"},
            )
        if self._commands and view.paused is not None:
            yield (
                "analysis",
                {
                    "platform": "switch",
                    "name": "Analysis",
                    "entity_category": "config",
                    "value_template": "{{ 'OFF' if value_json.paused else 'ON' }}",
                    "command_topic": f"{self._base}/set/cameras/{view.name}/analysis",
                },
            )

    def _of_daemon(self, view: DaemonView) -> Iterator[tuple[str, Form]]:
        yield (
            "problem",
            {
                "platform": "binary_sensor",
                "name": "Problem",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "value_template": _on("not value_json.ready"),
                "attributes": "{'reasons': value_json.reasons}",
            },
        )
        yield "event", self._event(view.kinds, "value_json.camera is none")
        for one in view.thresholds if self._commands else ():
            yield f"{one.option}_{one.plugin}", self._number(one)

    def _number(self, one: Threshold) -> Form:
        value = f"value_json.thresholds.get({_quoted(one.plugin)}, {{}}).get({_quoted(one.option)})"
        return {
            "platform": "number",
            "name": f"{one.plugin} {one.option.replace('_', ' ')}",
            "entity_category": "config",
            "value_template": f"{{{{ {value} }}}}",
            "command_topic": f"{self._base}/set/plugins/{one.plugin}/{one.option}",
            "min": one.minimum,
            "max": one.maximum,
            "step": 0.01,
            "mode": "box",
        }

    def _event(self, kinds: Sequence[str], condition: str) -> Form:
        form = "dict(value_json, event_type=value_json.kind) | to_json"
        return {
            "platform": "event",
            "name": "Event",
            "event_types": sorted(kinds),
            "state_topic": f"{self._base}/events/+",
            "value_template": f"{{% if {condition} %}}{{{{ {form} }}}}{{% endif %}}",
        }


def removals(before: Form, after: Form) -> Form:
    """Returns the components of a device's earlier message that the new one lacks, in the form that removes their
    entities."""
    gone = {
        key: {"platform": component["platform"]}
        for key, component in before.get("components", {}).items()
        if key not in after["components"] and isinstance(component, dict) and "platform" in component
    }
    return dict(list(gone.items())[:_MOST_REMOVED])


def _of_zone(name: str, classes: Sequence[str]) -> Iterator[tuple[str, Form]]:
    key, zone = f"zone_{slug(name)}", f"value_json.zones.get({_quoted(name)}, {{}})"
    inside = f"{zone}.get('inside', 0)"
    yield (
        key,
        {
            "platform": "binary_sensor",
            "name": name,
            "device_class": "occupancy",
            "value_template": _on(f"{inside} > 0"),
            "current": "zones_current",
        },
    )
    by_class = f"{zone}.get('classes', {{}})"
    yield f"{key}_count", {**_count(f"{name} count", inside, "zones_current"), "attributes": by_class}
    for label in classes:
        value = f"{by_class}.get({_quoted(label)}, 0)"
        yield f"{key}_count_{slug(label)}", _count(f"{name} {label}", value, "zones_current")


def _of_line(name: str) -> Iterator[tuple[str, Form]]:
    line = f"value_json.lines.get({_quoted(name)}, {{}})"
    for way in ("in", "out"):
        yield (
            f"line_{slug(name)}_{way}",
            {
                "platform": "sensor",
                "name": f"{name} {way}",
                "state_class": "total_increasing",
                "unit_of_measurement": "crossings",
                "value_template": f"{{{{ {line}.get('{way}', 0) }}}}",
                "attributes": f"{line}.get('classes', {{}})",
            },
        )


def _count(name: str, value: str, current: str) -> Form:
    return {
        "platform": "sensor",
        "name": name,
        "state_class": "measurement",
        "unit_of_measurement": "objects",
        "value_template": f"{{{{ {value} }}}}",
        "current": current,
    }


def _on(condition: str) -> str:
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def _quoted(text: str) -> str:
    """Returns a text as a literal of a template."""
    return json.dumps(text)
