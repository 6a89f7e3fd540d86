"""The configured tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sightd.daemon.config.model import Token
from sightd.daemon.serve.access.roles import Role


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
