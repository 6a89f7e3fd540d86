"""Moves a camera over ONVIF (PTZ service 2.0): velocities, positions, presets and home."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightd.daemon.capture.errors import Reason
from sightd.daemon.onvif.device import OnvifDevice, Profile
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.soap import printable
from sightd.daemon.onvif.xml import Element, text, written

MOST_PRESETS = 300
_MOST_NAME = 80
_SPACES = {
    "continuous": ("ContinuousPanTiltVelocitySpace", "ContinuousZoomVelocitySpace"),
    "relative": ("RelativePanTiltTranslationSpace", "RelativeZoomTranslationSpace"),
    "absolute": ("AbsolutePanTiltPositionSpace", "AbsoluteZoomPositionSpace"),
}


@dataclass(frozen=True, slots=True)
class Vector:
    """Velocities, distances or positions in ONVIF's generic spaces: pan to the right and tilt up from -1 to 1; zoom
    in: from -1 to 1, as a position from 0 to 1. None leaves an axis as it is."""

    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None

    def __bool__(self) -> bool:
        return any((self.pan, self.tilt, self.zoom))


@dataclass(frozen=True, slots=True)
class Moves:
    """What a camera can do: whether it pans and tilts, and zooms, by velocity, distance and position."""

    pan_tilt: frozenset[str]
    zoom: frozenset[str]
    home: bool
    presets: int


@dataclass(frozen=True, slots=True)
class Preset:
    token: str
    name: str


@dataclass(frozen=True, slots=True)
class PtzStatus:
    """`position` is None if the camera does not state it; `moving` is None if it does not say."""

    position: Vector | None
    moving: bool | None


class OnvifPtz:
    """The PTZ service of one profile of a camera. Methods raise OnvifError. Not thread-safe."""

    def __init__(self, device: OnvifDevice, profile: Profile) -> None:
        """Raises OnvifError if the camera cannot be moved by this profile."""
        url = device.service("tptz")
        if url is None or profile.ptz is None:
            raise OnvifError(Reason.OTHER, "the camera cannot be moved, or not by this profile; see `profile`")
        self._device, self._url, self._profile = device, url, profile
        self._timeouts = True
        """Whether the camera accepts a timeout for moves."""

    def moves(self) -> Moves:
        """Returns what the camera can do."""
        node = self._node()
        if node is None:
            return Moves(frozenset(), frozenset(), False, 0)
        spaces = {one.name for part in node.all("SupportedPTZSpaces") for one in part.children}
        most = node.value("MaximumNumberOfPresets")
        return Moves(
            frozenset(kind for kind, (pan_tilt, _) in _SPACES.items() if pan_tilt in spaces),
            frozenset(kind for kind, (_, zoom) in _SPACES.items() if zoom in spaces),
            node.value("HomeSupported") == "true" or node.value("HomeSupported") == "1",
            int(most) if most.isascii() and most.isdecimal() and len(most) < 6 else 0,
        )

    def status(self) -> PtzStatus:
        status = self._call("GetStatus").find("PTZStatus")
        if status is None:
            return PtzStatus(None, None)
        pan_tilt, zoom = status.find("Position/PanTilt"), status.find("Position/Zoom")
        position = Vector(_axis(pan_tilt, "x"), _axis(pan_tilt, "y"), _axis(zoom, "x"))
        states = {one.text.upper() for part in status.all("MoveStatus") for one in part.children}
        known = states - {"UNKNOWN"}
        return PtzStatus(
            None if (position.pan, position.tilt, position.zoom) == (None, None, None) else position,
            "MOVING" in known if known else None,
        )

    def continuous(self, speed: Vector, seconds: float) -> None:
        """Moves until `stop`, or for `seconds`: the camera itself stops then, if it knows the option."""
        velocity = _vector("tptz:Velocity", speed)
        if self._timeouts:
            try:
                self._call("ContinuousMove", velocity, text("tptz:Timeout", f"PT{math.ceil(seconds)}S"))
                return
            except OnvifError as error:
                if error.reason is not Reason.OTHER:
                    raise
                self._timeouts = False
        self._call("ContinuousMove", velocity)

    def relative(self, distance: Vector) -> None:
        self._call("RelativeMove", _vector("tptz:Translation", distance))

    def absolute(self, position: Vector) -> None:
        self._call("AbsoluteMove", _vector("tptz:Position", position))

    def stop(self) -> None:
        self._call("Stop", text("tptz:PanTilt", "true"), text("tptz:Zoom", "true"))

    def presets(self) -> list[Preset]:
        stated = self._call("GetPresets").all("Preset")[:MOST_PRESETS]
        tokens = ((one.attributes.get("token", ""), one.value("Name")) for one in stated)
        return [
            Preset(token, printable(name, _MOST_NAME) or printable(token, _MOST_NAME))
            for token, name in tokens
            if token
        ]

    def goto_preset(self, token: str) -> None:
        self._call("GotoPreset", text("tptz:PresetToken", token))

    def set_preset(self, name: str, token: str | None = None) -> str:
        """Stores the current position, as a new preset or (with `token`) instead of another; returns its token."""
        existing = [] if token is None else [text("tptz:PresetToken", token)]
        return self._call("SetPreset", text("tptz:PresetName", name), *existing).value("PresetToken") or (token or "")

    def remove_preset(self, token: str) -> None:
        self._call("RemovePreset", text("tptz:PresetToken", token))

    def goto_home(self) -> None:
        self._call("GotoHomePosition")

    def set_home(self) -> None:
        self._call("SetHomePosition")

    def close(self) -> None:
        self._device.close()

    def _node(self) -> Element | None:
        if self._profile.node is not None:
            body = written("tptz:GetNode", text("tptz:NodeToken", self._profile.node))
            return self._device.soap.call(self._url, body).find("PTZNode")
        return self._device.soap.call(self._url, written("tptz:GetNodes")).find("PTZNode")

    def _call(self, action: str, *options: str) -> Element:
        """Sends a request of the profile; `options` follow its token, as the schema orders them."""
        token = text("tptz:ProfileToken", self._profile.token)
        return self._device.soap.call(self._url, written(f"tptz:{action}", token, *options))


def _vector(name: str, vector: Vector) -> str:
    parts = []
    if vector.pan is not None or vector.tilt is not None:
        parts.append(written("tt:PanTilt", x=_written(vector.pan or 0.0), y=_written(vector.tilt or 0.0)))
    if vector.zoom is not None:
        parts.append(written("tt:Zoom", x=_written(vector.zoom)))
    return written(name, *parts)


def _written(value: float) -> str:
    return f"{value:.4f}"


def _axis(element: Element | None, name: str) -> float | None:
    try:
        value = float("" if element is None else element.attributes.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= 1e6 else None
