"""Decodes still images from files and uploads, which may be damaged or hostile.

Decoding happens in a separate process (`plugins.images.still_decoder`), under the decoder's pixel limit and a memory
limit. Whatever an image header claims, this process only allocates memory for pixels that were actually decoded.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightd.engines.files import read_regular
from sightd.engines.subprocess_path import with_package_path
from sightd.engines.text import printable
from sightd.plugins.api import Image
from sightd.plugins.images.formats import MOST_SCANS, SCAN, is_jpeg, scans
from sightd.plugins.images.still_decoder import LENGTH_BYTES, PIXEL_LIMIT, receive

_DEADLINE_S = 90.0
"""Deadline for one image on a busy machine; above the decoder's largest CPU time limit."""
_IDLE_S = 10.0
"""How long the decoder process may be idle before it is stopped; the next image starts it again."""
_LONGEST_ANSWER = 200
_TOO_SLOW = "decoding takes too long: save it as a plain JPEG or PNG"
_FORMATS = "JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or JPEG 2000"
_UNSUPPORTED = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Brands of ISO base media files (ISO/IEC 23008-12) that OpenCV does not decode."""


class StillError(Exception):
    """An image cannot be read. The message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one image: file size in bytes, and number of pixels."""

    bytes: int
    pixels: int


UPLOAD = Limits(32 << 20, 80_000_000)
LOCAL = Limits(512 << 20, 120_000_000)
"""Limits for local files that a user named."""


def read_still(path: Path, limits: Limits = LOCAL) -> Image:
    """Reads an image file as BGR uint8 [height, width, 3], rotated according to its EXIF data. Raises StillError.
    Anything but a regular file is rejected before it is read."""
    name = printable(str(path))
    try:
        data = read_regular(path, limits.bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise StillError(_too_long(name, limits)) from error
        raise StillError(f"{name}: {error.strerror}") from error
    return still_of(data, str(path), limits)


def still_of(data: bytes, name: str, limits: Limits = UPLOAD) -> Image:
    """Decodes the content of an image file like `read_still`; `name` identifies it in messages. Thread-safe; images
    with the same limits are decoded one at a time."""
    name = printable(name)
    if len(data) > limits.bytes:
        raise StillError(_too_long(name, limits))
    if not data:
        raise StillError(f"{name}: not an image: the file is empty")
    if data[4:8] == b"ftyp" and data[8:12] in _UNSUPPORTED:
        raise StillError(f"{name}: HEIC images are not supported: convert it to JPEG")
    if is_jpeg(data) and data.count(SCAN) > MOST_SCANS and scans(data) > MOST_SCANS:
        raise StillError(f"{name}: a JPEG with more than {MOST_SCANS} scans: save it as a plain JPEG or PNG")
    found = _decoder(limits.pixels).decode(data)
    if isinstance(found, str):
        raise StillError(f"{name}: {found}")
    return found


class _GoneError(Exception):
    """The decoder process has exited or sent an invalid reply."""


class _Decoder:
    """Client of the decoder process, started on demand and stopped when idle. Thread-safe; one image at a time."""

    def __init__(self, most_pixels: int) -> None:
        self._most_pixels = most_pixels
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._used_at = 0.0
        self._watched = False

    def decode(self, data: bytes) -> Image | str:
        """Returns the image, or a message that says what is wrong with it."""
        with self._lock:
            try:
                return self._asked(self._connected(), data)
            except TimeoutError:
                self._end()
                return _TOO_SLOW
            except (_GoneError, OSError):
                if self._end() == -signal.SIGXCPU:
                    return _TOO_SLOW
                return "not a readable image: the decoder failed"
            finally:
                self._used_at = time.monotonic()

    def _asked(self, connection: socket.socket, data: bytes) -> Image | str:
        connection.sendall(len(data).to_bytes(LENGTH_BYTES, "big"))
        connection.sendall(data)
        try:
            answer = json.loads(_line(connection))
            if fault := answer.get("fault"):
                return self._words(fault)
            width, height = int(answer["width"]), int(answer["height"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise _GoneError from error
        if not 0 < width * height <= self._most_pixels:
            raise _GoneError
        pixels = receive(connection, width * height * 3)
        if pixels is None:
            raise _GoneError
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

    def _words(self, fault: str) -> str:
        if fault == "pixels":
            return f"more than {self._most_pixels // 10**6} million pixels: reduce its size"
        if fault == "memory":
            return "decoding takes too much memory: save it as a plain JPEG or PNG"
        return f"not a readable image: damaged, incomplete, too large to decode, or not {_FORMATS}"

    def _connected(self) -> socket.socket:
        if self._connection is None:
            ours, theirs = socket.socketpair()
            ours.settimeout(_DEADLINE_S)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "sightd.plugins.images.still_decoder", str(theirs.fileno()),
                     str(self._most_pixels)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env=_environment(self._most_pixels), pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
            self._connection = ours
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._end_when_idle, name="still-decoder", daemon=True).start()
        return self._connection

    def _end_when_idle(self) -> None:
        while True:
            time.sleep(_IDLE_S)
            with self._lock:
                if time.monotonic() - self._used_at >= _IDLE_S or self._connection is None:
                    self._end()
                    self._watched = False
                    return

    def _end(self) -> int | None:
        """Stops the process and returns its exit status as `subprocess` reports it; None if it was not running."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            status, self._process = self._process.wait(), None
            return status
        return None


_decoders: dict[int, _Decoder] = {}
_decoders_lock = threading.Lock()


def _decoder(most_pixels: int) -> _Decoder:
    with _decoders_lock:
        if most_pixels not in _decoders:
            _decoders[most_pixels] = _Decoder(most_pixels)
        return _decoders[most_pixels]


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(1)
        if not part or len(line) > _LONGEST_ANSWER:
            raise _GoneError
        line += part
    return line


def _environment(most_pixels: int) -> dict[str, str]:
    return with_package_path(os.environ) | {PIXEL_LIMIT: str(most_pixels), "OPENBLAS_NUM_THREADS": "1"}


def _too_long(name: str, limits: Limits) -> str:
    return f"{name}: larger than {limits.bytes >> 20} MiB: reduce its size"
