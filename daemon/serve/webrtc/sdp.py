"""Offers and answers (RFC 8866, RFC 8829): a viewer offers to receive H.264, and gets one stream of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sightd.daemon.serve.webrtc.dtls import supports
from sightd.daemon.serve.webrtc.stun import Address

_PROFILES = ("42e0", "4200", "4d00", "6400", "640c")
"""The beginnings of H.264 profile-level-ids that are preferred, best first. Receivers decode more than they offer."""
_UFRAG, _PASSWORD = re.compile(r"[A-Za-z0-9+/]{4,256}"), re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT = re.compile(r"([0-9A-F]{2}:)+[0-9A-F]{2}")
_TOKEN = re.compile(r"[\w!#$%&'*+.^`{|}~-]{1,64}", re.ASCII)
_MOST_CANDIDATES = 32
_UNUSED = frozenset({"inactive", "sendonly"})
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"


class OfferError(ValueError):
    """The offer cannot be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Media:
    """A media section of an offer; `attributes` are the values of its lines `a=`, in order."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for one, value in self.attributes if one == name]

    def first(self, name: str) -> str:
        return next(iter(self.values(name)), "")


@dataclass(frozen=True, slots=True)
class Offer:
    """What an answer needs. `sections` are all media sections; `video` is the number of the one that is answered.
    `fingerprint` is the algorithm and value of the viewer's certificate, `candidates` are its addresses."""

    sections: tuple[Media, ...]
    video: int
    payload_type: int
    parameters: str
    ufrag: str
    password: str
    fingerprint: tuple[str, str]
    candidates: tuple[Address, ...]
    bundled: bool


def parse(text: str) -> Offer:
    """Reads an offer. Raises OfferError."""
    session, sections = _sections(text)
    number = next((place for place, media in enumerate(sections) if _receives_video(media)), None)
    if number is None:
        raise OfferError("it does not offer to receive video: add a transceiver of direction recvonly")
    media = sections[number]
    if not media.protocol.endswith("TLS/RTP/SAVPF") or not media.values("rtcp-mux"):
        raise OfferError("video must use UDP/TLS/RTP/SAVPF and rtcp-mux, as browsers do")
    if _either(media, session, "setup") not in ("actpass", "active"):
        raise OfferError("it must offer to be the client of DTLS (a=setup:actpass)")
    payload_type, parameters = _h264(media)
    return Offer(
        tuple(sections),
        number,
        payload_type,
        parameters,
        _matching(_UFRAG, _either(media, session, "ice-ufrag"), "a=ice-ufrag"),
        _matching(_PASSWORD, _either(media, session, "ice-pwd"), "a=ice-pwd"),
        _fingerprint(media, session),
        tuple(_candidates(media)),
        any(value.split()[:1] == ["BUNDLE"] for value in session.values("group")),
    )


def _receives_video(media: Media) -> bool:
    return media.kind == "video" and not _UNUSED & {name for name, _ in media.attributes}


def _sections(text: str) -> tuple[Media, list[Media]]:
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "v=0":
        raise OfferError("it is not SDP: the first line is not v=0")
    begins = [number for number, line in enumerate(lines) if line.startswith("m=")]
    if not begins:
        raise OfferError("it has no media section")
    session = Media("", "", (), _attributes(lines[: begins[0]]))
    parts = zip(begins, [*begins[1:], len(lines)], strict=True)
    return session, [_media(lines[begin:end]) for begin, end in parts]


def _media(lines: Sequence[str]) -> Media:
    kind, _port, protocol, *formats = [*lines[0][2:].split(), "", "", ""][: len(lines[0].split()) + 3]
    formats = [one for one in formats if one]
    if not all(map(_TOKEN.fullmatch, (kind, protocol.replace("/", "."), *formats))):
        raise OfferError("a media section is malformed")
    return Media(kind, protocol, tuple(formats), _attributes(lines))


def _attributes(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return tuple((name, value.strip()) for name, _, value in pairs)


def _either(media: Media, session: Media, name: str) -> str:
    return media.first(name) or session.first(name)


def _matching(pattern: re.Pattern[str], value: str, name: str) -> str:
    if not pattern.fullmatch(value):
        raise OfferError(f"{name} is missing or malformed")
    return value


def _fingerprint(media: Media, session: Media) -> tuple[str, str]:
    for value in media.values("fingerprint") or session.values("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        if supports(algorithm.lower()) and _FINGERPRINT.fullmatch(digest.upper()):
            return algorithm.lower(), digest.upper()
    raise OfferError("a=fingerprint is missing, or not of SHA-256, SHA-384 or SHA-512")


def _h264(media: Media) -> tuple[int, str]:
    """Returns the payload type for H.264 in packetization mode 1, and its parameters."""
    maps = dict(value.split(" ", 1) for value in media.values("rtpmap") if " " in value)
    parameters = dict(value.split(" ", 1) for value in media.values("fmtp") if " " in value)
    found = [
        (_rank(profile), int(one), parameters[one])
        for one in media.formats
        if maps.get(one, "").upper() == "H264/90000" and one.isdecimal() and int(one) < 128
        if (profile := _option(parameters.get(one, ""), "profile-level-id")) is not None
        and _option(parameters[one], "packetization-mode") == "1"
    ]
    if not found:
        raise OfferError("it does not offer H264/90000 with packetization-mode=1")
    _, payload_type, chosen = min(found)
    profile = _option(chosen, "profile-level-id")
    return payload_type, f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"


def _option(parameters: str, name: str) -> str | None:
    for part in parameters.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name and _TOKEN.fullmatch(value):
            return value
    return None


def _rank(profile: str) -> int:
    begins = [number for number, one in enumerate(_PROFILES) if profile.lower().startswith(one)]
    return begins[0] if begins else len(_PROFILES)


def _candidates(media: Media) -> Iterator[Address]:
    """Yields the addresses of UDP candidates; names (mDNS) are left out: such a viewer reaches us first."""
    for value in media.values("candidate")[:_MOST_CANDIDATES]:
        parts = value.split()
        is_udp = len(parts) >= 8 and parts[1] == "1" and parts[2].lower() == "udp" and parts[5].isdecimal()
        if is_udp and not parts[4].endswith(".local") and 0 < int(parts[5]) < 65536:
            yield parts[4], int(parts[5])


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address at which we can be reached; `reflexive`: it is that of a router."""

    address: Address
    reflexive: bool = False

    def line(self, number: int) -> str:
        kind, preference = ("srflx raddr 0.0.0.0 rport 0", 100) if self.reflexive else ("host", 126)
        priority = preference << 24 | (65535 - number) << 8 | 255
        host, port = self.address
        return f"a=candidate:{number + 1} 1 udp {priority} {host} {port} typ {kind}"


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side of a session. `stream` names what is shown."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[Candidate]
    ssrc: int
    cname: str
    stream: str


def answer(offer: Offer, ours: Ours) -> str:
    """Returns the answer: video is sent, all other media are rejected."""
    media = offer.sections[offer.video]
    bundle = [f"a=group:BUNDLE {media.first('mid')}"] if offer.bundled else []
    lines = [
        "v=0",
        f"o=- {ours.ssrc} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        *bundle,
        "a=ice-lite",
        "a=msid-semantic: WMS *",
    ]
    for number, section in enumerate(offer.sections):
        lines += _video(offer, ours) if number == offer.video else _rejected(section)
    return "\r\n".join([*lines, ""])


def _video(offer: Offer, ours: Ours) -> list[str]:
    media, payload_type = offer.sections[offer.video], offer.payload_type
    host, port = ours.candidates[0].address
    return [
        f"m=video {port} {media.protocol} {payload_type}",
        f"c=IN IP{6 if ':' in host else 4} {host}",
        *_mid(media),
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{ours.ufrag}",
        f"a=ice-pwd:{ours.password}",
        *(one.line(number) for number, one in enumerate(ours.candidates)),
        "a=end-of-candidates",
        f"a=fingerprint:sha-256 {ours.fingerprint}",
        "a=setup:passive",
        f"a=rtpmap:{payload_type} H264/90000",
        f"a=fmtp:{payload_type} {offer.parameters}",
        *(f"a=rtcp-fb:{payload_type} {kind}" for kind in ("nack", "nack pli", "ccm fir")),
        f"a=msid:sightd {ours.stream}",
        f"a=ssrc:{ours.ssrc} cname:{ours.cname}",
        f"a=ssrc:{ours.ssrc} msid:sightd {ours.stream}",
    ]


def _rejected(media: Media) -> list[str]:
    formats = " ".join(media.formats[:1]) or "0"
    return [f"m={media.kind} 0 {media.protocol} {formats}", "c=IN IP4 0.0.0.0", *_mid(media), "a=inactive"]


def _mid(media: Media) -> list[str]:
    mid = media.first("mid")
    return [f"a=mid:{mid}"] if _TOKEN.fullmatch(mid) else []
