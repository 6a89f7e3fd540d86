"""What we send to an RTSP camera, and when we stop: choice of the stream and its codec, redirects, login attempts."""

from __future__ import annotations

import base64
import re
import threading
from binascii import Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from sightd.daemon.capture.audio import AudioFormat, described_audio
from sightd.daemon.capture.errors import Reason, SourceError, is_host, resolves
from sightd.daemon.capture.rtsp_gstreamer import RtspConnection
from sightd.daemon.capture.rtsp_login import OwnLogin


@dataclass(frozen=True, slots=True)
class RtpCodec:
    """`depayloader` is the GStreamer element, `caps` its required output: one frame per buffer.

    `decoder` is FFmpeg's name of the codec, `package` the Debian package with the element. `needs_configuration`: some
    of what the decoder needs may be only in the camera's description.
    """

    depayloader: str
    caps: str
    decoder: str
    package: str = "gstreamer1.0-plugins-good"
    needs_configuration: bool = False


CODECS: dict[str, RtpCodec] = {
    "H264": RtpCodec("rtph264depay", "video/x-h264,stream-format=byte-stream,alignment=au", "h264"),
    "H265": RtpCodec("rtph265depay", "video/x-h265,stream-format=byte-stream,alignment=au", "hevc"),
    "JPEG": RtpCodec("rtpjpegdepay", "image/jpeg", "mjpeg"),
    "MP4V-ES": RtpCodec("rtpmp4vdepay", "video/mpeg,mpegversion=4", "mpeg4", needs_configuration=True),
    "VP8": RtpCodec("rtpvp8depay", "video/x-vp8", "vp8"),
    "VP9": RtpCodec("rtpvp9depay", "video/x-vp9", "vp9"),
    "AV1": RtpCodec("rtpav1depay", "video/x-av1,alignment=tu", "libdav1d", "gstreamer1.0-plugins-rs"),
}
"""By encoding name in upper case, as in SDP (RFC 4566)."""
AUDIO = {
    "MPEG4-GENERIC": ("rtpmp4gdepay", "audio/mpeg,mpegversion=4,stream-format=raw"),
    "OPUS": ("rtpopusdepay", "audio/x-opus"),
    "PCMA": ("rtppcmadepay", "audio/x-alaw"),
    "PCMU": ("rtppcmudepay", "audio/x-mulaw"),
}
"""Depayloader and its required output, by encoding name."""
STATIC = {0: "PCMU", 8: "PCMA", 26: "JPEG", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}
"""Encoding names of static payload types (RFC 3551)."""

_START = b"\0\0\0\1"
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PARAMETER_SETS = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")


def stated_configuration(field: Callable[[str], str | None]) -> bytes | None:
    """Returns the decoder configuration in the camera's description, in FFmpeg's format; None if it is absent or
    malformed. `field` returns the value of a parameter: parameter sets in base64 (RFC 6184, 7798), or MPEG-4's
    configuration in hexadecimal."""
    try:
        if config := field("config"):
            return bytes.fromhex(config)
        sets = [base64.b64decode(one) for name in _PARAMETER_SETS for one in (field(name) or "").split(",")]
    except (Error, ValueError):
        return None
    return b"".join(_START + one for one in sets if one) or None


def is_key(decoder: str, unit: bytes) -> bool:
    """Returns whether an access unit (H.264 and HEVC: in Annex B) can be decoded without those before it. Always True
    for other codecs."""
    if decoder not in ("h264", "hevc"):
        return True
    for match in _UNIT.finditer(unit):
        kind = match[1][0] & 31 if decoder == "h264" else match[1][0] >> 1 & 63
        if decoder == "h264" and kind in (1, 5):
            return kind == 5
        if decoder == "hevc" and kind < 32:
            return 16 <= kind <= 23
    return False


_MOST_REDIRECTS = 5
_MOST_TRIES = 2
"""How often one request is sent on one connection: without credentials, then with them. Some cameras lock an account
after five wrong passwords, and rtspsrc by itself would try eight times."""


_MOST_REPLACED = 8
"""How often a stream may change its SSRC within a session."""


@dataclass(frozen=True, slots=True)
class Address:
    """A camera's address, split up: GStreamer never sees an address that contains the password, so it cannot log it."""

    location: str
    host: str
    secure: bool
    user: str | None = field(repr=False)
    password: str = field(repr=False)


def address_of(url: str) -> Address:
    """Splits `url`, whose host and port are known to be valid."""
    parts = urlsplit(url)
    scheme, host_and_port = parts.scheme.lower(), parts.netloc.rpartition("@")[2]
    location = urlunsplit((scheme, host_and_port, parts.path or "/", parts.query, ""))
    user = None if parts.username is None else unquote(parts.username)
    return Address(location, (parts.hostname or "").lower(), scheme == "rtsps", user, unquote(parts.password or ""))


class UnreadableCodecError(SourceError):
    """The camera's video uses an encoding that GStreamer cannot read here."""


class Dialogue:
    """Decides on requests and streams while a camera is opened. Called from GStreamer's thread; holds no GStreamer
    objects, so that nothing keeps a closed pipeline alive.

    `installed(element)` returns whether GStreamer has that element. `login`, if set, answers challenges instead of
    rtspsrc; `fault` is why we ended the dialogue, if we did. Any thread may call `has_connected`, `received`, `cut` and
    `close`.
    """

    def __init__(self, address: Address, installed: Callable[[str], bool], *, audio: bool = False) -> None:
        """`audio`: also reads the first audio stream whose format is passed on."""
        self.address, self._wants_audio = address, audio
        self._installed = installed
        self._tries: dict[str, int] = {}
        self._redirects = 0
        self._videos: list[str] = []
        self._media: set[str] = set()
        self.stream: int | None = None
        self.codec: RtpCodec | None = None
        self.configuration: bytes | None = None
        self.audio_stream: int | None = None
        self.audio: AudioFormat | None = None
        self.audio_depayloader = self.audio_caps = ""
        self._wire: RtspConnection | None = None
        self._wire_lock = threading.Lock()
        self._closed = False
        self.login: OwnLogin | None = None
        self._replaced = 0
        self.fault: SourceError | None = None

    def allows(self, method: str, location: str) -> bool:
        """Returns whether a request may be sent: none goes to another host, and none is repeated endlessly.

        `location` is the address that is being opened: after a redirect, the new one.
        """
        if method == "OPTIONS" and self._tries.get("DESCRIBE"):  # rtspsrc starts over after a redirect
            self._redirects += 1
            self._tries.clear()
        self.check(location)
        if self._redirects > _MOST_REDIRECTS:
            self.fault = SourceError(Reason.REDIRECT, f"more than {_MOST_REDIRECTS} times")
        if self.fault is not None:
            return False
        self._tries[method] = self._tries.get(method, 0) + 1
        return method not in ("OPTIONS", "DESCRIBE") or self._tries[method] <= _MOST_TRIES

    def connected(self, wire: RtspConnection) -> None:
        """Takes ownership of the duplicate of a new connection, and closes the previous one."""
        with self._wire_lock:
            old, self._wire = (wire, None) if self._closed else (self._wire, wire)
        if old is not None:
            old.close()

    @property
    def has_connected(self) -> bool:
        """Whether the camera has accepted a connection."""
        with self._wire_lock:
            return self._wire is not None

    def received(self) -> int:
        """Returns the bytes that the camera has sent over TCP so far, on the latest connection."""
        with self._wire_lock:
            return 0 if self._wire is None else self._wire.received()

    def cut(self) -> None:
        """Shuts the latest connection down."""
        with self._wire_lock:
            if self._wire is not None:
                self._wire.cut()

    def close(self) -> None:
        """Closes the duplicate of the connection, and that of any later connection. Idempotent."""
        with self._wire_lock:
            old, self._wire, self._closed = self._wire, None, True
        if old is not None:
            old.close()

    def check(self, location: str) -> None:
        """Sets `fault` if a redirect led to another host, or away from TLS."""
        if not self._stays(location):
            self.fault = SourceError(Reason.REDIRECT, "to another host; set `source` to that URL if you trust it")

    def may_replace_stream(self) -> bool:
        """Counts a change of the SSRC and returns whether the stream may continue under it: each one takes memory until
        the session ends."""
        self._replaced += 1
        return self._replaced <= _MOST_REPLACED

    def selects(self, number: int, payload: int, field: Callable[[str], str | None]) -> bool:
        """Returns whether to read stream `number` of the camera's description: the first video stream that can be read.
        `payload` is its RTP payload type, `field` returns the value of one of its parameters."""
        media, encoding = field("media") or "", field("encoding-name") or STATIC.get(payload, f"payload type {payload}")
        self._media.add(media)
        if media == "audio":
            return self._selects_audio(number, encoding.upper(), field)
        if media != "video" or self.stream not in (None, number):
            return False
        codec = CODECS.get(encoding.upper())
        if codec is None or not self._installed(codec.depayloader):
            self._videos.append(encoding)
            return False
        self.stream, self.codec, self.configuration = number, codec, stated_configuration(field)
        return True

    def _selects_audio(self, number: int, encoding: str, field: Callable[[str], str | None]) -> bool:
        if not self._wants_audio or self.audio_stream not in (None, number):
            return False
        depayloader, caps = AUDIO.get(encoding, ("", ""))
        audio = described_audio(encoding, field)
        if audio is None or not self._installed(depayloader):
            return False
        self.audio_stream, self.audio = number, audio
        self.audio_depayloader, self.audio_caps = depayloader, caps
        return True

    def without_stream(self) -> SourceError:
        """Returns the fault that says why no stream could be set up."""
        if self.codec is not None:
            return SourceError(Reason.OTHER, "the camera rejects this `transport`; use the other one, tcp or udp")
        if self._videos:
            return _unreadable(self._videos[0])
        if "audio" in self._media:
            return SourceError(Reason.NO_VIDEO, "it has only audio")
        return SourceError(Reason.NO_VIDEO)

    def _stays(self, location: str) -> bool:
        try:
            parts = urlsplit(location)
        except ValueError:  # such as a host in brackets that is not an IPv6 address
            return False
        if self.address.secure and parts.scheme.lower() != "rtsps":
            return False
        return is_host(self.address.host, (parts.hostname or "").lower())


def _unreadable(encoding: str) -> UnreadableCodecError:
    codec = CODECS.get(encoding.upper())
    missing = f", for which GStreamer has no element {codec.depayloader} ({codec.package})" if codec is not None else ""
    return UnreadableCodecError(Reason.NO_VIDEO, f"its encoding is {plain(encoding)}{missing}")


def plain(text: str, secret: str = "") -> str:
    """Returns a camera's text, fit for a log: short, printable ASCII only, and without `secret`. It is redacted first,
    because truncation could leave a part of it."""
    if len(secret) > 3:
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    return re.sub(r"[^ -~]", "?", text)[:60]


_RESOURCE, _STREAM = "gst-resource-error-quark", "gst-stream-error-quark"
_NO_STREAM = 6
_REASONS: Mapping[tuple[str, int], Reason] = {
    (_RESOURCE, 3): Reason.NOT_FOUND,
    (_RESOURCE, 5): Reason.NO_VIDEO,  # the camera does not support DESCRIBE, SETUP and PLAY
    (_RESOURCE, 7): Reason.REFUSED,
    (_RESOURCE, 9): Reason.EOF,
    (_RESOURCE, 10): Reason.EOF,
    (_RESOURCE, 13): Reason.NO_VIDEO,  # the camera answers, but not with a description
    (_RESOURCE, 15): Reason.UNAUTHORISED,
    (_STREAM, 7): Reason.DECODE,
    (_STREAM, 11): Reason.DECODE,
}
_OF_STATUS = {401: Reason.UNAUTHORISED, 403: Reason.UNAUTHORISED, 404: Reason.NOT_FOUND, 410: Reason.NOT_FOUND}


@dataclass(frozen=True, slots=True)
class GstFault:
    """An error message of GStreamer: its domain and code, the text for developers, and the camera's RTSP status, if
    any."""

    domain: str
    code: int
    text: str = field(repr=False)
    status: int | None = None
    status_text: str = ""


def meaning_of(fault: GstFault, dialogue: Dialogue) -> SourceError:
    """Converts an error of the pipeline to a SourceError."""
    secret = dialogue.address.password
    if fault.status is not None:
        reason = _OF_STATUS.get(fault.status, Reason.OTHER)
        detail = (
            ""
            if reason is not Reason.OTHER
            else f"the camera answered {fault.status} {plain(fault.status_text, secret)}"
        )
        return SourceError(reason, detail.rstrip())
    if (fault.domain, fault.code) == (_STREAM, _NO_STREAM):
        return dialogue.without_stream()
    if "(Timeout while waiting" in fault.text:
        return SourceError(Reason.TIMEOUT)
    if "authentication protocol" in fault.text:
        return SourceError(Reason.UNAUTHORISED, "the camera requires an unsupported login method")
    reason = _REASONS.get((fault.domain, fault.code), Reason.OTHER)
    if reason is Reason.REFUSED and not resolves(dialogue.address.location):
        return SourceError(Reason.NAME_NOT_RESOLVED)
    return SourceError(reason, plain(_last_line(fault.text), secret) if reason is Reason.OTHER else "")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
