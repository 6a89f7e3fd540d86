"""The API of a running daemon for Python programs (docs/api.md)."""

from __future__ import annotations

import os
from pathlib import Path

from sightd.daemon.control.api import Changes, Configuration, DaemonClient, Job
from sightd.daemon.control.client import (
    ControlError,
    DeniedError,
    LateError,
    NoDaemonError,
    SocketEndpoint,
    url_endpoint,
)
from sightd.daemon.control.discovery import DaemonSelection, client_for
from sightd.plugins.api import ApiError

__all__ = [
    "ApiError", "Changes", "Client", "Configuration", "ControlError", "DeniedError", "Job", "LateError",
    "NoDaemonError",
]  # fmt: skip


class Client(DaemonClient):
    """A daemon: by the address of its web server and a token; by its control socket; or, with neither, the one that
    runs on this machine, as commands find it. Thread-safe; opens a connection for each request.

    Raises NoDaemonError if none runs here, UsageError if the address is invalid. Methods raise ApiError, whose `status`
    is that of HTTP and whose text says what is wrong, or a ControlError if the daemon could not be asked.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        ca_file: str | Path | None = None,
        socket: str | Path | None = None,
    ) -> None:
        """`ca_file` is a PEM file with the authorities that may have signed the server's certificate, if not one of
        the system's."""
        if url is not None:
            super().__init__(url_endpoint(url, token, None if ca_file is None else Path(ca_file)))
        elif socket is not None:
            super().__init__(SocketEndpoint(Path(socket)))
        else:
            super().__init__(client_for(DaemonSelection(), os.environ).endpoint)
