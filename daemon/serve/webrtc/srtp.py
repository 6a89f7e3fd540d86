"""SRTP and SRTCP (RFC 3711) with AES-GCM (RFC 7714), or with AES-CM and HMAC-SHA1: outgoing RTP and RTCP, incoming
RTCP."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_RTP_HEADER, _RTCP_HEADER = 12, 8
_GCM_TAG, _SHA1_TAG = 16, 10
_ENCRYPTED = 0x80000000
_WINDOW = 64
"""Indices below the newest that may still arrive, once each."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A protection profile. `name` is OpenSSL's; `overhead` is how many bytes it adds to an RTP packet."""

    name: str
    salt_length: int
    overhead: int
    gcm: bool

    @property
    def material(self) -> int:
        """Bytes of both sides' keys and salts."""
        return 2 * (16 + self.salt_length)


GCM = Profile("SRTP_AEAD_AES_128_GCM", 12, _GCM_TAG, True)
CM_SHA1 = Profile("SRTP_AES128_CM_SHA1_80", 14, _SHA1_TAG, False)
PROFILES = (GCM, CM_SHA1)
"""In order of preference."""


def derived(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """Returns a session key (RFC 3711, 4.3.1, without key derivation rate)."""
    whole = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    return _keystream(key, (whole << 16).to_bytes(16, "big"), bytes(length))


def _keystream(key: bytes, counter: bytes, data: bytes) -> bytes:
    return Cipher(AES(key), CTR(counter)).encryptor().update(data)


class _Keys:
    """Session keys of one direction; labels 0-2 protect RTP, 3-5 RTCP."""

    def __init__(self, key: bytes, salt: bytes, profile: Profile, first_label: int) -> None:
        self.key = derived(key, salt, first_label, 16)
        self.authentication = derived(key, salt, first_label + 1, 20)
        self.salt = int.from_bytes(derived(key, salt, first_label + 2, profile.salt_length), "big")


Protect = Callable[[bytes, bytes, int], bytes]
"""Takes an RTP header of 12 bytes, the payload, and the packet's index: 65536 times the rollover counter plus the
sequence number. Returns the datagram."""


class Protection:
    """Keys of one session: what is sent is protected with `ours`, what is received with `theirs`. Not thread-safe."""

    def __init__(self, profile: Profile, ours: tuple[bytes, bytes], theirs: tuple[bytes, bytes], ssrc: int) -> None:
        """`ours` and `theirs` are master key and salt; `ssrc` is that of outgoing packets."""
        self._profile, self._ssrc = profile, ssrc
        rtp = _Keys(*ours, profile, 0)
        self.protect: Protect = _gcm(rtp, ssrc) if profile.gcm else _cm_sha1(rtp, ssrc)
        self._sending, self._receiving = _Keys(*ours, profile, 3), _Keys(*theirs, profile, 3)
        self._index = 0
        self._newest, self._seen = 0, 0

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Returns an outgoing RTCP packet as it is sent."""
        self._index = self._index % (_ENCRYPTED - 1) + 1
        trailer = struct.pack("!I", _ENCRYPTED | self._index)
        head, rest, keys = packet[:_RTCP_HEADER], packet[_RTCP_HEADER:], self._sending
        if self._profile.gcm:
            return head + AESGCM(keys.key).encrypt(self._nonce(keys, head), rest, head + trailer) + trailer
        sent = head + _keystream(keys.key, self._counter(keys, head, self._index), rest) + trailer
        return sent + hmac.digest(keys.authentication, sent, "sha1")[:_SHA1_TAG]

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """Returns the incoming RTCP packet; None if it is forged, damaged or repeated."""
        keys = self._receiving
        tag = 0 if self._profile.gcm else _SHA1_TAG
        if len(datagram) < _RTCP_HEADER + 4 + (tag or _GCM_TAG):
            return None
        end = len(datagram) - tag
        trailer, head = datagram[end - 4 : end], datagram[:_RTCP_HEADER]
        word = struct.unpack("!I", trailer)[0]
        if not word & _ENCRYPTED:
            return None
        index = word & ~_ENCRYPTED
        if self._profile.gcm:
            nonce = self._nonce(keys, head, index)
            try:
                rest = AESGCM(keys.key).decrypt(nonce, datagram[_RTCP_HEADER : end - 4], head + trailer)
            except InvalidTag:
                return None
        else:
            expected = hmac.digest(keys.authentication, datagram[:end], "sha1")[:_SHA1_TAG]
            if not hmac.compare_digest(expected, datagram[end:]):
                return None
            rest = _keystream(keys.key, self._counter(keys, head, index), datagram[_RTCP_HEADER : end - 4])
        return head + rest if self._is_new(index) else None

    def _nonce(self, keys: _Keys, head: bytes, index: int | None = None) -> bytes:
        ssrc = int.from_bytes(head[4:8], "big")
        return (keys.salt ^ ssrc << 48 ^ (self._index if index is None else index)).to_bytes(12, "big")

    @staticmethod
    def _counter(keys: _Keys, head: bytes, index: int) -> bytes:
        ssrc = int.from_bytes(head[4:8], "big")
        return (keys.salt << 16 ^ ssrc << 64 ^ index << 16).to_bytes(16, "big")

    def _is_new(self, index: int) -> bool:
        """Returns whether an authentic packet arrives for the first time."""
        ahead = index - self._newest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & (1 << _WINDOW) - 1
            self._newest = index
            return True
        bit = 1 << -ahead
        if -ahead >= _WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True


def _gcm(keys: _Keys, ssrc: int) -> Protect:
    encrypt = AESGCM(keys.key).encrypt
    fixed = keys.salt ^ ssrc << 48

    def protect(header: bytes, payload: bytes, index: int) -> bytes:
        return header + encrypt((fixed ^ index).to_bytes(12, "big"), payload, header)

    return protect


def _cm_sha1(keys: _Keys, ssrc: int) -> Protect:
    fixed = keys.salt << 16 ^ ssrc << 64

    def protect(header: bytes, payload: bytes, index: int) -> bytes:
        counter = (fixed ^ index << 16).to_bytes(16, "big")
        sent = header + _keystream(keys.key, counter, payload)
        covered = sent + (index >> 16).to_bytes(4, "big")
        return sent + hmac.digest(keys.authentication, covered, "sha1")[:_SHA1_TAG]

    return protect
