"""The reasons for which a feed loses its camera, and what an exception means."""

from __future__ import annotations

import errno
import re
from enum import StrEnum

from av import error

from daemon.redact import MARK, redact


class Reason(StrEnum):
    """Why a feed lost its camera, or did not get it. The values are labels of a metric."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    EOF = "eof"
    NO_VIDEO = "no_video"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    NAME_NOT_RESOLVED = "name_not_resolved"
    DECODE = "decode"
    LATE = "late"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    OTHER = "other"


EXPLANATIONS: dict[Reason, str] = {
    Reason.REFUSED: "no connection: nothing answers, or it was cut; check address and port, and that the camera is on",
    Reason.TIMEOUT: "silent for longer than `timeout`; check cable, network and camera, or raise `timeout`",
    Reason.EOF: "the stream ended; the camera may have restarted or reached its limit of viewers",
    Reason.NO_VIDEO: "there is no video in it that can be decoded; check that the address names a video stream",
    Reason.UNAUTHORISED: "user or password was not accepted; check both in the address (%-encode signs like @ and /)",
    Reason.NOT_FOUND: "there is nothing at this address; check the path",
    Reason.NAME_NOT_RESOLVED: "the host's name is not known; check its spelling and the name server",
    Reason.DECODE: "its data cannot be decoded; check the camera's codec settings and the network for loss",
    Reason.LATE: "its pictures came late and did not catch up, so it is opened again; check the network's bandwidth or "
    "choose a smaller stream",
    Reason.TOO_LARGE: "it sends more than a camera has to; it may be broken, or taken over by somebody",
    Reason.REDIRECT: "it leads elsewhere, which is not followed",
    Reason.OTHER: "it failed",
}


class SourceError(Exception):
    """A source failed while it was read. The text is our own: FFmpeg's messages show addresses with passwords."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(EXPLANATIONS[reason] + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


def hiding(fault: SourceError, secret: str) -> SourceError:
    """The fault without `secret` in its text: a camera that was given its password may repeat it. What is shorter than
    four characters is no secret, and would take words apart."""
    if len(secret) < _SHORTEST_SECRET or secret.lower() not in fault.detail.lower():
        return fault
    return SourceError(fault.reason, re.sub(re.escape(secret), MARK, fault.detail, flags=re.IGNORECASE))


_SHORTEST_SECRET = 4
_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...] = (
    ((error.HTTPUnauthorizedError, error.HTTPForbiddenError, PermissionError), Reason.UNAUTHORISED),
    ((error.HTTPNotFoundError, FileNotFoundError, NotADirectoryError, IsADirectoryError), Reason.NOT_FOUND),
    ((error.ExitError, TimeoutError), Reason.TIMEOUT),  # ExitError: PyAV's own timeout broke the call off
    ((EOFError,), Reason.EOF),
    ((ConnectionError,), Reason.REFUSED),
    ((error.DecoderNotFoundError, error.DemuxerNotFoundError, error.LookupError), Reason.NO_VIDEO),
    ((error.InvalidDataError,), Reason.DECODE),
)
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def fault_of(failure: BaseException) -> SourceError:
    """What an exception of PyAV means. Its text is shown only where it is of no known kind, and then redacted."""
    if isinstance(failure, SourceError):
        return failure
    if isinstance(failure, OSError) and failure.errno in _UNREACHABLE:
        return SourceError(Reason.REFUSED)
    for kinds, reason in _REASONS:
        if isinstance(failure, kinds):
            return SourceError(reason)
    return SourceError(Reason.OTHER, redact(f"{type(failure).__name__}: {failure}"))
