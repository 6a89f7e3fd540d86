"""Cameras and recordings on web servers: MJPEG, single images, and anything that FFmpeg reads, within limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import av

from sightd.daemon.capture.decoding import CpuDecoding
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.hls import PLAYLIST_START, address_to_read, variants, with_variables
from sightd.daemon.capture.image_parts import MOST_PICTURE, Part, PartReader, TooLargeError
from sightd.daemon.capture.picture import MOST_PIXELS
from sightd.daemon.capture.source import Source
from sightd.daemon.capture.stream import AvStream, Gap, Playback, Shot, Stream
from sightd.daemon.capture.web import WebClient, WebResponse
from sightd.daemon.capture.web_files import WebFile, WebFiles

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
"""Longest pause, in s, without a sign of life to the feed while the next request is waited for."""


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
    they come too late."""
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

    def shots(self) -> Iterator[Shot | Gap]:
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

    def _newest(self, parts: list[Part]) -> Shot | Gap:
        clock, part = self._playback.clock, parts[-1]
        arrival = (clock.monotonic(), clock.wall())
        try:
            frames = self._decoding.decode(av.Packet(part.data))
        except (av.error.InvalidDataError, av.error.ArgumentError):
            return Gap.DAMAGED
        if not frames:
            return Gap.DAMAGED
        frame = frames[-1]
        return Shot(frame.size, frame.decode, *arrival, pts=part.time, key=True, corrupt=frame.corrupt)

    def _wait_until(self, moment: float) -> Iterator[Gap]:
        while (left := moment - self._playback.clock.monotonic()) > 0:
            self._playback.wait(min(left, _LONGEST_WAIT))
            yield Gap.NOTHING


class WebStream:
    """A stream that FFmpeg reads through our own client."""

    def __init__(self, inner: AvStream, files: WebFiles) -> None:
        self._inner, self._files = inner, files
        self.recorded, self.interval = inner.recorded, inner.interval

    def shots(self) -> Iterator[Shot | Gap]:
        for shot in self._inner.shots():
            self._files.renew()
            yield shot

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
