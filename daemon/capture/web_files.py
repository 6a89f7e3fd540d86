"""What FFmpeg reads from web servers through `WebClient`: each step within a limit of bytes and time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.hls import MOST_PLAYLIST, PLAYLIST_START, media_playlist
from sightd.daemon.capture.web import WebClient, WebResponse

MOST_STEP = 64 * 1024 * 1024
"""Maximum bytes read until there is a packet of video: more than the largest frame with its sound."""
_LONGEST_STEP = 10.0
"""Maximum seconds for that, or the source's timeout if that is longer."""
_PIECE = 64 * 1024
_BLOCK = 16
"""Bytes of an AES block, of an AES-128 key and of an initialisation vector."""


class WebFiles:
    """Opens what FFmpeg requests while it reads one source. Used by one thread."""

    def __init__(self, client: WebClient, longest: float, clock: Callable[[], float], timeout: float) -> None:
        """`longest` is the limit in s of the first step, which opens the source; `timeout` is the source's longest
        silence in s."""
        self._client, self._clock = client, clock
        self._longest, self._longest_later = longest, max(_LONGEST_STEP, timeout)
        self._ready: tuple[str, bytes] | None = None
        self._variables: Mapping[str, str] = {}
        self._keys = self._gaps = frozenset[str]()
        self._begins: int | None = None
        self._left, self._until = 0, 0.0
        self._failed = False
        self.renew()

    def renew(self) -> None:
        """Ends a step: the next one has the whole limit again."""
        self._left, self._until = MOST_STEP, self._clock() + self._longest

    @property
    def limits(self) -> tuple[float, float]:
        """Seconds that FFmpeg may take to open the source, and for each packet: a playlist can make it wait for years
        without a request."""
        return self._longest, self._longest_later

    def opened(self) -> None:
        """Records that the source is open: from now on the limit of a packet applies."""
        self._longest = self._longest_later
        self.renew()

    def first(self, response: WebResponse) -> WebFile:
        """Returns the file for a response that has already begun."""
        return SeekableWebFile(self, response) if response.seekable else WebFile(self, response)

    def playlist(self, response: WebResponse) -> str:
        """Reads a whole playlist. Raises SourceError if it is too long."""
        content = bytearray()
        while data := response.read(_PIECE):
            self.spend(len(data))
            content += data
            if len(content) > MOST_PLAYLIST:
                raise SourceError(Reason.TOO_LARGE, f"a playlist is larger than {MOST_PLAYLIST >> 20} MiB")
        return content.decode("utf-8", "replace")

    def define(self, variables: Mapping[str, str]) -> None:
        """Sets the variables of the master playlist, which media playlists may import."""
        self._variables = variables

    def provide(self, url: str, text: str) -> None:
        """Answers the first request for `url` with a media playlist that has already been read."""
        self._ready = url, self._prepared(url, url, text)

    def open(self, url: str, _flags: int, options: Mapping[str, str]) -> object:
        """Opens what FFmpeg's demuxers request: playlists, segments and keys. They may lead only where the source's
        address may.

        `options` are FFmpeg's: the byte range; `key` and `iv` in hexadecimal if the segment is encrypted.
        """
        if self._ready is not None and self._ready[0] == url:
            content, self._ready = self._ready[1], None
            return _Memory(content)
        with self.failing_once() as failed:
            return _Memory(b"") if failed else self._opened(url, options)

    @contextmanager
    def failing_once(self) -> Iterator[bool]:
        """Yields whether an operation failed before, so that only the first failure is raised: if FFmpeg continues
        after it, PyAV raises one exception and only prints the others."""
        try:
            yield self._failed
        except BaseException:
            self._failed = True
            raise

    def _opened(self, url: str, options: Mapping[str, str]) -> object:
        if url in self._keys:
            return _Memory(self._key(url))
        plain = url.removeprefix("crypto+") if "key" in options else url
        if plain in self._gaps:
            return _Memory(b"")
        first, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        try:
            response = self._client.get(plain, first=first, last=end - 1 if end else None)
        except SourceError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            return _Memory(b"")  # the oldest segments of a live playlist expire: continue with the next one
        if plain != url:
            return DecryptedWebFile(self, response, bytes.fromhex(options["key"]), bytes.fromhex(options["iv"]))
        if self._is_playlist(response):
            return _Memory(self._prepared(url, response.url, self.playlist(response)))
        return WebFile(self, response)

    def _is_playlist(self, response: WebResponse) -> bool:
        start = b""
        while len(start) < len(PLAYLIST_START) and (data := response.read()):
            self.spend(len(data))
            start += data
        response.unread(start)
        return start.startswith(PLAYLIST_START)

    def _prepared(self, asked: str, url: str, text: str) -> bytes:
        playlist = media_playlist(asked, url, text, self._variables)
        if self._begins is not None and playlist.begins + playlist.segments <= self._begins:
            raise SourceError(Reason.EOF, "its playlist starts over")  # FFmpeg would wait until it catches up
        self._keys, self._gaps, self._begins = playlist.keys, playlist.gaps, playlist.begins
        return playlist.text.encode()

    def _key(self, url: str) -> bytes:
        """Returns an AES-128 key. Raises SourceError if it is missing or has the wrong length."""
        try:
            response, key = self._client.get(url), b""
        except SourceError as error:
            raise SourceError(
                error.reason, f"the key of its HLS segments{error.detail and ': '}{error.detail}"
            ) from None
        while len(key) <= _BLOCK and (data := response.read(_BLOCK + 1)):
            self.spend(len(data))
            key += data
        if len(key) != _BLOCK:
            raise SourceError(Reason.NO_VIDEO, f"the key of its HLS segments does not have {_BLOCK} bytes")
        return key

    def get(self, url: str, first: int) -> WebResponse:
        """Requests a file from byte `first` on."""
        return self._client.get(url, first=first)

    def spend(self, size: int) -> None:
        """Counts bytes that were read. Raises SourceError if the step took too many of them, or too long."""
        self._left -= size
        if self._left < 0:
            raise SourceError(Reason.TOO_LARGE, f"{MOST_STEP >> 20} MiB without a video packet")
        if self._clock() > self._until:
            raise SourceError(Reason.TIMEOUT)

    def close(self) -> None:
        self._client.close()


class WebFile:
    """A file that is read from beginning to end."""

    def __init__(self, files: WebFiles, response: WebResponse) -> None:
        self._files, self._response = files, response
        self._position = 0

    def read(self, size: int) -> bytes:
        with self._files.failing_once() as failed:
            return b"" if failed else self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._response.read(size)
        self._files.spend(len(data))
        self._position += len(data)
        return data


class DecryptedWebFile(WebFile):
    """An HLS segment encrypted with AES-128 in CBC mode and PKCS7 padding (RFC 8216, 4.3.2.4)."""

    def __init__(self, files: WebFiles, response: WebResponse, key: bytes, vector: bytes) -> None:
        super().__init__(files, response)
        self._decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        self._decrypted = bytearray()
        self._ended = False

    def _read(self, size: int) -> bytes:
        """Holds the last block back until the end shows how much of it is padding."""
        while not self._ended and len(self._decrypted) < size + _BLOCK:
            data = super()._read(size)
            self._decrypted += self._decryptor.update(data)
            if not data:
                self._ended = True
                _remove_padding(self._decrypted)
        given = bytes(self._decrypted[:size])
        del self._decrypted[:size]
        return given


def _remove_padding(content: bytearray) -> None:
    """Removes PKCS7 padding. Content without it was truncated, or decrypted with a wrong key: the decoder will report
    that."""
    length = content[-1] if content else 0
    if 1 <= length <= _BLOCK and content.endswith(bytes([length]) * length):
        del content[-length:]


class SeekableWebFile(WebFile):
    """A file of known length on a server that supports byte ranges."""

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
    """A file whose content is in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        data, self._content = self._content[:size], self._content[size:]
        return data
