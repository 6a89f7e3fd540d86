"""Logins by an OpenID Connect provider: those that have begun, and what role a user gets."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from sightd.daemon.config.login import OidcLogin
from sightd.daemon.config.section import RoleName
from sightd.daemon.serve.sessions import LONGEST_LOGIN, Sessions

_BYTES = 32
_LONGEST_NAME = 200

Problem = Literal["cancelled", "expired", "refused", "role", "unavailable"]
"""Why a login failed: the user or the provider stopped it; it took too long, or another browser began it; the answer of
the provider is not acceptable; the user has no role; the provider cannot be reached."""


class ProviderError(Exception):
    """The provider's answer is not acceptable. The message contains no secret."""


class UnreachableProviderError(ProviderError):
    """The provider cannot be reached, or is not an OpenID provider."""


class Identified(NamedTuple):
    """The claims of an ID token, and the token itself, with which the provider ends its own session."""

    claims: Mapping[str, Any]
    id_token: str


class Provider(Protocol):
    """An OpenID provider, as `oidc_provider` implements it. Thread-safe."""

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Returns the address at which the user logs in. Raises ProviderError."""

    def identify(self, code: str, verifier: str, nonce: str, issuer: str | None) -> Identified:
        """Exchanges the code for an ID token and checks it. `issuer` is what came with the code (RFC 9207). Raises
        ProviderError."""

    def end_session_url(self, id_token: str) -> str | None:
        """Returns the address at which the provider ends its session (RP-Initiated Logout 1.0), if it has one. Does not
        block."""


class FailedLoginError(Exception):
    """A login failed. The message is for the log, and contains no secret."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem: Problem = problem


class User(NamedTuple):
    """Who has logged in, and the ID token that says so."""

    name: str
    roles: list[RoleName]
    id_token: str


@dataclass(frozen=True, slots=True)
class _Begun:
    state: str
    nonce: str
    verifier: str


class OidcLogins:
    """Blocks on the network, as the provider does. Thread-safe."""

    def __init__(self, options: OidcLogin, provider: Provider) -> None:
        self.options, self.provider = options, provider
        self._begun: Sessions[_Begun] = Sessions(LONGEST_LOGIN, LONGEST_LOGIN)

    def begin(self, owner: Hashable) -> tuple[str, str]:
        """Begins a login. Returns a secret for the browser, and the address at which the user logs in. Raises
        FailedLoginError."""
        begun = _Begun(*(secrets.token_urlsafe(_BYTES) for _ in range(3)))
        try:
            url = self.provider.authorization_url(begun.state, begun.nonce, begun.verifier)
        except ProviderError as error:
            raise _failure(error) from error
        return self._begun.begin(owner, begun), url

    def finish(self, secret: str | None, answer: Mapping[str, str]) -> User:
        """Ends a login that this browser began, whatever its outcome, with the `answer` that it brings from the
        provider: `code`, `state` and `iss`, or `error`. Raises FailedLoginError."""
        begun = None if secret is None else self._begun.take(secret)
        if begun is None:
            raise FailedLoginError("expired", "no login was begun in this browser, or too long ago")
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise FailedLoginError("refused", "the answer belongs to another login")
        if (reason := answer.get("error")) is not None:
            raise FailedLoginError("cancelled", f"the provider answered {reason[:100]!r}")
        try:
            claims, id_token = self.provider.identify(
                answer.get("code", ""), begun.verifier, begun.nonce, answer.get("iss")
            )
        except ProviderError as error:
            raise _failure(error) from error
        name, roles = name_of(claims, self.options), roles_of(claims, self.options)
        if not roles:
            raise FailedLoginError("role", f"{name} has no role in access.oidc")
        return User(name, roles, id_token)


def name_of(claims: Mapping[str, Any], options: OidcLogin) -> str:
    """Returns the user's name: of the claim `name_claim` if it is a text that can be shown, otherwise of `sub`."""
    for name in (_claim(claims, options.name_claim), claims.get("sub")):
        if isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME:
            return name.strip()
    return "a user without a name"


def roles_of(claims: Mapping[str, Any], options: OidcLogin) -> list[RoleName]:
    """Returns the roles that the user has; empty if the user may do nothing."""
    found = _claim(claims, options.roles_claim)
    values = found if isinstance(found, list) else [found]
    roles = [options.roles[value] for value in values if isinstance(value, str) and value in options.roles]
    return roles or ([] if options.default_role is None else [options.default_role])


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Returns the claim of this name, which may contain dots, or at this path through objects."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _failure(error: ProviderError) -> FailedLoginError:
    return FailedLoginError("unavailable" if isinstance(error, UnreachableProviderError) else "refused", str(error))
