"""Cameras and recordings on web servers: MJPEG, single images, and anything that FFmpeg reads, within limits.

Cameras disagree on boundaries, headers and line endings of MJPEG. JPEG itself marks where an image begins and
ends, so none of them matters; only a length stated in a part's header is used, if it is within the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import av

from sightd.daemon.capture.decoding import CpuDecoding, DecodedFrame
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.hls import PLAYLIST_START, address_to_read, variants, with_variables
from sightd.daemon.capture.picture import MOST_PIXELS
from sightd.daemon.capture.stream import AvStream, Gap, Playback, Stream
from sightd.daemon.capture.web import WebClient, WebResponse
from sightd.daemon.capture.web_files import WebFile, WebFiles
from sightd.daemon.config.source import Source

MOST_PICTURE = 32 * 1024 * 1024
"""Maximum bytes of an image: twice what a camera of 36 megapixels sends."""
MOST_BETWEEN = 64 * 1024
"""Maximum bytes between two images."""

_BEGIN = re.compile(rb"\xff\xd8\xff")
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_TIME = re.compile(rb"x-timestamp[ \t]*:[ \t]*(\d{1,12}(?:\.\d{1,9})?)[ \t]*\r?\n", re.IGNORECASE)
_HEADER_END = re.compile(rb"\n\r?\n\Z")
_NEW, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length field."""


class TooLargeError(Exception):
    """An image, or the data between two images, is larger than any camera's. The message says which."""


@dataclass(frozen=True, slots=True)
class Part:
    """An image as it was sent, possibly truncated. `time` is the camera's own timestamp in s, if it states one."""

    data: bytes
    time: float | None = None


class PartReader:
    """Incremental parser that takes bytes and returns whole parts. Holds at most `MOST_PICTURE` bytes plus one read."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._at = 0
        """How far the buffered image has been searched for its end."""
        self._in_scan = False
        self._length: int | None = None
        self._time: float | None = None

    def feed(self, data: bytes) -> list[Part]:
        """Returns the parts that end within `data`. Raises TooLargeError, which must end the stream."""
        self._buffer += data
        parts: list[Part] = []
        while self._begun or self._begin():
            end = self._end()
            if end is None:
                break
            parts.append(self._cut(end))
        return parts

    def finish(self) -> list[Part]:
        """Returns the part that the end of the stream cut off, if any."""
        return [self._cut(len(self._buffer))] if self._begun else []

    def _begin(self) -> bool:
        """Looks for the first bytes of an image and reads the header before them. Returns whether it found any."""
        found = _BEGIN.search(self._buffer)
        if found is None:
            if len(self._buffer) > MOST_BETWEEN:
                raise TooLargeError(f"more than {MOST_BETWEEN // 1024} KiB without an image")
            return False
        head = bytes(self._buffer[: found.start()])
        lengths, times = _LENGTH.findall(head), _TIME.findall(head)
        self._length = int(lengths[-1]) if lengths and _HEADER_END.search(head) else None
        self._time = float(times[-1]) if times else None
        if self._length is not None and self._length > MOST_PICTURE:
            raise TooLargeError(f"an image of {self._length / 1000000.0:.0f} MB is announced")
        del self._buffer[: found.start()]
        self._begun, self._at, self._in_scan = True, 2, False
        return True

    def _end(self) -> int | None:
        """Returns the offset at which the image ends; None if that has not arrived yet."""
        if self._length is not None:
            return self._length if len(self._buffer) >= self._length else None
        end = self._searched()
        if end is None and len(self._buffer) > MOST_PICTURE:
            raise TooLargeError(f"an image is larger than {MOST_PICTURE // 2**20} MiB")
        return end

    def _searched(self) -> int | None:
        """Walks from marker to marker, over the header's segments and through scans, as far as there is data. Returns
        the same as `_end`."""
        buffer = self._buffer
        while True:
            if self._in_scan:
                found = _MARKER.search(buffer, self._at)
                if found is None:
                    self._at = max(self._at, len(buffer) - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            if self._at + 4 > len(buffer):
                return self._at + 2 if buffer[self._at :] == b"\xff\xd9" else None
            if buffer[self._at] != 0xFF:
                return self._at  # no marker: the image was truncated within its header
            marker = buffer[self._at + 1]
            if marker in (_NEW, _END):
                return self._at + (2 if marker == _END else 0)
            length = 0 if marker in _ALONE else int.from_bytes(buffer[self._at + 2 : self._at + 4], "big")
            self._at, self._in_scan = self._at + 2 + length, marker == _SCAN

    def _cut(self, end: int) -> Part:
        part = Part(bytes(self._buffer[:end]), self._time)
        del self._buffer[:end]
        self._begun = False
        return part


_PICTURE_TYPES = {"image/jpeg": "mjpeg", "image/jpg": "mjpeg", "image/png": "png", "image/webp": "webp"}
_STARTS = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG\r\n\x1a\n": "png"}
_HEADERS = (b"--", b"content-type: image/jpeg", b"content-length:")
"""How a multipart body begins if the server does not declare it as one."""
_SNIFFED = 64
_CLOSED = {
    "protocol_whitelist": "none",
    "format_whitelist": "aac,asf,av1,avi,flv,gif,h264,hevc,hls,ivf,matroska,mov,mp3,mp4,mpeg,mpegts,mpegvideo,obu,ogg,"
    "webm,webvtt",
}
"""FFmpeg itself must not open anything: formats such as concat, SDP and DASH can refer to local files and ports."""
_HLS = {
    # both would bypass our client
    "http_persistent": "0",
    "http_multiple": "0",
    # our client decides which addresses may be opened; their suffix does not matter
    "extension_picky": "0",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
}
_PLAIN_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_USUAL_TIMEOUT = 3.0
_SHORTEST = 1.0
"""Minimum seconds left for FFmpeg to probe what was opened."""
_LONGEST_WAIT = 5.0
"""Longest time, in s, between two signs of life to the feed while waiting for the next request."""


def open_web(source: Source, playback: Playback, limit: float | None = None) -> Stream:
    """Opens an http or https source; blocks for about `limit` s at most, by default twice its timeout.

    Raises SourceError, or what sockets raise.
    """
    timeout, clock = source.timeout or _USUAL_TIMEOUT, playback.clock.monotonic
    limit = 2 * timeout if limit is None else limit
    until = clock() + limit
    hosts = source.allowed_hosts
    client = WebClient(source.address, timeout=timeout, opening=limit, allowed_hosts=hosts, clock=clock)
    try:
        response = client.get()
        start = _start_of(response, lambda: clock() < until)
        codec = _codec_of(response.content_type, start)
        if codec is not None:
            client.opened()
            return ImageStream(source, playback, client, response, codec)
        files = WebFiles(client, max(_SHORTEST, until - clock()), clock, timeout)
        stream = _opened_by_ffmpeg(source, playback, files, response, start)
        client.opened()
        files.opened()
        return stream
    except BaseException:
        client.close()
        raise


def _start_of(response: WebResponse, in_time: Callable[[], bool]) -> bytes:
    """Returns the first bytes of a response, without leading line breaks; they can still be read. Raises SourceError if
    they arrive too late."""
    start = b""
    while len(start) < _SNIFFED and (data := response.read()):
        start += data
        if not in_time():
            raise SourceError(Reason.TIMEOUT)
    response.unread(start)
    return start[:_SNIFFED].lstrip(b"\r\n")


def _codec_of(content_type: str, start: bytes) -> str | None:
    """Returns the decoder for a response that consists of images; None for any other."""
    for begin, codec in _STARTS.items():
        if start.startswith(begin):
            return codec
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if content_type.startswith("multipart/") or start.lower().startswith(_HEADERS):
        return "mjpeg"
    return _PICTURE_TYPES.get(content_type)


class ImageStream:
    """Images one after another in an endless response, or one in each response to a request that is then repeated.

    If several images are available at once, only the newest is decoded. Truncated images count as damage.
    """

    recorded = False

    def __init__(
        self, source: Source, playback: Playback, client: WebClient, response: WebResponse, codec: str
    ) -> None:
        if playback.nvdec is not None:
            raise SourceError(Reason.NO_VIDEO, "nvdec cannot decode single images; set decoder: cpu")
        self.interval = 0.0 if response.content_type.startswith("multipart/") else source.poll_interval
        self._source, self._playback, self._client, self._response = source, playback, client, response
        self._whole = codec != "mjpeg"
        context: av.VideoCodecContext = av.CodecContext.create(codec, "r")  # type: ignore[assignment]
        context.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
        context.thread_count = 1
        self._decoding: Final = CpuDecoding(context)
        if playback.packets is not None:
            playback.packets.stream_opened(codec, None)

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        while True:
            asked_at = self._playback.clock.monotonic()
            pictures = 0
            for parts in self._parts():
                pictures += len(parts)
                yield self._newest(parts) if parts else Gap.NOTHING
            if pictures != 1:
                return
            yield from self._wait_until(asked_at + self._source.poll_interval)
            self._response = self._client.get()

    def close(self) -> None:
        self._client.close()

    def _parts(self) -> Iterator[list[Part]]:
        """Yields the images of a response as they arrive, several if several arrived at once; often none."""
        reader, body = PartReader(), bytearray()
        try:
            while data := self._response.read():
                if not self._whole:
                    yield reader.feed(data)
                elif len(body) > MOST_PICTURE:
                    raise TooLargeError(f"an image is larger than {MOST_PICTURE // 2**20} MiB")
                else:
                    body += data
                    yield []
            yield [Part(bytes(body))] if body else reader.finish()
        except TooLargeError as error:
            raise SourceError(Reason.TOO_LARGE, str(error)) from None

    def _newest(self, parts: list[Part]) -> DecodedFrame | Gap:
        clock, part = self._playback.clock, parts[-1]
        captured_at, wall_time = clock.monotonic(), clock.wall()
        try:
            frames = self._decoding.decode(av.Packet(part.data))
        except (av.error.InvalidDataError, av.error.ArgumentError):
            return Gap.DAMAGED
        if not frames:
            return Gap.DAMAGED
        return replace(frames[-1], captured_at=captured_at, wall_time=wall_time, pts=part.time, key=True)

    def _wait_until(self, moment: float) -> Iterator[Gap]:
        while (left := moment - self._playback.clock.monotonic()) > 0:
            self._playback.wait(min(left, _LONGEST_WAIT))
            yield Gap.NOTHING


class WebStream:
    """A stream that FFmpeg reads through our own client."""

    def __init__(self, inner: AvStream, files: WebFiles) -> None:
        self._inner, self._files = inner, files
        self.recorded, self.interval = inner.recorded, inner.interval

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        for frame in self._inner.frames():
            self._files.renew()
            yield frame

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._files.close()


def _opened_by_ffmpeg(
    source: Source, playback: Playback, files: WebFiles, response: WebResponse, start: bytes
) -> WebStream:
    options, playlist = {**source.options, **_CLOSED}, start.startswith(PLAYLIST_START)
    if playlist:
        address = _media_playlist_of(source, files, response)
        container = _open(files, address, "hls", options | _HLS, response.content_type)
    else:
        container = _open(files, files.first(response), source.format, options, response.content_type)
    try:
        has_end = bool(container.duration and container.duration > 0) or (not playlist and response.length is not None)
        return WebStream(AvStream(source, playback, container=container, recorded=has_end), files)
    except BaseException:
        container.close()
        raise


def _media_playlist_of(source: Source, files: WebFiles, response: WebResponse) -> str:
    """Returns the address of the media playlist to read; `files` holds the playlist if `response` is that one."""
    url, text = response.url, files.playlist(response)
    if not variants(text):
        files.provide(url, text)
        return url
    text, variables = with_variables(url, text, {})
    files.define(variables)
    return address_to_read(url, text, source.wanted_height)


def _open(
    files: WebFiles, file: str | WebFile, format_: str | None, options: dict[str, str], content_type: str
) -> av.container.InputContainer:
    try:
        return av.open(file, "r", format=format_, options=options, io_open=files.open, timeout=files.limits)
    except (av.error.InvalidDataError, av.error.ArgumentError):  # ArgumentError: the format is not in the whitelist
        told = (
            f"the server sends {content_type[:60]}, which is neither an image nor a video stream"
            if _PLAIN_TYPE.fullmatch(content_type)
            else ""
        )
        raise SourceError(Reason.NO_VIDEO, told) from None
