"""Limits on connections: in total, and per client."""

from __future__ import annotations

import pytest

from sightd.daemon.serve.places import Places, place_of


def test_one_address_takes_its_share_and_no_more() -> None:
    places = Places(10, 2)
    assert [places.enter("192.0.2.1") for _ in range(3)] == [None, None, "address"]
    assert places.enter("192.0.2.2") is None


def test_all_together_take_no_more_than_there_is() -> None:
    places = Places(3, 2)
    assert [places.enter(f"192.0.2.{last}") for last in range(4)] == [None, None, None, "total"]


def test_who_leaves_makes_room() -> None:
    places = Places(1, 1)
    assert places.enter("192.0.2.1") is None
    places.leave("192.0.2.1")
    assert places.enter("192.0.2.2") is None


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
def test_whoever_has_an_ipv6_address_has_all_of_its_network(one: str, other: str, same: bool) -> None:
    assert (place_of(one) == place_of(other)) is same
