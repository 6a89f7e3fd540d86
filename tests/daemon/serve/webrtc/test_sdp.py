"""Offers and answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.daemon.serve.webrtc import sdp

pytestmark = pytest.mark.computing

FINGERPRINT = ":".join(["AB"] * 32)
OFFER = f"""v=0
o=- 6351670316550896575 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=fingerprint:sha-256 {FINGERPRINT}
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 102 108 114 43
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 51b0ad5f-4223-487e-8141-eda1661b4f67.local 38025 typ host
a=candidate:2 1 udp 2113942271 10.0.0.9 57564 typ host
a=candidate:3 1 tcp 2113942271 10.0.0.9 9 typ host
a=ice-ufrag:GSKf
a=ice-pwd:7kieobLwVl+06YDulBsIxvqp
a=setup:actpass
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:108 H264/90000
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:114 H264/90000
a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:43 rtx/90000
"""
OURS = sdp.Ours(
    "ufrag", "password", FINGERPRINT, [sdp.Candidate(("10.0.0.5", 8555)), sdp.Candidate(("198.51.100.7", 8555), True)],
    99, "a-name", "annotated",
)  # fmt: skip


def test_the_best_form_of_h264_is_chosen_and_names_of_hosts_are_left_out() -> None:
    offer = sdp.parse(OFFER)
    assert (offer.video, offer.payload_type, offer.ufrag) == (1, 108, "GSKf")
    assert offer.candidates == (("10.0.0.9", 57564),)
    assert offer.fingerprint == ("sha-256", FINGERPRINT)


def test_the_answer_sends_video_and_rejects_the_rest() -> None:
    answer = sdp.answer(sdp.parse(OFFER), OURS)
    _, audio, video = answer.split("m=")
    assert audio.startswith("audio 0 ")
    assert "a=inactive" in audio
    assert video.startswith("video 8555 UDP/TLS/RTP/SAVPF 108\r\n")
    for line in ("a=sendonly", "a=mid:1", "a=setup:passive", "a=rtcp-fb:108 nack pli", "a=end-of-candidates",
                 "a=candidate:1 1 udp 2130706431 10.0.0.5 8555 typ host"):  # fmt: skip
        assert f"{line}\r\n" in video
    assert "198.51.100.7 8555 typ srflx" in video
    assert "a=group:BUNDLE 1\r\n" in answer
    assert "a=ice-lite\r\n" in answer


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("v=0", "v=1", "not SDP"),
        ("a=recvonly", "a=sendonly", "receive video"),
        ("a=rtcp-mux", "a=x", "rtcp-mux"),
        ("actpass", "passive", "setup:actpass"),
        ("packetization-mode=1", "packetization-mode=0", "packetization-mode=1"),
        ("GSKf", "G SK", "ice-ufrag"),
        ("7kieobLwVl", "x", "ice-pwd"),
        ("sha-256", "sha-1", "SHA-256"),
        ("AB:AB", "AB:XY", "fingerprint"),
        ("m=audio", "m=aud/io", "malformed"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(old: str, new: str, reason: str) -> None:
    with pytest.raises(sdp.OfferError, match=reason):
        sdp.parse(OFFER.replace(old, new))


@settings(max_examples=30)
@given(st.data())
def test_a_mutilated_offer_is_answered_or_refused(data: st.DataObject) -> None:
    lines = OFFER.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        line = lines[place]
        cut = data.draw(st.integers(0, len(line)))
        lines[place] = line[:cut] + data.draw(st.text(max_size=8)) + line[cut + data.draw(st.integers(0, 4)) :]
    try:
        answer = sdp.answer(sdp.parse("\n".join(lines)), OURS)
    except sdp.OfferError:
        return
    assert all(len(line) > 2 and line[1] == "=" for line in answer.split("\r\n")[:-1])
