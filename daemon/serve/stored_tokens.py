"""Tokens that came through the API: a file in the state directory with their digests, replaced whole."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sightd.daemon.config.section import Name, RoleName
from sightd.daemon.serve.errors import ServeError
from sightd.engines.files import make_private, read_regular, write_private

FILE = "tokens.json"
MOST_TOKENS = 200
_MOST_BYTES = 1 << 20
_BYTES = 32


class TokenFileError(ServeError):
    """The file cannot be read or written."""


class TokenLimitError(Exception):
    """There are MOST_TOKENS already."""


class StoredToken(BaseModel):
    """A token as it is stored: nobody can tell the token from its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: RoleName
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created: datetime

    @property
    def digest(self) -> bytes:
        return bytes.fromhex(self.sha256)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    tokens: dict[Name, StoredToken] = Field({}, max_length=MOST_TOKENS)


class StoredTokens:
    """The stored tokens by name. `tokens` is never changed, only replaced. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """`load` reads the file."""
        self.path = path
        self.tokens: Mapping[str, StoredToken] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Reads the file, if there is one. Raises TokenFileError: without it, nobody would know what was revoked."""
        try:
            self.tokens = _File.model_validate_json(read_regular(self.path, _MOST_BYTES)).tokens
        except FileNotFoundError:
            self.tokens = {}
        except OSError as error:
            raise TokenFileError(f"tokens {self.path} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            at = ".".join(map(str, first["loc"])) or "the file"
            raise TokenFileError(
                f"tokens {self.path}: {at}: {first['msg']}: correct the file, or remove it to revoke all its tokens"
            ) from error

    def create(self, name: str, role: RoleName) -> str:
        """Stores a new token and returns it; it cannot be read again. Raises KeyError if the name is taken,
        TokenLimitError, and TokenFileError; nothing has changed then."""
        token = secrets.token_urlsafe(_BYTES)
        digest = hashlib.sha256(token.encode()).hexdigest()
        with self._lock:
            if name in self.tokens:
                raise KeyError(name)
            if len(self.tokens) >= MOST_TOKENS:
                raise TokenLimitError
            created = datetime.now(UTC).replace(microsecond=0)
            self._save({**self.tokens, name: StoredToken(role=role, sha256=digest, created=created)})
        return token

    def revoke(self, name: str) -> None:
        """Raises KeyError if there is no such token, and TokenFileError if it remains valid."""
        with self._lock:
            tokens = dict(self.tokens)
            del tokens[name]
            self._save(tokens)

    def _save(self, tokens: dict[str, StoredToken]) -> None:
        data = _File(tokens=tokens).model_dump_json(indent=1).encode()
        try:
            make_private(self.path.parent)
            write_private(self.path, data, f".{self.path.name}.")
        except OSError as error:
            raise TokenFileError(
                f"tokens {self.path} cannot be written: {error.strerror or error}; nothing was changed"
            ) from error
        self.tokens = tokens
