"""The path of a daemon's control socket: the rule that daemon and commands share."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SERVICE_SOCKET = Path("/run/sightd/control.sock")
"""The socket of the service that `sightd service install` installs (RuntimeDirectory=sightd)."""
_LONGEST = 107
"""Maximum bytes of a path in sockaddr_un."""


class UnsafeDirectoryError(Exception):
    """Another user could replace a socket in this directory; the message says why."""


def default_socket(config: Path, environ: Mapping[str, str], uid: int | None = None) -> Path:
    """Returns the control socket of the daemon that runs `config`, if the configuration does not set one.

    systemd's RUNTIME_DIRECTORY belongs to one service, so the name in it is fixed. Otherwise several daemons of one
    user share a directory, so the name is derived from the configuration file's real path.
    """
    if folder := service_runtime(environ):
        return folder / SERVICE_SOCKET.name
    digest = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()[:12]
    return user_runtime(environ, uid) / f"control-{digest}.sock"


def service_runtime(environ: Mapping[str, str]) -> Path | None:
    """Returns the runtime directory that systemd made for this process; None outside a service."""
    first = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def user_runtime(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """Returns the directory for the sockets of a user's daemons (by default the current user's). It may not exist
    yet."""
    uid = os.geteuid() if uid is None else uid
    named = environ.get("XDG_RUNTIME_DIR")  # cron does not set it, and `sudo -E` and `su` pass on another user's
    for folder in (Path(named) if named else None, Path(f"/run/user/{uid}")):
        if folder is not None and _belongs_to(folder, uid):
            return folder / "sightd"
    return Path(f"/tmp/sightd-{uid}")  # anybody may have created it: see check_private


def user_sockets(environ: Mapping[str, str]) -> list[Path]:
    """Returns the control sockets in the current user's directory, of daemons running or dead; none if it is unsafe."""
    folder = user_runtime(environ)
    try:
        check_private(folder)
        return sorted(folder.glob("control-*.sock"))
    except (OSError, UnsafeDirectoryError):
        return []


def check_private(folder: Path, uid: int | None = None) -> None:
    """Raises UnsafeDirectoryError unless `folder` is a real directory that belongs to the user (by default the current
    one) or to root, and that nobody else can write to; OSError if it cannot be examined."""
    uid = os.geteuid() if uid is None else uid
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectoryError(f"{folder} is not a directory")
    if found.st_uid not in (0, uid):
        raise UnsafeDirectoryError(f"{folder} belongs to user {found.st_uid}, not to user {uid}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeDirectoryError(f"{folder} can be written to by other users (mode {found.st_mode & 0o7777:o})")


def _belongs_to(folder: Path, uid: int) -> bool:
    try:
        return folder.lstat().st_uid == uid
    except OSError:
        return False


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yields `path` as bind(2) and connect(2) take it: a path that is too long for an address goes through a descriptor
    of its directory."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def connected(path: Path, timeout: float) -> socket.socket:
    """Returns a connection to the socket at `path`. Raises OSError if nothing accepts there (ConnectionRefusedError:
    its daemon died) or if this user may not connect."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(timeout)
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
