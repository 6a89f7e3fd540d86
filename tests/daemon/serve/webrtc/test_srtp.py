"""SRTP and SRTCP, compared with libsrtp."""

from __future__ import annotations

import struct

import pytest
from pylibsrtp import Policy, Session

from sightd.daemon.serve.webrtc.srtp import CM_SHA1, GCM, Profile, Protection

pytestmark = pytest.mark.computing

SSRC = 0x12345678
LIBSRTP = {GCM.name: Policy.SRTP_PROFILE_AEAD_AES_128_GCM, CM_SHA1.name: Policy.SRTP_PROFILE_AES128_CM_SHA1_80}
PROFILES = pytest.mark.parametrize("profile", [GCM, CM_SHA1], ids=lambda profile: profile.name)


def keys(profile: Profile, first: int) -> tuple[bytes, bytes]:
    return bytes(range(first, first + 16)), bytes(range(first + 50, first + 50 + profile.salt_length))


def libsrtp(profile: Profile, key: tuple[bytes, bytes], *, inbound: bool) -> Session:
    direction = Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND
    return Session(Policy(key=b"".join(key), ssrc_type=direction, srtp_profile=LIBSRTP[profile.name]))


def protection(profile: Profile) -> Protection:
    return Protection(profile, keys(profile, 1), keys(profile, 101), SSRC)


def header(index: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, index & 0xFFFF, 3000 * index & 0xFFFFFFFF, SSRC)


@PROFILES
def test_libsrtp_decrypts_what_is_sent_also_after_the_sequence_number_has_wrapped(profile: Profile) -> None:
    ours, theirs = protection(profile), libsrtp(profile, keys(profile, 1), inbound=True)
    for index in (65530, 65534, 65535, 65536, 65540, 65600):
        payload = bytes([index & 0xFF]) * 500
        sent = ours.protect(header(index), payload, index)
        assert len(sent) == 512 + profile.overhead
        assert payload not in sent
        assert theirs.unprotect(sent) == header(index) + payload


@PROFILES
def test_libsrtp_decrypts_reports(profile: Profile) -> None:
    ours, theirs = protection(profile), libsrtp(profile, keys(profile, 1), inbound=True)
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, SSRC, 1, 2, 3, 4)
    for _ in range(3):
        assert theirs.unprotect_rtcp(ours.protect_rtcp(report)) == report


@PROFILES
def test_feedback_is_accepted_once_and_in_any_order_but_not_if_it_is_changed(profile: Profile) -> None:
    ours, theirs = protection(profile), libsrtp(profile, keys(profile, 101), inbound=False)
    loss = struct.pack("!BBHII", 0x81, 206, 2, 7, SSRC)
    sent = [theirs.protect_rtcp(loss) for _ in range(3)]
    assert [ours.unprotect_rtcp(sent[place]) for place in (2, 0, 1)] == [loss] * 3
    assert [ours.unprotect_rtcp(one) for one in sent] == [None] * 3
    fresh = theirs.protect_rtcp(loss)
    for place in range(len(fresh)):
        changed = bytearray(fresh)
        changed[place] ^= 1
        assert ours.unprotect_rtcp(bytes(changed)) is None
    assert ours.unprotect_rtcp(fresh) == loss


@PROFILES
def test_feedback_that_is_too_short_is_ignored(profile: Profile) -> None:
    ours = protection(profile)
    assert all(ours.unprotect_rtcp(bytes([0x81]) * size) is None for size in range(1, 30))
