"""Who a client is: roles, the holders of the configured tokens, and the users of this machine."""

from __future__ import annotations

import errno
import grp
import hashlib
import hmac
import logging
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from sightd.daemon.config.model import Token

log = logging.getLogger(__name__)


class Role(IntEnum):
    """VIEW sees images, state, metrics and events; OPERATE also works with faces; ADMIN also deletes, exports and
    imports people, and reloads the configuration."""

    VIEW = 1
    OPERATE = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated client: the token's name and role."""

    name: str
    role: Role


class TokenStore:
    """Immutable and thread-safe. Keeps only digests."""

    def __init__(self, tokens: Mapping[str, Token]) -> None:
        self._principals = [
            (_digest(token.token.get_secret_value()), Principal(name, Role[token.role.upper()]))
            for name, token in tokens.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._principals)

    def principal(self, token: str, name: str | None = None) -> Principal | None:
        """Returns the token's holder, or None if the token is unknown or (with `name`) has another name. Always
        compares all tokens completely."""
        asked, found = _digest(token), None
        for digest, principal in self._principals:
            if hmac.compare_digest(asked, digest) and name in (None, principal.name):
                found = principal
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""Linux 4.13, include/uapi/asm-generic/socket.h; Python has no constant for it."""
_GROUPS, _MOST_GROUPS = 256, 65536
"""Expected number of groups, and the maximum on Linux (NGROUPS_MAX)."""
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, with its effective user and all groups at that time."""

    pid: int
    uid: int
    gids: frozenset[int]

    @property
    def name(self) -> str:
        """Name for logs and messages. Does not look up the user name, which may query a directory server."""
        return "root" if self.uid == 0 else f"user {self.uid}"


def peer_of(connection: Any) -> Peer:
    """Returns the peer of a connected AF_UNIX socket. Raises OSError if the kernel does not provide it."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid, frozenset({gid, *memoryview(_peer_groups(connection)).cast("I")}))


def peer_at(connection: Any) -> Peer | None:
    """Returns the peer of a server connection (asyncio's socket object), or None if it is not an AF_UNIX socket."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    return peer_of(connection)


class PeerRoles:
    """Immutable and thread-safe. root and the daemon's own user are admin, other users get the highest role of their
    groups, and everyone else has none."""

    def __init__(self, groups: Mapping[str, str] | None = None, own_uid: int | None = None) -> None:
        """`groups` maps names or numbers of Unix groups to roles. Groups missing on this machine are logged and
        ignored."""
        own = os.geteuid() if own_uid is None else own_uid
        # In a user namespace the overflow uid stands for all unmapped users, so it must not count as our own user.
        self._admins = {0, own} - {_overflow_uid()}
        self._groups: dict[int, Role] = {}
        for group, role in (groups or {}).items():
            gid = _gid(group)
            if gid is None:
                log.warning("control.groups: this machine has no group %r; ignoring its role", group)
            else:
                self._groups[gid] = max(Role[role.upper()], self._groups.get(gid, Role.VIEW))

    @property
    def admits_groups(self) -> bool:
        return bool(self._groups)

    def principal(self, peer: Peer) -> Principal | None:
        """Returns the peer with its role, or None if it has no role."""
        if peer.uid in self._admins:
            return Principal(peer.name, Role.ADMIN)
        roles = [role for gid, role in self._groups.items() if gid in peer.gids]
        return Principal(peer.name, max(roles)) if roles else None


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
