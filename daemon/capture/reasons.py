"""Why a camera has no frames: one table of reasons and their texts, for slate, log, events, status and `/readyz`."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a feed lost its camera, or could not open it. The values are labels of a metric and part of events."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    EOF = "eof"
    NO_VIDEO = "no_video"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    NOT_READABLE = "not_readable"
    NAME_NOT_RESOLVED = "name_not_resolved"
    DECODE = "decode"
    LATE = "late"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    SILENT = "silent"
    """No frame arrives although the connection is up. It becomes TIMEOUT if that lasts."""
    OTHER = "other"

    @property
    def words(self) -> str:
        """Two or three words, for the slate and for a line about an event."""
        return _WORDS[self][0]

    @property
    def explanation(self) -> str:
        """A sentence that says what to check, for the log, `sightd status` and `/readyz`."""
        return _WORDS[self][1]


_WORDS: dict[Reason, tuple[str, str]] = {
    Reason.REFUSED: (
        "no connection",
        "no connection: the camera does not answer or closed the connection; check address, port and power",
    ),
    Reason.TIMEOUT: (
        "no answer",
        "no data for longer than `timeout`; check cable, network and camera, or increase `timeout`",
    ),
    Reason.EOF: (
        "stream ended",
        "the stream ended; the camera may have restarted or reached its viewer limit",
    ),
    Reason.NO_VIDEO: (
        "no video",
        "the stream contains no decodable video; check that the URL is that of a video stream",
    ),
    Reason.UNAUTHORISED: (
        "login refused",
        "login rejected; check user and password in the URL (percent-encode characters such as @ and /)",
    ),
    Reason.NOT_FOUND: ("not found", "no stream at this URL; check the path"),
    Reason.NOT_READABLE: (
        "cannot be read",
        "the file or device cannot be read; check its type and that the sightd user has read permission",
    ),
    Reason.NAME_NOT_RESOLVED: (
        "host name unknown",
        "the host name cannot be resolved; check the spelling and the DNS server",
    ),
    Reason.DECODE: (
        "damaged data",
        "the data cannot be decoded; check the camera's codec settings and the network for packet loss",
    ),
    Reason.LATE: (
        "too late",
        "the frames arrived late and did not catch up, so the stream is reopened; check the network "
        "bandwidth or choose a smaller stream",
    ),
    Reason.TOO_LARGE: (
        "too much data",
        "the camera sends more data than it should; it may be broken or compromised",
    ),
    Reason.REDIRECT: ("redirect refused", "the camera redirects to a URL that is not followed"),
    Reason.SILENT: ("no picture", "connected, but no frames arrive"),
    Reason.OTHER: ("failed", "it failed"),
}


def words_of(reason: str) -> str | None:
    """Returns the words for a reason that was stored as text; None if the reason is unknown."""
    known = next((one for one in Reason if one == reason), None)
    return None if known is None else known.words
