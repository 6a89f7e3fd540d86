"""STUN messages (RFC 8489) as far as ICE (RFC 8445) needs them: binding requests and their responses."""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import os
import struct
from dataclasses import dataclass

Address = tuple[str, int]

_COOKIE = b"\x21\x12\xa4\x42"
_HEADER = 20
_REQUEST, _RESPONSE = 0x0001, 0x0101
_USERNAME, _INTEGRITY, _MAPPED, _PRIORITY = 0x0006, 0x0008, 0x0020, 0x0024
_USE_CANDIDATE, _FINGERPRINT, _CONTROLLED = 0x0025, 0x8028, 0x8029
_FINGERPRINT_MASK = 0x5354554E
_MOST_ATTRIBUTES = 24
_PEER_PRIORITY = 1862270975
"""Of a peer-reflexive candidate (RFC 8445, 5.1.2.1): type preference 110, local preference 65535, component 1."""


@dataclass(frozen=True, slots=True)
class Message:
    """A binding request or response. `integrity_at`: offset of MESSAGE-INTEGRITY, if there is one."""

    is_request: bool
    transaction: bytes
    attributes: dict[int, bytes]
    integrity_at: int | None

    @property
    def username(self) -> str:
        """Local and remote name, separated by a colon; empty if there is none."""
        return self.attributes.get(_USERNAME, b"").decode("ascii", "replace")

    @property
    def nominates(self) -> bool:
        return _USE_CANDIDATE in self.attributes

    @property
    def mapped(self) -> Address | None:
        """The sender's address as the server saw it (XOR-MAPPED-ADDRESS)."""
        value = self.attributes.get(_MAPPED, b"")
        if len(value) not in (8, 20):
            return None
        port = struct.unpack("!H", value[2:4])[0] ^ 0x2112
        host = _xor(value[4:], _COOKIE + self.transaction)
        return str(ipaddress.ip_address(host)), port


def parse(datagram: bytes) -> Message | None:
    """Returns the binding request or success response in `datagram`; None for anything else."""
    if len(datagram) < _HEADER or datagram[4:8] != _COOKIE:
        return None
    kind, length = struct.unpack_from("!HH", datagram)
    if kind not in (_REQUEST, _RESPONSE) or length != len(datagram) - _HEADER:
        return None
    attributes: dict[int, bytes] = {}
    at, integrity_at = _HEADER, None
    while at + 4 <= len(datagram) and len(attributes) < _MOST_ATTRIBUTES:
        name, size = struct.unpack_from("!HH", datagram, at)
        if at + 4 + size > len(datagram):
            return None
        if name == _INTEGRITY and integrity_at is None:
            integrity_at = at
        if integrity_at is None or name == _INTEGRITY:  # what follows the integrity is not covered by it
            attributes.setdefault(name, datagram[at + 4 : at + 4 + size])
        at += 4 + size + -size % 4
    return Message(kind == _REQUEST, datagram[8:_HEADER], attributes, integrity_at)


def is_authentic(datagram: bytes, message: Message, password: str) -> bool:
    """Returns whether the message was made by someone who knows the password."""
    if message.integrity_at is None:
        return False
    covered = bytearray(datagram[: message.integrity_at])
    struct.pack_into("!H", covered, 2, message.integrity_at + 24 - _HEADER)
    expected = hmac.digest(password.encode(), bytes(covered), "sha1")
    return hmac.compare_digest(expected, message.attributes[_INTEGRITY])


def response(transaction: bytes, source: Address, password: str) -> bytes:
    """Returns the answer to a binding request from `source`."""
    host = ipaddress.ip_address(source[0])
    family = 1 if host.version == 4 else 2
    value = struct.pack("!BBH", 0, family, source[1] ^ 0x2112) + _xor(host.packed, _COOKIE + transaction)
    return _signed(_RESPONSE, transaction, _attribute(_MAPPED, value), password)


def request(username: str, password: str) -> bytes:
    """Returns a check of the controlled agent, which opens the way through a firewall."""
    attributes = (
        _attribute(_USERNAME, username.encode())
        + _attribute(_PRIORITY, struct.pack("!I", _PEER_PRIORITY))
        + _attribute(_CONTROLLED, os.urandom(8))
    )
    return _signed(_REQUEST, os.urandom(12), attributes, password)


def plain_request(transaction: bytes) -> bytes:
    """Returns a request to a STUN server: which address does it see?"""
    return struct.pack("!HH", _REQUEST, 0) + _COOKIE + transaction


def _signed(kind: int, transaction: bytes, attributes: bytes, password: str) -> bytes:
    head = _COOKIE + transaction
    covered = struct.pack("!HH", kind, len(attributes) + 24) + head + attributes
    integrity = _attribute(_INTEGRITY, hmac.digest(password.encode(), covered, "sha1"))
    message = struct.pack("!HH", kind, len(attributes) + 32) + head + attributes + integrity
    checksum = binascii.crc32(message) ^ _FINGERPRINT_MASK
    return message + _attribute(_FINGERPRINT, struct.pack("!I", checksum))


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _xor(value: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(value, mask, strict=False))
