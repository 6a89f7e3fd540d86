from __future__ import annotations

import pytest

from sightd.daemon.config.model import Access
from sightd.daemon.serve.auth import Principal, Role, TokenStore

WALL, DOOR = "w" * 20, "d" * 20
TOKEN_STORE = TokenStore(
    Access.model_validate(
        {"tokens": {"wall": {"role": "view", "token": WALL}, "door": {"role": "admin", "token": DOOR}}}
    ).tokens
)


def test_a_token_is_known_by_itself_and_by_its_name() -> None:
    assert TOKEN_STORE.principal(WALL) == Principal("wall", Role.VIEW)
    assert TOKEN_STORE.principal(DOOR, "door") == Principal("door", Role.ADMIN)


@pytest.mark.parametrize(
    ("token", "name"), [("", None), (WALL[:-1], None), (WALL + "w", None), (WALL, "door"), (WALL, ""), ("\udc80", None)]
)
def test_nothing_else_opens(token: str, name: str | None) -> None:
    assert TOKEN_STORE.principal(token, name) is None


def test_every_token_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing reveals neither which token it was nor how much of it was right."""
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("sightd.daemon.serve.auth.hmac.compare_digest", compare)
    TOKEN_STORE.principal(WALL)
    assert len(set(compared)) == 2


def test_no_token_is_kept_readable() -> None:
    assert WALL not in repr(vars(TOKEN_STORE))


def test_a_role_may_what_those_before_it_may() -> None:
    assert Role.VIEW < Role.OPERATE < Role.ADMIN
    assert [str(role) for role in Role] == ["view", "operate", "admin"]
