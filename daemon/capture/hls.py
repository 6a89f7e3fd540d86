"""Which of the variants that an HLS playlist offers is read. The others are never asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from daemon.capture.errors import Reason, SourceError
from daemon.capture.picture import MOST_PIXELS

PLAYLIST_START = b"#EXTM3U"
MOST_PLAYLIST = 2 * 1024 * 1024
"""Bytes of a playlist: a day of one-second segments."""
_MOST_VARIANTS = 100
_VARIANT = "#EXT-X-STREAM-INF:"
_ATTRIBUTE = re.compile(r'(?:^|,)[ \t]{0,8}([A-Z0-9-]{1,64})=("[^"]*"|[^,]*)')
"""Bounded and anchored: a search that takes time by the square of a line's length holds the interpreter for hours."""
_SOUND = ("mp4a", "ac-3", "ec-3", "opus", "Opus", "fLaC", "flac", "mp3")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition of the video. `size` is (width, height), None if the playlist does not say."""

    address: str
    bandwidth: int
    size: tuple[int, int] | None


def variants(text: str) -> list[Variant]:
    """The variants of a master playlist that may hold video, in its order; none of a media playlist."""
    found: list[Variant] = []
    stated: dict[str, str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_VARIANT):
            stated = {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line[len(_VARIANT) :])}
        elif line and not line.startswith("#"):
            if stated is not None and len(found) < _MOST_VARIANTS and _may_be_video(stated):
                found.append(_variant(line, stated))
            stated = None
    return found


def best(offered: list[Variant], wanted_height: int | None) -> Variant:
    """The smallest variant with at least `wanted_height` lines, or the largest that can be decoded.

    Of variants of one size the one with most bits a second.
    """
    decodable = [one for one in offered if one.size is None or one.size[0] * one.size[1] <= MOST_PIXELS] or offered
    by_quality = sorted(decodable, key=lambda one: (one.size[1] if one.size else 0, one.bandwidth))
    if wanted_height is None:
        return by_quality[-1]
    enough = [one for one in by_quality if one.size and one.size[1] >= wanted_height]
    if not enough:
        return by_quality[-1]
    return [one for one in enough if one.size == enough[0].size][-1]


def address_to_read(url: str, playlist: str, wanted_height: int | None) -> str:
    """The address of the best variant of the playlist that was read from `url`; its own if it has none. Raises
    SourceError if that address cannot be read."""
    offered = variants(playlist)
    if not offered:
        return url
    try:
        return urljoin(url, best(offered, wanted_height).address)
    except ValueError:
        raise SourceError(Reason.NO_VIDEO, "its playlist names an address that cannot be read") from None


def _variant(address: str, stated: dict[str, str]) -> Variant:
    size, bandwidth = _SIZE.fullmatch(stated.get("RESOLUTION", "")), stated.get("BANDWIDTH", "")
    bits = int(bandwidth) if bandwidth.isdecimal() and len(bandwidth) < 16 else 0
    return Variant(address, bits, (int(size[1]), int(size[2])) if size else None)


def _may_be_video(stated: dict[str, str]) -> bool:
    """Not if it names codecs that are all of sound."""
    codecs = [codec.strip() for codec in stated.get("CODECS", "").split(",") if codec.strip()]
    return not codecs or "RESOLUTION" in stated or not all(codec.startswith(_SOUND) for codec in codecs)
