"""STUN messages, compared with the test vectors of RFC 5769 and with aioice."""

from __future__ import annotations

import os

import pytest
from aioice import stun as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.daemon.serve.webrtc import stun

pytestmark = pytest.mark.computing

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151"
    "263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd"
    "9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
"""Section 2.1 and 2.2."""


def test_the_request_of_the_standard_is_authentic_with_its_password_only() -> None:
    message = stun.parse(REQUEST)
    assert message is not None
    assert (message.is_request, message.username, message.nominates) == (True, "evtj:h6vY", False)
    assert stun.is_authentic(REQUEST, message, PASSWORD)
    assert not stun.is_authentic(REQUEST, message, PASSWORD + "x")


def test_the_response_of_the_standard_states_an_address() -> None:
    message = stun.parse(RESPONSE)
    assert message is not None
    assert (message.is_request, message.mapped) == (False, ("192.0.2.1", 32853))


@pytest.mark.parametrize("source", [("192.0.2.7", 4711), ("2001:db8::7", 4711)])
def test_another_library_reads_our_response(source: stun.Address) -> None:
    transaction = os.urandom(12)
    read = theirs.parse_message(stun.response(transaction, source, "secret"))
    assert read.check_message_integrity(b"secret")
    assert (read.transaction_id, read.attributes["XOR-MAPPED-ADDRESS"]) == (transaction, source)


def test_another_library_reads_our_request() -> None:
    read = theirs.parse_message(stun.request("them:us", "secret"))
    assert read.check_message_integrity(b"secret")
    assert read.attributes["USERNAME"] == "them:us"
    assert {"PRIORITY", "ICE-CONTROLLED", "FINGERPRINT"} <= set(read.attributes)


def test_we_read_the_nomination_of_another_library() -> None:
    request = theirs.Message(theirs.Method.BINDING, theirs.Class.REQUEST)
    request.attributes.update({"USERNAME": "us:them", "USE-CANDIDATE": None})
    request.add_message_integrity(b"secret")
    message = stun.parse(bytes(request))
    assert message is not None
    assert (message.nominates, message.username) == (True, "us:them")
    assert stun.is_authentic(bytes(request), message, "secret")


def test_what_follows_the_integrity_is_not_believed() -> None:
    begin = REQUEST.index(b"\x80\x28\x00\x04")
    forged = bytearray(REQUEST[:begin] + b"\x00\x25\x00\x00" + REQUEST[begin:])
    forged[2:4] = (len(forged) - 20).to_bytes(2, "big")
    message = stun.parse(bytes(forged))
    assert message is not None
    assert not message.nominates


@settings(max_examples=40)
@given(st.integers(0, len(REQUEST) - 1), st.integers(0, 255), st.integers(0, len(REQUEST)))
def test_a_damaged_message_is_refused(place: int, value: int, length: int) -> None:
    damaged = bytearray(REQUEST)
    damaged[place] = value
    message = stun.parse(bytes(damaged[:length]))
    covered = length == len(REQUEST) and (value == REQUEST[place] or place >= len(REQUEST) - 8)
    assert message is None or covered or not stun.is_authentic(bytes(damaged[:length]), message, PASSWORD)
