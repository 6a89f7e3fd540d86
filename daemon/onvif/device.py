"""What a camera says about itself over ONVIF: its services, its media profiles, and where their streams are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

from sightd.daemon.capture.errors import Reason
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.soap import NAMESPACES, SoapClient, printable
from sightd.daemon.onvif.xml import Element, text, written

MOST_PROFILES = 32
_MOST_NAME = 80
_STREAMS = ("rtsp", "rtsps", "http", "https")
_TOLERATED = 2.0
"""Seconds of difference between the clocks that are not corrected: most of it is the network's."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A media profile. `codec` is h264, h265, jpeg or another name of the camera's; `size` is (width, height) in
    pixels, `bitrate` in kbit/s. `ptz` is the token of its PTZ configuration, `node` that of its PTZ node."""

    token: str
    name: str
    codec: str
    size: tuple[int, int] | None
    fps: float | None
    bitrate: int | None
    audio: str | None
    ptz: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    manufacturer: str
    model: str
    firmware: str


class OnvifDevice:
    """One camera. Connects on the first request: reads its clock and its services. Methods raise OnvifError. Not
    thread-safe."""

    def __init__(self, soap: SoapClient) -> None:
        self._soap = soap
        self._services: dict[str, str] | None = None
        self._profiles: list[Profile] | None = None

    @property
    def soap(self) -> SoapClient:
        return self._soap

    @property
    def offset(self) -> float:
        """Seconds by which the camera's clock is ahead of ours."""
        return self._soap.offset

    def service(self, prefix: str) -> str | None:
        """Returns the address of the service with that prefix in `soap.NAMESPACES`; None if the camera has none."""
        if self._services is None:
            self._soap.offset = self._clock_offset()
            self._services = self._listed()
        return self._services.get(NAMESPACES[prefix])

    def information(self) -> DeviceInformation:
        answer = self._call("tds", written("tds:GetDeviceInformation"))
        found = (printable(answer.value(name), _MOST_NAME) for name in ("Manufacturer", "Model", "FirmwareVersion"))
        return DeviceInformation(*found)

    def profiles(self) -> list[Profile]:
        """Returns the profiles with video; those of the second media service, which knows H.265, if there is one."""
        if self._profiles is None:
            if self.service("tr2") is not None:
                answer = self._call("tr2", written("tr2:GetProfiles", text("tr2:Type", "All")))
            else:
                answer = self._call("trt", written("trt:GetProfiles"))
            found = [_profile(one) for one in answer.all("Profiles")[:MOST_PROFILES]]
            self._profiles = [one for one in found if one is not None]
        return self._profiles

    def profile(self, wanted: str | None) -> Profile:
        """Returns the profile with that token or name; by default the first that can be moved, else the first."""
        profiles = self.profiles()
        if not profiles:
            raise OnvifError(Reason.NO_VIDEO, "it has no media profile")
        if wanted is None:
            return next((one for one in profiles if one.ptz is not None), profiles[0])
        for one in profiles:
            if wanted in (one.token, one.name):
                return one
        known = ", ".join(one.name for one in profiles)
        raise OnvifError(Reason.OTHER, f"it has no profile {wanted!r}; it has {known}")

    def stream(self, profile: Profile) -> str:
        """Returns the RTSP address of a profile, without credentials and on the host of the camera."""
        if self.service("tr2") is not None:
            body = written("tr2:GetStreamUri", text("tr2:Protocol", "RTSP"), text("tr2:ProfileToken", profile.token))
            return self._on_host(self._call("tr2", body).value("Uri"))
        transport = written("tt:Transport", text("tt:Protocol", "RTSP"))
        setup = written("trt:StreamSetup", text("tt:Stream", "RTP-Unicast"), transport)
        body = written("trt:GetStreamUri", setup, text("trt:ProfileToken", profile.token))
        return self._on_host(self._call("trt", body).value("MediaUri/Uri"))

    def snapshot(self, profile: Profile) -> str | None:
        """Returns the address of a profile's still image, like `stream`; None if the camera has none."""
        prefix = "tr2" if self.service("tr2") is not None else "trt"
        body = written(f"{prefix}:GetSnapshotUri", text(f"{prefix}:ProfileToken", profile.token))
        try:
            answer = self._call(prefix, body)
            return self._on_host(answer.value("Uri" if prefix == "tr2" else "MediaUri/Uri"))
        except OnvifError as error:
            if error.reason in (Reason.OTHER, Reason.NO_VIDEO, Reason.NOT_FOUND):  # optional in ONVIF
                return None
            raise

    def close(self) -> None:
        self._soap.close()

    def _call(self, prefix: str, body: str) -> Element:
        url = self._soap.address if prefix == "tds" else self.service(prefix)
        self.service("tds")  # reads the clock first
        if url is None:
            raise OnvifError(Reason.OTHER, "it has no media service")
        return self._soap.call(url, body)

    def _clock_offset(self) -> float:
        """Returns how far the camera's clock is ahead. Cameras answer this without a login; if one does not, its clock
        must be right."""
        try:
            answer = self._soap.call(self._soap.address, written("tds:GetSystemDateAndTime"), login=False)
            stated = _utc(answer)
        except OnvifError as error:
            if error.reason is not Reason.UNAUTHORISED:
                raise
            return 0.0
        except ValueError:
            return 0.0
        offset = (stated - datetime.now(UTC)).total_seconds()
        return offset if abs(offset) > _TOLERATED else 0.0

    def _listed(self) -> dict[str, str]:
        """Returns the addresses of services by namespace."""
        try:
            body = written("tds:GetServices", text("tds:IncludeCapability", "false"))
            answer = self._soap.call(self._soap.address, body)
            stated = [(one.value("Namespace"), one.value("XAddr")) for one in answer.all("Service")]
        except OnvifError as error:
            if error.reason is not Reason.OTHER:
                raise
            stated = self._capabilities()
        return {name: self._soap.own(url) for name, url in stated if name in NAMESPACES.values() and url}

    def _capabilities(self) -> list[tuple[str, str]]:
        """Returns what cameras without GetServices (before ONVIF 2.1) state."""
        body = written("tds:GetCapabilities", text("tds:Category", "All"))
        answer = self._soap.call(self._soap.address, body)
        parts = (("trt", "Media"), ("tptz", "PTZ"))
        return [(NAMESPACES[prefix], answer.value(f"Capabilities/{name}/XAddr")) for prefix, name in parts]

    def _on_host(self, address: str) -> str:
        """Returns a stream's address without credentials, on the host of the camera: a forged one would get the
        camera's password. Raises OnvifError if it is not that of a stream."""
        try:
            parts = urlsplit(address)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise OnvifError(Reason.NO_VIDEO, "the address of its stream is invalid") from None
        if parts.scheme not in _STREAMS or not address.isascii() or not address.isprintable() or " " in address:
            raise OnvifError(Reason.NO_VIDEO, "the address of its stream is not one of RTSP or HTTP")
        host = f"[{self._soap.host}]" if ":" in self._soap.host else self._soap.host
        return urlunsplit((parts.scheme, host + port, parts.path, parts.query, ""))


def _utc(answer: Element) -> datetime:
    """Raises ValueError if the camera states no valid time."""
    stated = answer.find("SystemDateAndTime/UTCDateTime")
    if stated is None:
        raise ValueError
    names = ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
    year, month, day, hour, minute, second = (int(stated.value(name)) for name in names)
    return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)


def _profile(stated: Element) -> Profile | None:
    """Reads a profile of either media service; None if it has no video or no token."""
    token = stated.attributes.get("token", "")
    parts = stated.find("Configurations") or stated
    video = parts.find("VideoEncoder") or parts.find("VideoEncoderConfiguration")
    if not token or video is None:
        return None
    audio = parts.find("AudioEncoder") or parts.find("AudioEncoderConfiguration")
    ptz = parts.find("PTZ") or parts.find("PTZConfiguration")
    width, height = (_number(video.value(f"Resolution/{name}")) for name in ("Width", "Height"))
    bitrate = _number(video.value("RateControl/BitrateLimit"))
    return Profile(
        token,
        printable(stated.value("Name"), _MOST_NAME) or printable(token, _MOST_NAME),
        printable(video.value("Encoding"), 16).lower().replace(".", ""),
        (int(width), int(height)) if width and height else None,
        _number(video.value("RateControl/FrameRateLimit")),
        None if bitrate is None else int(bitrate),
        None if audio is None else printable(audio.value("Encoding"), 16).lower() or None,
        None if ptz is None else ptz.attributes.get("token") or None,
        None if ptz is None else ptz.value("NodeToken") or None,
    )


def _number(stated: str) -> float | None:
    try:
        number = float(stated)
    except ValueError:
        return None
    return number if 0 < number < 1e6 else None
