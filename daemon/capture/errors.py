"""Source faults, the conversion of PyAV's and sockets' exceptions to them, and host name lookups."""

from __future__ import annotations

import errno
import re
import socket
from urllib.parse import urlsplit

from av import error

from sightd.daemon.capture.reasons import Reason
from sightd.daemon.common.redaction import MARK, redact

__all__ = ["Reason", "SourceError", "fault_of", "hiding"]


class SourceError(Exception):
    """A source failed while it was read. The text is our own, because FFmpeg's messages show addresses with
    passwords."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.explanation + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


def hiding(fault: SourceError, secret: str) -> SourceError:
    """Returns the fault with `secret` redacted from its text: a camera may repeat the password it was given. Secrets
    shorter than four characters are ignored, because removing them would garble words."""
    if len(secret) < _SHORTEST_SECRET or secret.lower() not in fault.detail.lower():
        return fault
    return SourceError(fault.reason, re.sub(re.escape(secret), MARK, fault.detail, flags=re.IGNORECASE))


_SHORTEST_SECRET = 4
_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...] = (
    ((error.HTTPUnauthorizedError, error.HTTPForbiddenError, PermissionError), Reason.UNAUTHORISED),
    ((error.HTTPNotFoundError, FileNotFoundError, NotADirectoryError, IsADirectoryError), Reason.NOT_FOUND),
    ((error.ExitError, TimeoutError), Reason.TIMEOUT),  # ExitError: PyAV's own timeout interrupted the call
    ((EOFError,), Reason.EOF),
    ((ConnectionError,), Reason.REFUSED),
    ((error.DecoderNotFoundError, error.DemuxerNotFoundError, error.LookupError), Reason.NO_VIDEO),
    ((error.InvalidDataError,), Reason.DECODE),
)
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def fault_of(failure: BaseException) -> SourceError:
    """Converts an exception of PyAV or a socket to a SourceError. Its text is shown only if its type is unknown, and
    then redacted."""
    if isinstance(failure, SourceError):
        return failure
    if isinstance(failure, OSError) and failure.errno in _UNREACHABLE:
        return SourceError(Reason.REFUSED)
    for kinds, reason in _REASONS:
        if isinstance(failure, kinds):
            return SourceError(reason)
    return SourceError(Reason.OTHER, redact(f"{type(failure).__name__}: {failure}"))


def resolves(address: str) -> bool:
    """Returns whether the host name in `address` can be resolved. FFmpeg and GStreamer do not report that: to them, an
    unknown name is an input/output error."""
    return bool(_addresses(urlsplit(address).hostname))


def is_host(name: str, other: str) -> bool:
    """Returns whether `other` is the host `name` itself, or one of its IP addresses."""
    return name == other or other in _addresses(name)


def _addresses(name: str | None) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()
