"""Limits on connections: in total, and per client."""

from __future__ import annotations

import pytest

from sightd.daemon.serve.limits import ConnectionLimiter, client_key


def test_one_address_takes_its_share_and_no_more() -> None:
    limiter = ConnectionLimiter(10, 2)
    assert [limiter.enter("192.0.2.1") for _ in range(3)] == [None, None, "address"]
    assert limiter.enter("192.0.2.2") is None


def test_all_together_take_no_more_than_there_is() -> None:
    limiter = ConnectionLimiter(3, 2)
    assert [limiter.enter(f"192.0.2.{last}") for last in range(4)] == [None, None, None, "total"]


def test_who_leaves_makes_room() -> None:
    limiter = ConnectionLimiter(1, 1)
    assert limiter.enter("192.0.2.1") is None
    limiter.leave("192.0.2.1")
    assert limiter.enter("192.0.2.2") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_an_ipv6_address_stands_for_all_of_its_network(one: str, other: str, same: bool) -> None:
    assert (client_key(one) == client_key(other)) is same
