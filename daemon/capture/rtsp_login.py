"""Logins that rtspsrc does not support: it answers only basic and MD5 digest challenges without `qop` (GStreamer
1.22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.web_auth import Authenticator

_MOST = 1 << 16
"""Maximum bytes that are read of an answer."""
_MOST_LOGINS = 2
"""How often the password is sent before it is accepted; the second time only if the camera says that the nonce was
stale."""


@dataclass(slots=True)
class LoginMemory:
    """What is remembered about a camera from one opening to the next: whether it asks for a login that rtspsrc does not
    support. rtspsrc would answer with MD5 each time, and cameras lock an account after about five wrong answers."""

    own: bool = False


class OwnLogin:
    """Requests the camera's challenge on rtspsrc's own connection, because many cameras bind it to one, and answers it.

    Used by the thread that owns the connection; any thread may call `cancel`.
    """

    def __init__(self, authenticator: Authenticator, gio: Any, memory: LoginMemory) -> None:
        self._authenticator, self._memory = authenticator, memory
        self._cancellable = gio.Cancellable()
        self.fault: SourceError | None = None

    def ask(self, connection: Any, location: str) -> None:
        """Requests the camera's challenge and logs in; `fault` says why if that fails. Raises SourceError or GLib.Error
        if the connection fails.

        A wrong password is sent only once.
        """
        self.fault = None
        for number in range(1 + _MOST_LOGINS):
            status, headers = self._described(connection, location, number)
            if status != "401":
                return
            usable = self._authenticator.challenged(headers)
            if number == 0:
                self._memory.own = not self._authenticator.legacy
                usable = usable and self._memory.own
            elif not self._authenticator.stale:
                usable = False
            if not usable:
                break
        self.fault = SourceError(Reason.UNAUTHORISED, self._authenticator.why_not)

    def _described(self, connection: Any, location: str, number: int) -> tuple[str, list[str]]:
        """Sends a DESCRIBE, without credentials if `number` is 0, and returns status and WWW-Authenticate headers."""
        login = self.authorization("DESCRIBE", location) if number else None
        fields = ["User-Agent: sightd", "Accept: application/sdp", *([f"Authorization: {login}"] if login else [])]
        request = "\r\n".join([f"DESCRIBE {location} RTSP/1.0", f"CSeq: {number + 1}", *fields, "", ""])
        connection.get_output_stream().write_all(request.encode(), self._cancellable)
        return self._answer(connection.get_input_stream())

    def authorization(self, method: str, uri: str) -> str | None:
        """Returns the Authorization header for a request; None before the first challenge."""
        return self._authenticator.authorization(method, uri)

    def cancel(self) -> None:
        """Aborts `ask` at once."""
        self._cancellable.cancel()

    def _answer(self, stream: Any) -> tuple[str, list[str]]:
        """Returns status and WWW-Authenticate headers of the answer; skips its body."""
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _MOST:
            data += self._read(stream, 1)
        status, *lines = data.decode(errors="replace").split("\r\n")
        fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((_length(value) for name, value in fields if name == "content-length"), 0)
        if len(data) + length > _MOST:
            raise SourceError(Reason.TOO_LARGE, "a response to a request without credentials")
        while length > 0:
            length -= len(self._read(stream, length))
        return status.partition(" ")[2][:3], [value for name, value in fields if name == "www-authenticate"]

    def _read(self, stream: Any, most: int) -> bytes:
        data: bytes = stream.read_bytes(most, self._cancellable).get_data() or b""
        if not data:
            raise SourceError(Reason.REFUSED)
        return data


def _length(text: str) -> int:
    """Parses a stated number of bytes; 0 if it is not a number. Python refuses to parse thousands of digits, so a very
    long number counts as too many bytes."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) < 20 else _MOST + 1
