"""What can be read of a file that has faults, so that one fault does not hide those that only show in the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from daemon.config.model import Config
from daemon.config.positions import Positions
from daemon.config.references import Resolved
from daemon.config.validate import validate

_SERVERS = ("rtsp", "http")


def usable(values: Mapping[str, object], positions: Positions, resolved: Resolved) -> Config:
    """The valid parts: whole sections, of a camera with a fault its source. A server with a fault is switched off."""
    parts: dict[str, object] = {}
    for key in values.keys() & Config.model_fields.keys() - {"cameras", "plugins"}:
        if _valid({key: values[key]}, positions, resolved):
            parts[key] = values[key]
        elif key in _SERVERS:
            parts[key] = {"enabled": False}
    cameras = values.get("cameras")
    if isinstance(cameras, dict):
        parts["cameras"] = dict(_cameras(cameras, positions, resolved))
    model = validate(Config, parts, positions, resolved).model
    assert model is not None, "parts that are valid one by one are valid together"
    return model


def _cameras(cameras: Mapping[str, object], positions: Positions, resolved: Resolved) -> Iterator[tuple[str, object]]:
    for name, camera in cameras.items():
        source = camera.get("source") if isinstance(camera, dict) else None
        for part in (camera, {"source": source}):
            if _valid({"cameras": {name: part}}, positions, resolved):
                yield name, part
                break


def _valid(values: Mapping[str, object], positions: Positions, resolved: Resolved) -> bool:
    return validate(Config, values, positions, resolved).model is not None
