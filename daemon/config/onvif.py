"""Options of cameras that are moved: how ONVIF reaches them, and what they follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.section import Section
from sightd.plugins.api import Duration
from sightd.plugins.geometry.regions import Polygon

_SERVICE = "/onvif/device_service"
_FORM = "write HOST, HOST:PORT or http://HOST:PORT/onvif/device_service"

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=80)]


def service_address(address: str) -> str:
    """Completes the address of an ONVIF service: "10.0.0.7", "camera:8000" or a URL. Raises ValueError if it cannot be
    one; the message says what to write, and quotes nothing."""
    url = address.strip() if "://" in address else f"http://{address.strip()}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if "@" in parts.netloc:
        raise ValueError("write user and password as username and password, not in the address")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(_FORM)
    return urlunsplit((parts.scheme, parts.netloc, parts.path if parts.path.strip("/") else _SERVICE, "", ""))


class Onvif(Section):
    """The camera's ONVIF service, which moves it."""

    address: str = Field(
        max_length=500,
        description="HOST, HOST:PORT, or the URL of the device service.",
        examples=["10.0.0.7", "http://10.0.0.7:8000/onvif/device_service"],
    )
    username: str = Field("", max_length=100, description="ONVIF user; many cameras have own users for ONVIF.")
    password: SecretStr = Field(
        SecretStr(""),
        description="Password of the user; preferably ${env:NAME} or ${file:PATH}. It is only sent as a digest.",
        examples=["${env:CAMERA_PASSWORD}"],
    )
    profile: str | None = Field(
        None,
        max_length=100,
        description="Name or token of the media profile that moves the camera; by default the first that can.",
    )


class Follow(Section):
    """Keeps an object near the picture's centre. Needs a tracker in the chain."""

    classes: list[ClassName] = Field(
        min_length=1,
        max_length=100,
        description="Classes to follow; the largest object is chosen.",
        examples=[["person"]],
    )
    zone: Polygon | None = Field(
        None,
        description="Only objects that stand in this area when they are chosen: corners as fractions of the picture's "
        "width and height, in the home position.",
        examples=[[[0.1, 0.4], [0.9, 0.4], [0.9, 1.0], [0.1, 1.0]]],
    )
    home_after: Duration = Field(
        10.0, description="Return home when nothing was followed for this long; 0 means never.", examples=["10s"]
    )
    pause: Duration = Field(
        20.0, description="Do not follow for this long after somebody moved the camera.", examples=["20s"]
    )
    dead_zone: float = Field(
        0.2,
        gt=0,
        lt=0.5,
        description="Do not move while the object is within this part of the picture's width and height around its "
        "centre.",
    )
    max_speed: float = Field(0.6, gt=0, le=1, description="Maximum speed; 1 is the camera's full speed.")
    full_speed: float = Field(
        1.0,
        gt=0,
        le=20,
        description="Picture widths per second by which the view moves at full speed. If the camera overshoots, write "
        "a larger number; if it lags behind, a smaller one.",
    )
    delay: Duration = Field(
        0.3,
        description="Age of a frame when it arrives: the camera's own delay, which cannot be measured.",
        examples=["300ms"],
    )


class Ptz(Section):
    """Movement of the camera."""

    follow: Follow | None = Field(None, description="Follow objects; by default only people move the camera.")


def onvif_problems(onvif: Onvif | None, ptz: Ptz | None) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yields what is wrong with a camera's options: path below the camera, message and hint."""
    if ptz is not None and onvif is None:
        yield (
            ("ptz",),
            "the camera cannot be moved without onvif",
            "add onvif: {address: HOST, username: …, password: …}",
        )
    if onvif is not None:
        try:
            service_address(onvif.address)
        except ValueError as error:
            yield ("onvif", "address"), "is not the address of an ONVIF service", str(error)
        if onvif.password.get_secret_value() and not onvif.username:
            yield ("onvif", "password"), "has no effect without a user", "add onvif.username"
    follow = None if ptz is None else ptz.follow
    if follow is not None and follow.zone is not None and follow.home_after == 0:
        hint = "write home_after: 10s, or remove zone"
        yield ("ptz", "follow", "zone"), "is only known in the home position, to which the camera never returns", hint
