"""What FFmpeg reads from web servers, through `WebClient`: each step within a budget of bytes and time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from daemon.capture.errors import Reason, SourceError
from daemon.capture.hls import MOST_PLAYLIST, PLAYLIST_START
from daemon.capture.web import WebClient, WebResponse

MOST_STEP = 64 * 1024 * 1024
"""Bytes that may be read until there is a packet of video: more than the largest picture with its sound."""
_LONGEST_STEP = 10.0
"""Seconds that it may take, or the source's timeout if that is longer."""


class WebFiles:
    """Opens what FFmpeg asks for while it reads one source. Used by one thread."""

    def __init__(self, client: WebClient, longest: float, clock: Callable[[], float]) -> None:
        """`longest` is s for the first step, which is to open the source."""
        self._client, self._clock = client, clock
        self._longest = longest
        self._ready: tuple[str, bytes] | None = None
        self._left, self._until = 0, 0.0
        self._failed = False
        self.renew()

    def renew(self) -> None:
        """A step is done: the next one has the whole budget again."""
        self._left, self._until = MOST_STEP, self._clock() + self._longest

    def opened(self, timeout: float) -> None:
        """The source is open; `timeout` is its longest silence in s."""
        self._longest = max(_LONGEST_STEP, timeout)
        self.renew()

    def first(self, response: WebResponse) -> WebFile:
        """The file of an answer that is there already."""
        return SeekableWebFile(self, response) if response.seekable else WebFile(self, response)

    def provide(self, url: str, content: bytes) -> None:
        """Answers the first request for `url` with what is there already."""
        self._ready = url, content

    def open(self, url: str, _flags: int, options: Mapping[str, str]) -> object:
        """What FFmpeg's demuxers open, such as segments: they may lead only where the source's address may."""
        if self._ready is not None and self._ready[0] == url:
            content, self._ready = self._ready[1], None
            return _Memory(content)
        with self.failing_once() as failed:
            return _Memory(b"") if failed else self._opened(url, options)

    @contextmanager
    def failing_once(self) -> Iterator[bool]:
        """Whether something failed before. PyAV raises one exception that FFmpeg went on after, and prints others."""
        try:
            yield self._failed
        except BaseException:
            self._failed = True
            raise

    def _opened(self, url: str, options: Mapping[str, str]) -> object:
        if url.startswith("crypto"):
            raise SourceError(Reason.NO_VIDEO, "its HLS segments are encrypted, which is not supported")
        first, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        try:
            return WebFile(self, self._client.get(url, first=first, last=end - 1 if end else None))
        except SourceError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            return _Memory(b"")  # a live playlist's oldest segments expire: the next one follows

    def get(self, url: str, first: int) -> WebResponse:
        """Another part of a file."""
        return self._client.get(url, first=first)

    def spend(self, size: int) -> None:
        """Counts bytes that were read. SourceError if the step took too many, or too long."""
        self._left -= size
        if self._left < 0:
            raise SourceError(Reason.TOO_LARGE, f"{MOST_STEP >> 20} MiB without a packet of video")
        if self._clock() > self._until:
            raise SourceError(Reason.TIMEOUT)

    def close(self) -> None:
        self._client.close()


class WebFile:
    """A file that is read from its beginning to its end."""

    def __init__(self, files: WebFiles, response: WebResponse) -> None:
        self._files, self._response = files, response
        self._position = 0
        self._playlist: bool | None = None

    def read(self, size: int) -> bytes:
        with self._files.failing_once() as failed:
            return b"" if failed else self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._response.read(size)
        self._files.spend(len(data))
        if self._playlist is None:
            self._playlist = data.startswith(PLAYLIST_START)
        self._position += len(data)
        if self._playlist and self._position > MOST_PLAYLIST:
            raise SourceError(Reason.TOO_LARGE, f"a playlist does not end within {MOST_PLAYLIST >> 20} MiB")
        return data


class SeekableWebFile(WebFile):
    """A file of known length on a server that gives any part of it."""

    def __init__(self, files: WebFiles, response: WebResponse) -> None:
        super().__init__(files, response)
        self._length = response.length or 0
        self._at = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        length = self._length
        position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: length}[whence] + offset
        self._position = min(max(0, position), length)
        return self._position

    def _read(self, size: int) -> bytes:
        if self._position >= self._length:
            return b""
        if self._position != self._at:
            self._response = self._files.get(self._response.url, self._position)
        data = super()._read(size)
        self._at = self._position
        return data


class _Memory:
    """A file whose content is there."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        data, self._content = self._content[:size], self._content[size:]
        return data
