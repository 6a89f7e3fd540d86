"""Logins that rtspsrc does not know: it answers basic and MD5 digests without `qop` only (GStreamer 1.22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.web_auth import Authenticator

_MOST = 1 << 16
"""Bytes of an answer that are read."""
_MOST_LOGINS = 2
"""How often the password is sent until it is accepted; again only if the camera says that the nonce was stale."""


@dataclass(slots=True)
class LoginMemory:
    """What is remembered of a camera from one opening to the next: whether it asks for a login that rtspsrc does not
    know. rtspsrc would answer with MD5 each time, and cameras lock an account after some five wrong answers."""

    own: bool = False


class OwnLogin:
    """Asks the camera for its challenge on rtspsrc's own connection, as many cameras bind it to one, and answers it.

    Used by the thread that owns the connection; `cancel` from any.
    """

    def __init__(self, authenticator: Authenticator, gio: Any, memory: LoginMemory) -> None:
        self._authenticator, self._memory = authenticator, memory
        self._cancellable = gio.Cancellable()
        self.fault: SourceError | None = None

    def ask(self, connection: Any, location: str) -> None:
        """Takes in the camera's challenge and logs in; `fault` says why there can be no login.

        A wrong password is sent once.
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
        """The answer to a DESCRIBE: without credentials if `number` is 0."""
        login = self.authorization("DESCRIBE", location) if number else None
        fields = ["User-Agent: sightd", "Accept: application/sdp", *([f"Authorization: {login}"] if login else [])]
        request = "\r\n".join([f"DESCRIBE {location} RTSP/1.0", f"CSeq: {number + 1}", *fields, "", ""])
        connection.get_output_stream().write_all(request.encode(), self._cancellable)
        return self._answer(connection.get_input_stream())

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
