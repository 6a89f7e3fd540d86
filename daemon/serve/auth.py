"""Access control of both servers: tokens and their roles, users of this machine, throttling of failed logins."""

from __future__ import annotations

import errno
import grp
import hashlib
import hmac
import logging
import os
import socket
import struct
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

from sightd.daemon.config.login import OidcLogin
from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Token
from sightd.daemon.config.section import RoleName
from sightd.daemon.serve.limits import client_key
from sightd.daemon.serve.oidc_login import OidcLogins, User
from sightd.daemon.serve.proxy_login import ProxyUsers
from sightd.daemon.serve.sessions import Sessions
from sightd.daemon.serve.stored_tokens import StoredToken, StoredTokens
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)


class Role(IntEnum):
    """VIEW sees images, state, metrics and events; OPERATE also works with faces; ADMIN also deletes, exports and
    imports people, and reloads the configuration."""

    VIEW = 1
    OPERATE = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


def highest(names: Iterable[RoleName]) -> Role | None:
    """Returns the highest of these roles; None if there are none."""
    return max((Role[name.upper()] for name in names), default=None)


How = Literal["token", "session", "proxy", "oidc", "loopback", "control"]
"""How a client identified itself: by a token, by the cookie of a session that a token began, by a header of a reverse
proxy, by the cookie of a session that an OpenID provider began, as a program of this machine, or as a user of it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated client: the name and role of its token, user, or session."""

    name: str
    role: Role
    how: How = "token"


class TokenStore:
    """Immutable and thread-safe. Keeps only digests."""

    def __init__(self, tokens: Mapping[str, Token], stored: Mapping[str, StoredToken] | None = None) -> None:
        """`tokens` are those of the configuration, `stored` those that came through the API."""
        self._principals = [
            (_digest(token.token.get_secret_value()), Principal(name, Role[token.role.upper()]))
            for name, token in tokens.items()
        ]
        self._principals += [
            (token.digest, Principal(name, Role[token.role.upper()])) for name, token in (stored or {}).items()
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

    def has(self, digest: bytes) -> bool:
        return any(hmac.compare_digest(digest, one) for one, _ in self._principals)


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
            return Principal(peer.name, Role.ADMIN, "control")
        roles = [role for gid, role in self._groups.items() if gid in peer.gids]
        return Principal(peer.name, max(roles), "control") if roles else None


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


AT_ONCE = 10
"""Consecutive failed logins allowed without a delay."""
ONE_MORE_AFTER = 6.0
"""Seconds until a throttled address gets one more attempt."""
_MOST_ADDRESSES = 4096
_REMEMBERED = 8


@dataclass(slots=True)
class _Bucket:
    level: float = 0.0
    at: float = 0.0
    guesses: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class LoginThrottle:
    """A leaky bucket per address; if there are too many, the address whose last failure is oldest is dropped.
    Thread-safe.

    While an address is throttled, none of its credentials are checked, right or wrong: otherwise guessing would
    continue at full speed, and only the answers would be withheld. Repeating the same wrong credentials does not count
    again: a scraper with an old token must not lock out other clients at its address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that the address has to wait; 0 if it is not throttled."""
        with self._lock:
            bucket = self._buckets.get(client_key(address))
            return 0.0 if bucket is None else max(0.0, self._level(bucket) - AT_ONCE + 1) * ONE_MORE_AFTER

    def failed(self, address: str, guess: str | None = None) -> None:
        """Records a failed login. Of `guess`, if known, only a hash is kept, in this process."""
        place = client_key(address)
        with self._lock:
            bucket = self._buckets.setdefault(place, _Bucket())
            self._buckets.move_to_end(place)
            if guess is not None:
                if hash(guess) in bucket.guesses:
                    return
                bucket.guesses.append(hash(guess))
            bucket.level, bucket.at = min(AT_ONCE, self._level(bucket) + 1), self._clock()
            if len(self._buckets) > _MOST_ADDRESSES:
                self._buckets.popitem(last=False)

    def _level(self, bucket: _Bucket) -> float:
        return max(0.0, bucket.level - (self._clock() - bucket.at) / ONE_MORE_AFTER)


Server = Literal["http", "rtsp"]
Reason = Literal["missing", "wrong", "limited", "role", "foreign", "invalid"]
"""Why a request is rejected: no token; a wrong token; too many wrong tokens before; the token's role is insufficient; a
page or program that must not reach this machine; a Host header that cannot be parsed."""
Refused = Callable[[str, Reason], None]


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser may do that has logged in: by a token, whose digest is `token` and with which the session ends, or
    at an OpenID provider, whose `id_token` ends the provider's session."""

    principal: Principal
    token: bytes | None = None
    id_token: str | None = None


def _oidc_logins(options: OidcLogin) -> OidcLogins:
    """Imports the packages of the extra `oidc`, which the configuration then requires."""
    from sightd.daemon.serve.oidc_provider import OidcProvider

    return OidcLogins(options, OidcProvider(options))


class Access:
    """The tokens, the sessions of browsers, and the record of failed logins. Thread-safe. `count` is called with the
    server's name and the reason."""

    def __init__(
        self,
        options: Options,
        count: Refused = lambda _server, _reason: None,
        peers: PeerRoles | None = None,
        stored: StoredTokens | None = None,
        proxies: Sequence[str] = (),
    ) -> None:
        """`peers` decides which users of this machine may use the control socket. `stored` are tokens besides those of
        the configuration, for HTTP; they change. `proxies` are those of http.proxies."""
        self.peers = peers or PeerRoles()
        self.tokens = options.tokens
        self.proxy = None if options.proxy is None else ProxyUsers(options.proxy, proxies)
        self.oidc = None if options.oidc is None else _oidc_logins(options.oidc)
        self._over_http = options.over_http
        self.stored = stored
        self._known: tuple[Mapping[str, StoredToken], TokenStore] = {}, TokenStore(options.tokens)
        self.last_used: dict[str, float] = {}
        """When a token, or a session that it began, was last used over HTTP, in s since the epoch, by name."""
        self.sessions: Sessions[Session] = Sessions()
        self.login_throttles: Mapping[Server, LoginThrottle] = {"http": LoginThrottle(), "rtsp": LoginThrottle()}
        self._count = count
        self._throttle = LogThrottle()

    @property
    def token_store(self) -> TokenStore:
        """All tokens that are valid now."""
        known, store = self._known
        if self.stored is not None and self.stored.tokens is not known:
            known = self.stored.tokens
            store = TokenStore(self.tokens, known)
            self._known = known, store
        return store

    @property
    def requires_login(self) -> bool:
        """Whether every client must identify itself. Otherwise those of this machine need not."""
        return self._over_http or bool(self.token_store)

    def holder(self, token: str, name: str | None = None) -> Principal | None:
        """Returns who a token belongs to, as `TokenStore.principal` does, and notes that it was used."""
        found = self.token_store.principal(token, name)
        if found is not None:
            self.last_used[found.name] = time.time()
        return found

    def log_in(self, token: str) -> tuple[Principal, str] | None:
        """Begins a session with a token. Returns who it belongs to and its secret; None if the token is unknown."""
        holder = self.holder(token)
        if holder is None:
            return None
        principal = replace(holder, how="session")
        return principal, self.sessions.begin(holder.name, Session(principal, _digest(token)))

    def log_in_user(self, user: User, length: float) -> tuple[Principal, str]:
        """Begins a session of a user of the OpenID provider, which has at least one role. It ends after `length` s."""
        principal = Principal(user.name, highest(user.roles) or Role.VIEW, "oidc")
        return principal, self.sessions.begin(("oidc", user.name), Session(principal, id_token=user.id_token), length)

    def in_session(self, secret: str) -> Principal | None:
        """Returns who a session belongs to; None if it has ended, or its token was revoked."""
        session = self.sessions.find(secret)
        if session is None:
            return None
        if session.token is not None:
            if not self.token_store.has(session.token):
                self.sessions.end(secret)
                return None
            self.last_used[session.principal.name] = time.time()
        return session.principal

    def refused(self, server: Server, address: str, reason: Reason, guess: str | None = None) -> None:
        """Counts a rejected request. A wrong token or password (`guess`, if readable) throttles the address sooner, and
        is logged at a limited rate."""
        self._count(server, reason)
        if reason == "wrong":
            self.login_throttles[server].failed(address, guess)
            if self._throttle.add():
                log.warning("%s: wrong token or password from %s", server, address)
