"""DTLS-SRTP (RFC 5764): the handshake that authenticates a viewer by the fingerprint in its offer, and agrees on
keys."""

from __future__ import annotations

import datetime
import hmac
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from sightd.daemon.serve.webrtc.srtp import PROFILES, Profile, Protection

_CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_LABEL = b"EXTRACTOR-dtls_srtp"
_MOST = 1200
"""Bytes of a datagram."""
_RECORD = 13
"""Bytes of a record's header; the last two are its length."""
_HASHES: Mapping[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}


class HandshakeError(Exception):
    """The viewer is not who its offer says, or has no cipher in common with us."""


class Identity:
    """Our certificate, made for this process. Thread-safe once it is made."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sightd")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        """SHA-256, as SDP writes it."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)  # by fingerprint
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(b":".join(one.name.encode() for one in PROFILES))
        self.context = context


class Handshake:
    """The server's side of one DTLS connection. Sends through a callback and never waits. Not thread-safe."""

    def __init__(
        self, identity: Identity, fingerprint: tuple[str, str], ssrc: int, send: Callable[[bytes], object]
    ) -> None:
        """`fingerprint` is the algorithm and value of the peer's certificate; `ssrc` is that of our packets."""
        self._algorithm, self._expected = fingerprint
        self._ssrc, self._send = ssrc, send
        self.protection: Protection | None = None
        """Set once the handshake has succeeded."""
        self.closed = False
        """Whether the peer has said goodbye."""
        self._connection: Any = SSL.Connection(identity.context)
        self._connection.set_ciphertext_mtu(_MOST)
        self._connection.set_accept_state()

    def receive(self, datagram: bytes) -> None:
        """Takes a datagram of the peer. Raises HandshakeError."""
        self._connection.bio_write(datagram)
        if self.protection is None:
            self._advance()
        else:
            self._read()

    def timeout(self) -> float | None:
        """Returns the seconds after which `repeat` is due; None if it is not."""
        left: float | None = None if self.protection else self._connection.DTLSv1_get_timeout()
        return left

    def repeat(self) -> None:
        """Sends again what may have been lost. Raises HandshakeError."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise HandshakeError("the viewer does not answer") from error
        self._flush()

    def close(self) -> None:
        """Says goodbye to the peer. Idempotent."""
        if self.protection is None:
            return
        try:
            self._connection.shutdown()
        except SSL.Error:
            return
        self._flush()

    def _advance(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise HandshakeError("no common cipher, or an invalid handshake") from error
        finally:
            self._flush()
        self._verify()
        self.protection = self._agreed()

    def _read(self) -> None:
        try:
            self._connection.recv(_MOST)  # no application data is expected
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self.closed = True
        finally:
            self._flush()

    def _verify(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        found = certificate.fingerprint(_HASHES[self._algorithm]()).hex(":").upper()
        if not hmac.compare_digest(found, self._expected):
            raise HandshakeError("the viewer's certificate is not that of its offer")

    def _agreed(self) -> Protection:
        name = self._connection.get_selected_srtp_profile().decode()
        profile = next((one for one in PROFILES if one.name == name), None)
        if profile is None:
            raise HandshakeError("no common SRTP profile")
        material = self._connection.export_keying_material(_LABEL, profile.material)
        client, server = _keys(material, profile)
        return Protection(profile, server, client, self._ssrc)

    def _flush(self) -> None:
        try:
            flight = self._connection.bio_read(65536)
        except SSL.WantReadError:
            return
        for datagram in _datagrams(flight):
            self._send(datagram)


def supports(algorithm: str) -> bool:
    """Returns whether fingerprints of this hash function can be verified."""
    return algorithm in _HASHES


def _keys(material: bytes, profile: Profile) -> Iterator[tuple[bytes, bytes]]:
    """Yields key and salt of the client, then those of the server (RFC 5764, 4.2)."""
    for side in range(2):
        salt = 32 + side * profile.salt_length
        yield material[16 * side : 16 * side + 16], material[salt : salt + profile.salt_length]


def _datagrams(flight: bytes) -> Iterator[bytes]:
    """Splits what OpenSSL wants to send between records."""
    at = begin = 0
    while at + _RECORD <= len(flight):
        end = at + _RECORD + struct.unpack_from("!H", flight, at + _RECORD - 2)[0]
        if end - begin > _MOST and at > begin:
            yield flight[begin:at]
            begin = at
        at = end
    if begin < len(flight):
        yield flight[begin:]
