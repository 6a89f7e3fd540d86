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
        "no connection: nothing answers, or it was closed; check address and port, and that the camera is on",
    ),
    Reason.TIMEOUT: (
        "no answer",
        "no data for longer than `timeout`; check cable, network and camera, or raise `timeout`",
    ),
    Reason.EOF: (
        "stream ended",
        "the stream ended; the camera may have restarted or reached its limit of viewers",
    ),
    Reason.NO_VIDEO: (
        "no video",
        "there is no video in it that can be decoded; check that the address names a video stream",
    ),
    Reason.UNAUTHORISED: (
        "login refused",
        "user or password was not accepted; check both in the address (%-encode characters like @ and /)",
    ),
    Reason.NOT_FOUND: ("not found", "there is nothing at this address; check the path"),
    Reason.NOT_READABLE: (
        "cannot be read",
        "the file or device cannot be read; check its type, and that the user of sightd may read it",
    ),
    Reason.NAME_NOT_RESOLVED: (
        "host name unknown",
        "the host name cannot be resolved; check its spelling and the name server",
    ),
    Reason.DECODE: (
        "damaged data",
        "its data cannot be decoded; check the camera's codec settings and the network for loss",
    ),
    Reason.LATE: (
        "too late",
        "its frames arrived late and did not catch up, so it is reopened; check the network's bandwidth or choose a "
        "smaller stream",
    ),
    Reason.TOO_LARGE: (
        "too much data",
        "it sends more data than a camera should; it may be broken or compromised",
    ),
    Reason.REDIRECT: ("redirect refused", "it redirects to an address that is not followed"),
    Reason.SILENT: ("no picture", "no frame arrives, although the connection stands"),
    Reason.OTHER: ("failed", "it failed"),
}


def words_of(reason: str) -> str | None:
    """Returns the words for a reason that was stored as text; None if the reason is unknown."""
    known = next((one for one in Reason if one == reason), None)
    return None if known is None else known.words
