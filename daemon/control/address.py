"""Where a daemon's control socket is: the rule that the daemon and the commands share."""

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
"""Bytes of a path that sockaddr_un holds."""


class UnsafeDirectoryError(Exception):
    """Another user could replace a socket in this directory; the message says why."""


def default_socket(config: Path, environ: Mapping[str, str], uid: int | None = None) -> Path:
    """The control socket of the daemon that runs `config`, if the configuration does not name one.

    systemd's RUNTIME_DIRECTORY belongs to one service and gives it a fixed name. Elsewhere several daemons of one user
    share a directory, so the name is derived from the configuration file's real path.
    """
    if folder := service_runtime(environ):
        return folder / SERVICE_SOCKET.name
    digest = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()[:12]
    return user_runtime(environ, uid) / f"control-{digest}.sock"


def service_runtime(environ: Mapping[str, str]) -> Path | None:
    """The runtime directory that systemd made for this process; None outside of a service."""
    first = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def user_runtime(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """The directory for the sockets of a user's daemons (by default the current user's). It may not exist yet."""
    uid = os.geteuid() if uid is None else uid
    named = environ.get("XDG_RUNTIME_DIR")  # cron leaves it out, and `sudo -E` and `su` pass another user's on
    for folder in (Path(named) if named else None, Path(f"/run/user/{uid}")):
        if folder is not None and _belongs_to(folder, uid):
            return folder / "sightd"
    return Path(f"/tmp/sightd-{uid}")  # anybody may have made it: see check_private


def user_sockets(environ: Mapping[str, str]) -> list[Path]:
    """The control sockets in the current user's directory, of daemons alive or dead."""
    folder = user_runtime(environ)
    try:
        check_private(folder)
        return sorted(folder.glob("control-*.sock"))
    except (OSError, UnsafeDirectoryError):
        return []


def check_private(folder: Path, uid: int | None = None) -> None:
    """Raises UnsafeDirectoryError unless `folder` is a real directory of the user (by default the current one) or of
    root that nobody else can write to; OSError if it cannot be examined."""
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
    """`path` as bind(2) and connect(2) take it: longer paths than an address holds go through a descriptor of the
    directory."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def connected(path: Path, timeout: float) -> socket.socket:
    """A connection to the socket at `path`. OSError if nothing accepts there (ConnectionRefusedError: its daemon died)
    or this user may not connect."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(timeout)
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
