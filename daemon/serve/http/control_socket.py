"""The daemon's control socket: the web server's API over a Unix socket, for commands on this machine."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sightd.daemon.config.model import Control
from sightd.daemon.serve.auth import PeerRoles, peer_of
from sightd.daemon.serve.control_address import (
    UnsafeDirectoryError,
    check_private,
    connected,
    default_socket,
    service_runtime,
    socket_address,
)
from sightd.daemon.serve.errors import ServeError
from sightd.daemon.serve.http.listener import GuardedSocket
from sightd.daemon.serve.limits import ConnectionLimiter, RejectionCounter
from sightd.engines.files import make_private

log = logging.getLogger(__name__)

MOST_CONNECTIONS, _MOST_PER_USER = 128, 32
"""Limits on connections, in total and per user. Users without a role count as one, so that they cannot lock others
out."""
_REFUSALS = {
    "total": f"limit of {MOST_CONNECTIONS} connections reached",
    "address": (f"limit of {_MOST_PER_USER} connections per user reached"),
}
_LOCK = ".sightd.lock"
_LOCK_TIMEOUT = 5.0
"""Seconds to wait for other daemons that are starting or stopping."""
_PROBE = 1.0
"""Seconds within which an existing socket must accept a connection to count as a running daemon's."""


class ControlSocketError(ServeError):
    """The control socket cannot be opened."""


class AlreadyRunningError(ControlSocketError):
    """A daemon with the same control socket is running."""


class ControlSocket(GuardedSocket):
    """A listening AF_UNIX socket at `path`; `close` removes the file."""

    path: Path
    roles: PeerRoles
    identity: tuple[int, int] | None = None
    """Device and inode of the socket file."""

    def origin(self, connection: socket.socket, _address: Any) -> str:
        peer = peer_of(connection)
        return peer.name if self.roles.principal(peer) is not None else "users without a role"

    def close(self) -> None:
        """Idempotent. Keeps the file if another daemon has replaced it."""
        if self.identity is not None:
            try:
                with _locked(self.path.parent):
                    if _identity(self.path) == self.identity:
                        self.path.unlink()
            except OSError as error:
                log.warning("the control socket %s could not be removed: %s", self.path, error.strerror)
            self.identity = None
        super().close()


def open_control(
    options: Control,
    config: Path,
    roles: PeerRoles,
    environ: Mapping[str, str],
    count: Callable[[str], None],
) -> ControlSocket | None:
    """Returns the listening socket, or None if it is disabled or its default path cannot be used; the latter is logged
    and does not stop the daemon from serving video. `count` counts refused connections by reason.

    Raises AlreadyRunningError if a daemon listens there, and ControlSocketError if `control.socket` cannot be used.
    """
    if not options.enabled:
        return None
    path = options.socket or default_socket(config, environ)
    try:
        if options.socket is not None:
            _require_not_open_to_all(path.parent)
        elif service_runtime(environ) is None:
            make_private(path.parent)
            check_private(path.parent)
        listening = _listening(path, 0o666 if roles.admits_groups else 0o600)
    except (OSError, UnsafeDirectoryError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"the control socket {path} cannot be opened: {reason}; set control.socket to another path"
        if options.socket is not None:
            raise ControlSocketError(message) from error
        log.warning("%s. Until then, sightd commands cannot reach this daemon through it", message)
        return None
    refusals = RejectionCounter("the control socket", _REFUSALS, count)
    listening.limiter, listening.refused = ConnectionLimiter(MOST_CONNECTIONS, _MOST_PER_USER), refusals.add
    listening.roles = roles
    if roles.admits_groups and (closed := _closed_to_others(path)):
        log.warning("control.groups: other users cannot enter %s; set control.socket to a path they can reach", closed)
    return listening


def _require_not_open_to_all(folder: Path) -> None:
    """Raises UnsafeDirectoryError if any user could replace the socket with their own."""
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise UnsafeDirectoryError(f"every user can write to {folder} (mode {mode & 0o7777:o})")


def _listening(path: Path, mode: int) -> ControlSocket:
    with _locked(path.parent):
        _clear(path)
        for other in path.parent.glob("control-*.sock"):
            if other != path and _is_dead(other):
                other.unlink(missing_ok=True)
        listening = ControlSocket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with ExitStack() as undo:
            undo.callback(listening.close)
            with socket_address(path) as address:
                listening.bind(address)
            undo.callback(path.unlink)
            path.chmod(mode)
            listening.listen()
            undo.pop_all()
        listening.path, listening.identity = path, _identity(path)
    return listening


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Serialises daemons that start together and inspect or replace files in `folder`. Locks a file of our own, because
    any user who can open the folder could lock the folder itself. Raises OSError if another process holds the lock for
    longer than `_LOCK_TIMEOUT`."""
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, folder / _LOCK)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"another process has locked {path}") from None
            time.sleep(0.05)
        else:
            return


def _clear(path: Path) -> None:
    """Removes the stale socket of a killed daemon. Raises AlreadyRunningError if the daemon is running."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(17, "not a socket")
    try:
        with connected(path, _PROBE) as connection:
            pid = peer_of(connection).pid
    except ConnectionRefusedError:
        path.unlink()
    except (TimeoutError, BlockingIOError):  # it exists but accepts nothing now
        raise AlreadyRunningError(
            f"sightd is already running with this configuration (control socket {path})"
        ) from None
    else:
        raise AlreadyRunningError(
            f"sightd is already running with this configuration (process {pid}, control socket {path}). "
            "Stop it first; a second daemon needs its own configuration file"
        )


def _is_dead(path: Path) -> bool:
    try:
        connected(path, _PROBE).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _closed_to_others(path: Path) -> Path | None:
    return next((folder for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH), None)
