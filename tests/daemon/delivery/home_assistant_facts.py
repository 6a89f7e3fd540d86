"""What Home Assistant 2024.11 to 2025.12 requires of discovery messages (`homeassistant/components/mqtt`)."""

from __future__ import annotations

import re
from typing import Any

TOPIC = re.compile(r"homeassistant/device/([a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")
DEVICE_KEYS = {"device", "origin", "components", "availability"}
"""Keys of the message that are used; the first three are required, and so are `device.identifiers` and
`origin.name`."""
COMMON = {"platform", "name", "state_topic", "qos", "unique_id", "value_template", "entity_category", "icon",
          "availability", "availability_mode", "json_attributes_topic", "json_attributes_template"}  # fmt: skip
REQUIRED = {
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "switch": {"command_topic"},
    "number": {"command_topic"},
    "image": {"image_topic"},
}
"""Required keys by platform, besides `platform` and `unique_id`, which components of devices need."""
OPTIONAL = {
    "binary_sensor": {"device_class"},
    "sensor": {"device_class", "state_class", "unit_of_measurement"},
    "event": set[str](),
    "switch": set[str](),
    "number": {"min", "max", "step", "mode"},
    "image": {"content_type"},
}
BINARY_CLASSES = {"connectivity", "occupancy", "problem"}
STATE_CLASSES = {"measurement", "total_increasing", "total"}


def require_valid(topic: str, form: dict[str, Any]) -> None:
    """Raises AssertionError unless Home Assistant takes the message."""
    assert TOPIC.fullmatch(topic), topic
    assert {"device", "origin", "components"} <= form.keys() <= DEVICE_KEYS
    assert form["device"]["identifiers"]
    assert form["origin"]["name"]
    for key, component in form["components"].items():
        if component.keys() == {"platform"}:
            continue  # removes an entity
        platform = component["platform"]
        required = REQUIRED[platform] | {"platform", "unique_id"}
        assert required <= component.keys() <= required | COMMON | OPTIONAL[platform], key
        assert " " not in key
        if platform == "binary_sensor":
            assert component.get("device_class", "problem") in BINARY_CLASSES
        assert component.get("state_class", "measurement") in STATE_CLASSES
        for one in component.get("availability", ()):
            assert "topic" in one
