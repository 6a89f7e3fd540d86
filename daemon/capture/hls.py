"""HLS playlists (RFC 8216): selects the variant to read, and prepares playlists for FFmpeg.

FFmpeg parses media playlists itself, but it ignores variables and gaps, and reads segments with an unknown encryption
as if they had none. Each playlist therefore passes through `media_playlist` first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.picture import MOST_PIXELS

PLAYLIST_START = b"#EXTM3U"
MOST_PLAYLIST = 2 * 1024 * 1024
"""Maximum bytes of a playlist: enough for a day of one-second segments."""
_MOST_VARIANTS = 100
_VARIANT = "#EXT-X-STREAM-INF:"
_DEFINE = "#EXT-X-DEFINE:"
_KEY, _MAP, _GAP, _BYTE_RANGE = "#EXT-X-KEY:", "#EXT-X-MAP:", "#EXT-X-GAP", "#EXT-X-BYTERANGE:"
_SEQUENCE = re.compile(r"^#EXT-X-MEDIA-SEQUENCE:(\d{1,19})", re.MULTILINE)
_SEGMENT = "#EXTINF:"
_URI = re.compile(r'\bURI="([^"]*)"')
_VARIABLE = re.compile(r"\{\$([A-Za-z0-9_-]{1,256})\}")
_ATTRIBUTE = re.compile(r'(?:^|,)[ \t]{0,8}([A-Z0-9-]{1,64})=("[^"]*"|[^,]*)')
"""Bounded and anchored: a search whose time grows with the square of a line's length would block the interpreter for
hours."""
_SOUND = ("mp4a", "ac-3", "ec-3", "opus", "Opus", "fLaC", "flac", "mp3")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition of the video. `size` is (width, height), None if the playlist does not state it."""

    address: str
    bandwidth: int
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A playlist prepared for FFmpeg: without variables, and with absolute URLs where FFmpeg could not resolve them.
    `segments` is their number, `begins` the sequence number of the first. `keys` are the URLs of AES-128 keys, `gaps`
    those of segments that the server says it does not have."""

    text: str
    begins: int
    segments: int
    keys: frozenset[str] = frozenset()
    gaps: frozenset[str] = frozenset()


def media_playlist(asked: str, url: str, text: str, variables: Mapping[str, str]) -> MediaPlaylist:
    """Prepares the media playlist that was requested as `asked` and came from `url`, after redirects. `variables` are
    those of its master playlist.

    Raises SourceError if its segments use an unsupported encryption, or if its variables cannot be resolved.
    """
    text, _ = with_variables(url, text, variables)
    redirected = asked != url  # FFmpeg does not know the new URL
    first = _SEQUENCE.search(text)
    begins, segments = int(first[1]) if first else 0, text.count(_SEGMENT)
    if not redirected and not any(tag in text for tag in (_KEY, _GAP)):
        return MediaPlaylist(text, begins, segments)
    keys, gaps, gap = set[str](), set[str](), False
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_KEY):
            line, found = _with_absolute_key(url, line)
            keys |= found
        elif line.startswith(_MAP) and redirected:
            line = _URI.sub(lambda uri: f'URI="{_joined(url, uri[1])}"', line)
        elif line == _GAP:
            gap = True
        elif line.startswith(_BYTE_RANGE):
            gap = False  # other byte ranges of that file may be available
        elif line and not line.startswith("#"):
            if redirected or gap:
                line = _joined(url, line)
            if gap:
                gaps.add(line)
            gap = False
        lines.append(line)
    return MediaPlaylist("\n".join([*lines, ""]), begins, segments, frozenset(keys), frozenset(gaps))


def with_variables(url: str, text: str, imported: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns the playlist with its variables (EXT-X-DEFINE) replaced, and their values. `imported` are those it may
    import.

    Raises SourceError if a variable is not defined, or if the text grows beyond the limit.
    """
    if _DEFINE not in text and "{$" not in text:
        return text, {}
    values: dict[str, str] = {}
    lines: list[str] = []
    size = 0

    def value_of(reference: re.Match[str]) -> str:
        if reference[1] not in values:
            raise SourceError(Reason.NO_VIDEO, f"its playlist uses the undefined variable {reference[1][:40]!a}")
        return values[reference[1]]

    for line in text.splitlines():
        if len(line) + line.count("{$") * max(map(len, values.values()), default=0) + size > MOST_PLAYLIST:
            raise SourceError(Reason.TOO_LARGE, "the playlist variables")
        replaced = _VARIABLE.sub(value_of, line)
        size += len(replaced) + 1
        if replaced.strip().startswith(_DEFINE):
            values |= _defined(url, _attributes(replaced.strip().removeprefix(_DEFINE)), imported)
        else:
            lines.append(replaced)
    return "\n".join([*lines, ""]), values


def variants(text: str) -> list[Variant]:
    """Returns the variants of a master playlist that may contain video, in its order; none for a media playlist."""
    found: list[Variant] = []
    stated: dict[str, str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_VARIANT):
            stated = _attributes(line.removeprefix(_VARIANT))
        elif line and not line.startswith("#"):
            if stated is not None and len(found) < _MOST_VARIANTS and _may_be_video(stated):
                found.append(_variant(line, stated))
            stated = None
    return found


def best(offered: list[Variant], wanted_height: int | None) -> Variant:
    """Returns the smallest variant with at least `wanted_height` lines; if there is none, or it is None, the largest
    that can be decoded.

    Among variants of one size, the one with the highest bandwidth is chosen.
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
    """Returns the address of the best variant of the playlist that was read from `url`, or `url` itself if it has none.
    Raises SourceError if that address is invalid."""
    offered = variants(playlist)
    if not offered:
        return url
    return _joined(url, best(offered, wanted_height).address)


def _with_absolute_key(url: str, line: str) -> tuple[str, set[str]]:
    """Returns an EXT-X-KEY line with an absolute URL, and the set of key URLs in it. Raises SourceError if the
    encryption is not supported."""
    stated = _attributes(line.removeprefix(_KEY))
    method, format_ = stated.get("METHOD", ""), stated.get("KEYFORMAT", "identity")
    if method == "NONE":
        return line, set()
    if method != "AES-128":
        why = f"its HLS segments are encrypted with {method[:40]!a}; only AES-128 is supported"
        raise SourceError(Reason.NO_VIDEO, why)
    if format_ != "identity":
        raise SourceError(
            Reason.NO_VIDEO, (f"the key of its HLS segments requires the unsupported key system {format_[:60]!a}")
        )
    if not stated.get("URI"):
        raise SourceError(Reason.NO_VIDEO, "its HLS segments are encrypted, but the playlist names no key")
    key = _joined(url, stated["URI"])
    vector = f",IV={stated['IV']}" if "IV" in stated else ""
    return f'{_KEY}METHOD=AES-128,URI="{key}"{vector}', {key}


def _defined(url: str, stated: Mapping[str, str], imported: Mapping[str, str]) -> dict[str, str]:
    if "NAME" in stated:
        return {stated["NAME"]: stated.get("VALUE", "")}
    if (name := stated.get("IMPORT")) is not None and name in imported:
        return {name: imported[name]}
    if (name := stated.get("QUERYPARAM")) is not None:
        given = parse_qs(urlsplit(url).query, keep_blank_values=True, max_num_fields=100)
        if name in given:
            return {name: given[name][0]}
    return {}  # an error only if it is used


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _joined(url: str, address: str) -> str:
    try:
        return urljoin(url, address)
    except ValueError:
        raise SourceError(Reason.NO_VIDEO, "its playlist contains an invalid URL") from None


def _variant(address: str, stated: dict[str, str]) -> Variant:
    size, bandwidth = _SIZE.fullmatch(stated.get("RESOLUTION", "")), stated.get("BANDWIDTH", "")
    bits = int(bandwidth) if bandwidth.isdecimal() and len(bandwidth) < 16 else 0
    return Variant(address, bits, (int(size[1]), int(size[2])) if size else None)


def _may_be_video(stated: dict[str, str]) -> bool:
    """Returns False if all stated codecs are audio codecs and no resolution is stated."""
    codecs = [codec.strip() for codec in stated.get("CODECS", "").split(",") if codec.strip()]
    return not codecs or "RESOLUTION" in stated or not all(codec.startswith(_SOUND) for codec in codecs)
