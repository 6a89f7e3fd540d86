"""Tokens that came through the API, in their file."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from sightd.daemon.serve import stored_tokens as module
from sightd.daemon.serve.stored_tokens import StoredTokens, TokenFileError, TokenLimitError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens.json"


def loaded(path: Path) -> StoredTokens:
    stored = StoredTokens(path)
    stored.load()
    return stored


def test_a_token_survives_a_restart(path: Path) -> None:
    token = loaded(path).create("wall", "view")
    found = loaded(path).tokens["wall"]
    assert (found.role, found.digest) == ("view", hashlib.sha256(token.encode()).digest())


def test_the_file_is_private_and_contains_no_token(path: Path) -> None:
    token = loaded(path).create("wall", "view")
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_revoked_token_stays_revoked(path: Path) -> None:
    stored = loaded(path)
    stored.create("wall", "view")
    stored.create("door", "admin")
    stored.revoke("wall")
    assert set(stored.tokens) == set(loaded(path).tokens) == {"door"}
    with pytest.raises(KeyError):
        stored.revoke("wall")


def test_a_name_is_given_once(path: Path) -> None:
    stored = loaded(path)
    stored.create("wall", "view")
    with pytest.raises(KeyError):
        stored.create("wall", "admin")
    assert stored.tokens["wall"].role == "view"


def test_there_is_a_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 1)
    stored = loaded(path)
    stored.create("wall", "view")
    with pytest.raises(TokenLimitError):
        stored.create("door", "view")


def test_without_a_file_there_are_no_tokens(path: Path) -> None:
    assert loaded(path).tokens == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "the file"),
        ("{", "the file"),
        ('{"version": 2}', "version"),
        ('{"tokens": {"A B": {}}}', "tokens.A B"),
        ('{"tokens": {"wall": {"role": "root", "sha256": "00", "created": "2026-01-01T00:00:00Z"}}}', "tokens.wall"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(path: Path, content: str, told: str) -> None:
    """Otherwise a token that was revoked, or a role that was lowered, could be valid again."""
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(TokenFileError, match=f"{told}.*or remove it to revoke all its tokens"):
        loaded(path)


def test_a_file_too_large_is_not_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1}) + " " * (1 << 20))
    with pytest.raises(TokenFileError, match="larger than 1 MiB"):
        loaded(path)


def test_what_cannot_be_written_has_not_happened(path: Path) -> None:
    stored = loaded(path)
    stored.create("wall", "view")
    path.unlink()
    path.mkdir()
    with pytest.raises(TokenFileError, match="nothing was changed"):
        stored.create("door", "view")
    with pytest.raises(TokenFileError, match="nothing was changed"):
        stored.revoke("wall")
    assert set(stored.tokens) == {"wall"}
