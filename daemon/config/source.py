"""Interprets a camera's address: which type of source it is, and how FFmpeg must open it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sightd.daemon.common.redaction import HTTP, RTSP, SUPPORTED, redact
from sightd.daemon.config.model import Camera, Deinterlace
from sightd.engines.files import expanded


class InvalidSourceError(Exception):
    """A source's address or options cannot be used; the message says what to write and contains no credentials."""


class SourceKind(StrEnum):
    """The types of source that a feed can read."""

    RTSP = "rtsp"
    HTTP = "http"
    FILE = "file"
    DEVICE = "device"
    PATTERN = "pattern"


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from. Its repr shows `label`, never the address, which may contain a password.

    `address`, `format` and `options` are the arguments of `av.open`; `timeout` is the longest silence in s (None: it
    cannot be silent), `open_timeout` the limit in s of the first attempt to open it (None: no limit). `transport` is
    RTSP's: tcp or udp. `paced`: it is played in real time; `loop`: it restarts at its end; `deinterlace` as in the
    configuration. `poll_interval`: s between requests to an address that answers with a single image; `allowed_hosts`:
    other hosts to which it may lead; `wanted_height`: the minimum number of lines, if there is a choice (None: the
    largest). `width`, `height`, `fps`: of the test pattern.
    """

    kind: SourceKind
    label: str
    address: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    format: str | None = None
    timeout: float | None = None
    open_timeout: float | None = None
    transport: str = "tcp"
    paced: bool = False
    loop: bool = False
    deinterlace: Deinterlace = "auto"
    poll_interval: float = 1.0
    allowed_hosts: frozenset[str] = frozenset()
    wanted_height: int | None = None
    width: int = 1280
    height: int = 720
    fps: float = 25.0


def source_of(camera: Camera) -> Source:
    """Returns the source that a camera's configuration names. Raises InvalidSourceError if no source can have that
    address or those options."""
    if camera.decoder == "nvdec" and camera.deinterlace != "auto":
        raise InvalidSourceError("nvdec does not support `deinterlace`; remove it, or set `decoder: cpu`")
    return replace(_source(camera), deinterlace=camera.deinterlace)


def _source(camera: Camera) -> Source:
    address = camera.source.get_secret_value().strip()
    if not address:
        raise InvalidSourceError(f"the source is empty; write one of {SUPPORTED}")
    if address.startswith("/dev/video"):
        return _device(address, camera)
    scheme = _SCHEME.match(address)
    if scheme is None:
        return _file(Path(address), camera)
    match scheme[1].lower():
        case name if name in RTSP:
            return _rtsp(address, camera)
        case name if name in HTTP:
            return _http(address, camera)
        case "file":
            return _file(Path(address[scheme.end() :]), camera)
        case "testpattern":
            return _pattern(camera)
        case other:
            raise InvalidSourceError(f"{other}:// is not a supported source; use one of {SUPPORTED}")


def _rtsp(address: str, camera: Camera) -> Source:
    _check_host(address)
    options = {  # for streams that GStreamer cannot read
        "rtsp_transport": camera.transport,
        "allowed_media_types": "video",
        # Little probing, but never fflags=nobuffer: it discards the probed packets, and with them the first key frame.
        "probesize": "32768",
        "analyzeduration": "200000",
    }
    if camera.transport == "udp":
        options |= {"max_delay": "200000", "buffer_size": str(4 << 20)}  # 0.2 s for packets out of order
    return Source(
        SourceKind.RTSP,
        redact(address),
        address,
        MappingProxyType(options),
        timeout=camera.timeout,
        open_timeout=camera.open_timeout,
        transport=camera.transport,
    )


def _http(address: str, camera: Camera) -> Source:
    _check_host(address)
    options = {"probesize": str(1 << 20), "analyzeduration": "1000000"}
    return Source(
        SourceKind.HTTP,
        redact(address),
        address,
        MappingProxyType(options),
        timeout=camera.timeout,
        open_timeout=camera.open_timeout,
        loop=camera.loop,
        poll_interval=camera.poll_interval,
        allowed_hosts=frozenset(host.lower() for host in camera.allowed_hosts),
    )


def _file(path: Path, camera: Camera) -> Source:
    # "file:" keeps FFmpeg from reading a name with a colon as a protocol.
    return Source(SourceKind.FILE, str(path), f"file:{expanded(path)}", paced=True, loop=camera.loop)


def _device(address: str, camera: Camera) -> Source:
    """Returns a V4L2 device. `?input_format=mjpeg` after its path selects that format: many USB cameras need it for
    720p."""
    path, _, query = address.partition("?")
    options = dict(parse_qsl(query))
    if unknown := sorted(options.keys() - {"input_format"}):
        raise InvalidSourceError(f"{path} has no option {unknown[0]!r}; write {path}?input_format=mjpeg or remove it")
    if (camera.width is None) != (camera.height is None):
        raise InvalidSourceError(f"{path} needs both width and height, or neither")
    if camera.width is not None:
        options["video_size"] = f"{camera.width}x{camera.height}"
    if camera.fps is not None:
        options["framerate"] = f"{camera.fps:g}"
    return Source(
        SourceKind.DEVICE,
        path,
        path,
        MappingProxyType(options),
        format="v4l2",
        timeout=camera.timeout,
        open_timeout=camera.open_timeout,
    )


def _pattern(camera: Camera) -> Source:
    return Source(
        SourceKind.PATTERN,
        "testpattern://",
        "testpattern://",
        paced=True,
        width=camera.width or 1280,
        height=camera.height or 720,
        fps=camera.fps or 25.0,
    )


def _check_host(address: str) -> None:
    """Raises InvalidSourceError if host or port of `address` cannot be read; the message shows neither user nor
    password."""
    try:
        parts: SplitResult = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    scheme, _, rest = address.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    later = "@" in rest[len(authority) :]
    if authority.count("@") > 1 or (later and (host is None or "@" in authority or authority.endswith(":"))):
        raise InvalidSourceError(
            "user, password or path contains an unescaped @, #, / or ?, which makes the URL ambiguous; "
            f"write %40 for @, %23 for #, %2F for /, %3F for ? in {redact(address)}"
        )
    if not host:
        raise InvalidSourceError(
            f"the {scheme} URL {redact(address)} has no valid host and port; write "
            f"{scheme}://USER:PASSWORD@HOST:PORT/PATH, and in user and password %40 for @, %2F for /, %23 "
            "for #"
        )
    if "#" in address:  # a URL's fragment: it would not be sent, and may be the rest of a password in the query
        raise InvalidSourceError(
            f"the {scheme} URL of host {host} contains a #, and the rest would not be sent to the camera; "
            "write %23 for # (in user, password, path or query), or remove it"
        )
    if re.search(r"\s", address):
        raise InvalidSourceError(f"the {scheme} URL of host {host} contains a space; write it as %20")
