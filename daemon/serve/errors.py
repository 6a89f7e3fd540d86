"""Server errors. Each message says what happened, where, and what to do."""

from __future__ import annotations


class ServeError(Exception):
    """A server cannot start."""

    exit_code = 1


class ListenError(ServeError):
    """Cannot bind the listen address."""

    def __init__(self, what: str, option: str, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"{what} cannot listen on {host}:{port}: {reason}. "
            f"Stop the program that holds the port, or set {option}.port (0 takes a free one) or {option}.host."
        )


class TlsError(ServeError):
    """The certificate or its key cannot be used."""


class GStreamerMissingError(ServeError):
    """GStreamer's RTSP server, its Python binding or one of its plug-ins is not installed."""

    exit_code = 3
