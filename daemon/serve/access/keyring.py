"""The configured tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sightd.daemon.config.model import Token
from sightd.daemon.serve.access.roles import Role


@dataclass(frozen=True, slots=True)
class Holder:
    """An authenticated client: the token's name and role."""

    name: str
    role: Role


class Keyring:
    """Immutable and thread-safe. Keeps only digests."""

    def __init__(self, tokens: Mapping[str, Token]) -> None:
        self._holders = [
            (_digest(token.token.get_secret_value()), Holder(name, Role[token.role.upper()]))
            for name, token in tokens.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._holders)

    def holder(self, token: str, name: str | None = None) -> Holder | None:
        """Returns the token's holder, or None if the token is unknown or (with `name`) has another name. Always
        compares all tokens completely."""
        asked, found = _digest(token), None
        for digest, holder in self._holders:
            if hmac.compare_digest(asked, digest) and name in (None, holder.name):
                found = holder
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
