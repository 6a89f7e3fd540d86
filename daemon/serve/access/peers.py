"""Who is at the other end of a Unix socket, as the kernel says, and which role that user has."""

from __future__ import annotations

import errno
import grp
import logging
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.serve.access.keyring import Holder
from sightd.daemon.serve.access.roles import Role

log = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""Linux 4.13, include/uapi/asm-generic/socket.h; Python has no name for it."""
_GROUPS, _MOST_GROUPS = 256, 65536
"""How many groups are expected, and how many Linux allows (NGROUPS_MAX)."""
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, with its effective user and all its groups at that moment."""

    pid: int
    uid: int
    gids: frozenset[int]

    @property
    def name(self) -> str:
        """For logs and messages. User names are not looked up: that may ask a directory server."""
        return "root" if self.uid == 0 else f"user {self.uid}"


def peer_of(connection: Any) -> Peer:
    """The peer of a connected AF_UNIX socket. OSError if the kernel does not say."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid, frozenset({gid, *memoryview(_peer_groups(connection)).cast("I")}))


def peer_at(connection: Any) -> Peer | None:
    """The peer of a server's connection (a socket as asyncio shows it); None if it is not an AF_UNIX socket."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    return peer_of(connection)


class PeerRoles:
    """Immutable; any thread. root and the daemon's own user are admin, other users get the highest role of their
    groups, and everybody else has none."""

    def __init__(self, groups: Mapping[str, str] | None = None, own_uid: int | None = None) -> None:
        """`groups`: names or numbers of Unix groups to names of roles. Groups that this machine does not have are
        logged and ignored."""
        own = os.geteuid() if own_uid is None else own_uid
        # In a user namespace this number stands for all users that are not mapped: strangers are not our own user.
        self._admins = {0, own} - {_overflow_uid()}
        self._groups: dict[int, Role] = {}
        for group, role in (groups or {}).items():
            gid = _gid(group)
            if gid is None:
                log.warning("control.groups: this machine has no group %r; its role is not given to anyone", group)
            else:
                self._groups[gid] = max(Role[role.upper()], self._groups.get(gid, Role.VIEW))

    @property
    def admits_groups(self) -> bool:
        return bool(self._groups)

    def holder(self, peer: Peer) -> Holder | None:
        """The peer with its role; None if it has none."""
        if peer.uid in self._admins:
            return Holder(peer.name, Role.ADMIN)
        roles = [role for gid, role in self._groups.items() if gid in peer.gids]
        return Holder(peer.name, max(roles)) if roles else None


def _peer_groups(connection: Any) -> Any:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _GROUPS)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
    return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)


def _gid(group: str) -> int | None:
    if group.isascii() and group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _overflow_uid() -> int:
    try:
        return int(_OVERFLOW_UID.read_text())
    except (OSError, ValueError):
        return 65534
