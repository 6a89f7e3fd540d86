"""Logins that rtspsrc does not know: it answers basic and MD5 digests only (GStreamer 1.22)."""

from __future__ import annotations

from typing import Any

from daemon.capture.errors import Reason, SourceError
from daemon.capture.web_auth import Authenticator

_MOST = 1 << 16
"""Bytes of an answer that are read."""
_KNOWN_TO_RTSPSRC = frozenset({"basic", "digest", "digest MD5"})


class OwnLogin:
    """Asks the camera for its challenge on rtspsrc's own connection, as many cameras bind it to one, and answers it.

    Used by the thread that owns the connection; `cancel` from any.
    """

    def __init__(self, authenticator: Authenticator, gio: Any) -> None:
        self._authenticator = authenticator
        self._cancellable = gio.Cancellable()
        self.fault: SourceError | None = None

    def ask(self, connection: Any, location: str) -> None:
        """Sends a request without credentials and takes in the challenge; `fault` says why there can be no login."""
        request = f"DESCRIBE {location} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: sightd\r\nAccept: application/sdp\r\n\r\n"
        connection.get_output_stream().write_all(request.encode(), self._cancellable)
        status, headers = self._answer(connection.get_input_stream())
        self.fault = None
        if status != "401":
            return
        usable = self._authenticator.challenged(headers)
        if not usable or _KNOWN_TO_RTSPSRC & set(self._authenticator.offered):
            self.fault = SourceError(Reason.UNAUTHORISED, self._authenticator.why_not)

    def authorization(self, method: str, uri: str) -> str | None:
        """The Authorization header of a request."""
        return self._authenticator.authorization(method, uri)

    def cancel(self) -> None:
        """Ends `ask` at once."""
        self._cancellable.cancel()

    def _answer(self, stream: Any) -> tuple[str, list[str]]:
        """Status and WWW-Authenticate headers; the body is skipped."""
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _MOST:
            data += self._read(stream, 1)
        status, *lines = data.decode(errors="replace").split("\r\n")
        fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((_length(value) for name, value in fields if name == "content-length"), 0)
        if len(data) + length > _MOST:
            raise SourceError(Reason.TOO_LARGE, "an answer to a request without credentials")
        while length > 0:
            length -= len(self._read(stream, length))
        return status.partition(" ")[2][:3], [value for name, value in fields if name == "www-authenticate"]

    def _read(self, stream: Any, most: int) -> bytes:
        data: bytes = stream.read_bytes(most, self._cancellable).get_data() or b""
        if not data:
            raise SourceError(Reason.REFUSED)
        return data


def _length(text: str) -> int:
    """A stated number of bytes; 0 if it is none. Python refuses to read a number of thousands of digits."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) < 20 else _MOST + 1
