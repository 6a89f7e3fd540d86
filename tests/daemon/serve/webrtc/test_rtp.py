"""RTP payloads and RTCP messages, compared with aiortc."""

from __future__ import annotations

import struct

import pytest
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.serve.webrtc.rtp import Feedback, feedback, frame_of, nal_units, sender_report

pytestmark = pytest.mark.computing

START, DELIMITER = b"\0\0\0\1", b"\0\0\0\1\x09\xf0"
SSRC = 4711


def unit(*nals: bytes) -> bytes:
    return DELIMITER + b"".join(START + nal for nal in nals)


def restored(payloads: tuple[bytes, ...]) -> bytes:
    """Returns the byte stream that aiortc makes of payloads."""
    return b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in payloads)


@pytest.mark.parametrize("size", [1, 90, 97, 98, 99, 100, 101, 200, 5000])
def test_another_library_restores_the_frame_without_its_delimiter(size: int) -> None:
    nals = [b"\x67" + b"s" * 20, b"\x68" + b"p" * 5, b"\x65" + b"x" * size]
    frame = frame_of(unit(*nals), 2.5, True, 100)
    assert restored(frame.payloads) == b"".join(START + nal for nal in nals)
    assert max(map(len, frame.payloads)) <= 100
    assert (frame.timestamp, frame.key, frame.size) == (225_000, True, sum(map(len, frame.payloads)))


def test_small_units_share_a_packet_and_fragments_have_one_size() -> None:
    frame = frame_of(unit(b"\x67sps", b"\x68pps", b"\x65" + b"x" * 1000), 0.0, True, 100)
    sizes = [len(payload) for payload in frame.payloads]
    assert sizes[0] == 1 + 2 * (2 + 4)
    assert set(sizes[1:-1]) == {100}


def test_the_units_of_a_frame_are_found_with_short_and_long_start_codes() -> None:
    assert list(nal_units(b"\0\0\0\1ab\0\0\1cd\0\0\0\0\1e")) == [b"ab", b"cd", b"e"]
    assert list(nal_units(b"no start code")) == []


def test_lost_packets_and_requests_for_key_frames_are_read_from_a_compound() -> None:
    lost = RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, SSRC, [10, 12, 300])
    picture = RtcpPsfbPacket(RTCP_PSFB_PLI, 1, SSRC)
    assert feedback(bytes(lost) + bytes(picture), SSRC) == Feedback((10, 12, 300), True)
    wrapped = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, SSRC, 65535, 0b1001)
    assert feedback(wrapped, SSRC).lost == (65535, 0, 3)
    intra = RtcpPsfbPacket(RTCP_PSFB_FIR, 1, 0, SSRC.to_bytes(4, "big") + bytes(4))
    assert feedback(bytes(intra), SSRC) == Feedback(needs_key=True)


def test_feedback_about_another_stream_is_ignored() -> None:
    others = bytes(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, 5, [7])) + bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, 5))
    assert feedback(others, SSRC) == Feedback()


@given(st.binary(max_size=200))
def test_malformed_feedback_raises_nothing(data: bytes) -> None:
    assert isinstance(feedback(b"\x81" + data, SSRC), Feedback)


def test_another_library_reads_the_report() -> None:
    report, description = RtcpPacket.parse(sender_report(SSRC, 1_700_000_000.25, 90_000 + 2**32, 10, 2000, "a-name"))
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(description, RtcpSdesPacket)
    info = report.sender_info
    assert (report.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (SSRC, 90_000, 10, 2000)
    assert info.ntp_timestamp == (1_700_000_000 + 2_208_988_800 << 32) + (1 << 30)
    assert [chunk.items for chunk in description.chunks] == [[(1, b"a-name")]]
