"""Helps to add a camera: devices of the network with the cameras that they are already, and what an address offers."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import ValidationError

from sightd.daemon.capture.errors import SourceError
from sightd.daemon.capture.probe import Probed, probe
from sightd.daemon.common.redaction import HTTP, NETWORK, redact
from sightd.daemon.config.model import Camera
from sightd.daemon.config.onvif import service_address
from sightd.daemon.config.source import InvalidSourceError
from sightd.daemon.onvif.device import DeviceInformation, OnvifDevice, Profile
from sightd.daemon.onvif.discovery import FoundDevice
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.soap import SoapClient

Kind = Literal["stream", "onvif"]
Transport = Literal["tcp", "udp"]

_TRIED = "rtsp://, rtsps://, http:// or https://, /dev/videoN or testpattern://"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_ONVIF_PATH = "/onvif/"


class AddressError(Exception):
    """An address cannot be tried; the message says what to write, and contains no password."""


@dataclass(frozen=True, slots=True)
class Login:
    """User and password, apart from the address; both empty if there are none, or they are part of the address."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login()"


@dataclass(frozen=True, slots=True)
class OfferedProfile:
    """A media profile with the addresses of its stream and of its still image, without credentials; `fault` says why
    there is no stream."""

    profile: Profile
    address: str | None
    snapshot: str | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """What an ONVIF camera offers. `clock_offset` is in s, positive if its clock is ahead; `address` is that of its
    service."""

    address: str
    information: DeviceInformation
    clock_offset: float
    profiles: Sequence[OfferedProfile]


def attempt(
    address: str,
    login: Login,
    kind: Kind | None = None,
    transport: Transport = "tcp",
    cancelled: threading.Event | None = None,
) -> dict[str, Any]:
    """Tries an address, by default as what it looks like; blocks for up to 15 s. Returns what was found, or why there
    is nothing, in the form of the API: `StreamReport`, `DeviceReport` or `ProbeFailure` of routes_finding."""
    bare, stated = without_login(address.strip())
    login = login if login.username else stated
    kind = kind or kind_of(bare)
    try:
        if kind == "onvif":
            return _device_for_json(ask_device(bare, login))
        return _stream_for_json(bare, try_stream(bare, login, transport, cancelled))
    except AddressError as error:
        return _failure(kind, "invalid", "invalid address", error)
    except (SourceError, OnvifError) as error:
        return _failure(kind, str(error.reason), error.reason.words, error)


def found_for_json(device: FoundDevice, camera: str | None) -> dict[str, Any]:
    """Returns a device in the form of the API; `camera` is what it is already."""
    return {**asdict(device), "camera": camera}


def kind_of(address: str) -> Kind:
    """Returns what an address is tried as: a host without a scheme, and a URL with /onvif/ in its path, as an ONVIF
    device, all others as a stream."""
    scheme = _SCHEME.match(address)
    if scheme is None:
        return "stream" if address.startswith(("/", ".")) else "onvif"
    try:
        path = urlsplit(address).path
    except ValueError:
        return "stream"
    return "onvif" if scheme[1].lower() in HTTP and _ONVIF_PATH in f"{path}/" else "stream"


def try_stream(address: str, login: Login, transport: Transport, cancelled: threading.Event | None = None) -> Probed:
    """Opens a stream and watches it for some seconds. Raises AddressError if it is not the address of a camera, and
    SourceError if there is no picture."""
    source = with_login(address.strip(), login)
    scheme = _SCHEME.match(source)
    kinds = (*NETWORK, "testpattern")
    if not source.startswith("/dev/video") and (scheme is None or scheme[1].lower() not in kinds):
        raise AddressError(f"only cameras can be tried: write {_TRIED}")
    try:
        options = Camera.model_validate({"source": source, "transport": transport, "loop": False})
        return probe(options, cancelled)
    except InvalidSourceError as error:
        raise AddressError(str(error)) from None
    except ValidationError:
        raise AddressError(f"the address is invalid: write {_TRIED}") from None


def ask_device(address: str, login: Login, *, timeout: float = 5.0) -> Device:
    """Asks an ONVIF device for its profiles and their streams. Raises AddressError or OnvifError."""
    try:
        soap = SoapClient(service_address(address), login.username, login.password, timeout=timeout)
    except ValueError as error:
        raise AddressError(str(error)) from None
    with closing(OnvifDevice(soap)) as device:
        information = device.information()
        profiles = [_offered(device, one) for one in device.profiles()]
        return Device(soap.address, information, round(device.offset, 1), profiles)


def with_login(address: str, login: Login) -> str:
    """Returns a source with user and password in its URL, escaped; those of the address are replaced. Other sources
    stay as they are. Raises AddressError if the URL cannot be parsed."""
    scheme = _SCHEME.match(address)
    if scheme is None or scheme[1].lower() not in NETWORK or not login.username:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        raise AddressError("the URL is invalid; write rtsp://HOST:PORT/PATH") from None
    user, password = quote(login.username, safe=""), quote(login.password, safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}" if login.password else f"{user}@{host}"))


def without_login(address: str) -> tuple[str, Login]:
    """Splits a URL into one without user and password, and these. Other addresses stay as they are."""
    if "@" not in address or _SCHEME.match(address) is None:
        return address, Login()
    try:
        parts = urlsplit(address)
    except ValueError:
        return address, Login()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, Login(unquote(parts.username or ""), unquote(parts.password or ""))


def known_as(devices: Sequence[FoundDevice], cameras: Mapping[str, Camera]) -> list[tuple[FoundDevice, str | None]]:
    """Returns each device with the name of a configured camera on its host; None if there is none. Host names are not
    resolved."""
    hosts: dict[str, str] = {}
    for name, camera in cameras.items():
        stated = [camera.source.get_secret_value(), *([camera.onvif.address] if camera.onvif is not None else [])]
        for address in stated:
            hosts.setdefault(_host(address), name)
    return [(device, hosts.get(device.host)) for device in devices]


def _offered(device: OnvifDevice, profile: Profile) -> OfferedProfile:
    try:
        return OfferedProfile(profile, device.stream(profile), device.snapshot(profile))
    except OnvifError as error:
        return OfferedProfile(profile, None, None, str(error))


def _host(address: str) -> str:
    try:
        return (urlsplit(address if "://" in address else f"//{address}").hostname or address).lower()
    except ValueError:
        return address


def _failure(kind: Kind, reason: str, words: str, error: Exception) -> dict[str, Any]:
    return {"ok": False, "kind": kind, "reason": reason, "words": words, "error": redact(str(error))}


def _stream_for_json(address: str, seen: Probed) -> dict[str, Any]:
    audio = seen.audio
    return {
        "ok": True,
        "kind": "stream",
        "address": address,
        "picture": base64.b64encode(seen.jpeg).decode(),
        "codec": seen.codec,
        "width": seen.size[0],
        "height": seen.size[1],
        "fps": seen.fps,
        "key_frame_interval": seen.key_interval,
        "audio": None if audio is None else {"codec": audio.codec, "rate": audio.rate, "channels": audio.channels},
    }


def _device_for_json(device: Device) -> dict[str, Any]:
    return {
        "ok": True,
        "kind": "onvif",
        "address": device.address,
        **asdict(device.information),
        "clock_offset": device.clock_offset,
        "profiles": [_profile_for_json(one) for one in device.profiles],
    }


def _profile_for_json(offered: OfferedProfile) -> dict[str, Any]:
    profile = offered.profile
    width, height = profile.size or (None, None)
    return {
        "token": profile.token,
        "name": profile.name,
        "codec": profile.codec,
        "width": width,
        "height": height,
        "fps": profile.fps,
        "bitrate": profile.bitrate,
        "audio": profile.audio,
        "ptz": profile.ptz is not None,
        "address": offered.address,
        "snapshot": offered.snapshot,
        "error": offered.fault,
    }
