"""Sessions of browsers: how they end, and how many there may be."""

from __future__ import annotations

import pytest

from sightd.daemon.serve import sessions as module
from sightd.daemon.serve.sessions import IDLE, LONGEST, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions[str]:
    return Sessions(clock=clock)


def test_a_session_is_found_by_its_secret_only(sessions: Sessions[str]) -> None:
    secret, other = sessions.begin("wall", "of wall"), sessions.begin("wall", "another")
    assert sessions.find(secret) == "of wall"
    assert sessions.find(other) == "another"
    assert [sessions.find(guess) for guess in ("", secret[:-1], secret + "x", "\udc80")] == [None] * 4


def test_secrets_are_long_and_random(sessions: Sessions[str]) -> None:
    secrets = {sessions.begin(number, "") for number in range(20)}
    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {43}  # 256 bits in base64


def test_no_secret_is_kept_readable(sessions: Sessions[str]) -> None:
    secret = sessions.begin("wall", "of wall")
    assert secret not in repr(vars(sessions))


def test_a_session_ends_when_it_is_not_used(sessions: Sessions[str], clock: Clock) -> None:
    secret = sessions.begin("wall", "of wall")
    for _ in range(3):
        clock.now += IDLE - 1
        assert sessions.find(secret) == "of wall"
    clock.now += IDLE
    assert sessions.find(secret) is None


def test_a_session_ends_even_if_it_is_used(sessions: Sessions[str], clock: Clock) -> None:
    secret = sessions.begin("wall", "of wall")
    end = clock.now + LONGEST
    while clock.now + IDLE / 2 < end:
        clock.now += IDLE / 2
        assert sessions.find(secret) == "of wall"
    clock.now = end
    assert sessions.find(secret) is None


def test_a_session_that_was_ended_is_gone(sessions: Sessions[str]) -> None:
    secret = sessions.begin("wall", "of wall")
    for _ in range(2):
        sessions.end(secret)
        assert sessions.find(secret) is None


def test_an_owner_loses_the_session_unused_for_longest(
    sessions: Sessions[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PER_OWNER", 2)
    of_another = sessions.begin("door", "of door")
    first, second = sessions.begin("wall", "1"), sessions.begin("wall", "2")
    sessions.find(first)
    third = sessions.begin("wall", "3")
    assert [sessions.find(one) for one in (of_another, first, second, third)] == ["of door", "1", None, "3"]


def test_memory_is_bounded(sessions: Sessions[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 3)
    secrets = [sessions.begin(owner, "") for owner in range(5)]
    assert len(sessions) == 3
    assert [sessions.find(one) for one in secrets] == [None, None, "", "", ""]


def test_ended_sessions_are_forgotten_when_others_begin(sessions: Sessions[str], clock: Clock) -> None:
    for owner in range(5):
        sessions.begin(owner, "")
    clock.now += IDLE
    sessions.begin("wall", "")
    assert len(sessions) == 1
