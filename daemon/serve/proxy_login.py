"""Login by a reverse proxy that names the user in a header."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence

from sightd.daemon.config.login import ProxyLogin
from sightd.daemon.config.section import RoleName

_LONGEST = 200
"""Characters of a user's name."""

HeaderValues = Callable[[str], Sequence[str]]
"""Returns all values that a request has for a header."""


class InvalidUserError(Exception):
    """A proxy does not name exactly one user."""


class ProxyUsers:
    """Immutable and thread-safe."""

    def __init__(self, options: ProxyLogin, proxies: Sequence[str]) -> None:
        """`proxies` are the addresses and networks of `http.proxies`."""
        self._options = options
        self._proxies = [ipaddress.ip_network(one, strict=False) for one in proxies]

    def trusts(self, address: str | None) -> bool:
        """Whether a connection that comes from this address is a proxy's."""
        try:
            parsed = ipaddress.ip_address((address or "").partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._proxies)

    def user(self, values: HeaderValues) -> str | None:
        """Returns the user that a proxy names; None if it names none. Raises InvalidUserError if there are several: the
        proxy then passes on what clients send, and one of them is made up."""
        found = values(self._options.header)
        if not found:
            return None
        name = _decoded(found[0]).strip()
        if len(found) > 1 or "," in name:
            raise InvalidUserError(f"The header {self._options.header} must name one user, and be sent once.")
        if not name.isprintable() or len(name) > _LONGEST:
            raise InvalidUserError(f"The header {self._options.header} contains no name of a user.")
        return name or None

    def roles(self, user: str, values: HeaderValues) -> list[RoleName]:
        """Returns the roles that a user has; empty if the user may do nothing. Raises InvalidUserError if the groups
        are sent more than once."""
        options = self._options
        groups = values(options.groups_header) if options.groups_header is not None else ()
        if len(groups) > 1:
            raise InvalidUserError(f"The header {options.groups_header} must be sent once.")
        found = _held(options.users, [user])
        found += _held(options.groups, [one.strip() for value in groups for one in _decoded(value).split(",")])
        return found or ([] if options.default_role is None else [options.default_role])


def _held(roles: Mapping[str, RoleName], names: Sequence[str]) -> list[RoleName]:
    return [roles[name] for name in names if name in roles]


def _decoded(value: str) -> str:
    """Headers come as ISO 8859-1; proxies send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
