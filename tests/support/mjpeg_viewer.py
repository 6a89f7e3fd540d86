"""An MJPEG viewer, like a browser, that records the bar code of every frame."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from types import TracebackType

import cv2
import httpx
import numpy as np

from tests.support.barcode import get_bar
from tests.support.waiting import eventually

_START, _END = b"\xff\xd8\xff", b"\xff\xd9\r\n--"


class MjpegViewer:
    """Watches `address` in its own thread; a context manager. For each frame with a bar, its number is appended to
    `numbers` and its arrival time (monotonic s) to `at`; `error` is what ended it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.numbers: list[int] = []
        self.at: list[float] = []
        self.error: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mjpeg-viewer", daemon=True)

    def wait_for(self, pictures: int, within: float = 10.0) -> None:
        """Returns when `pictures` frames have come. Raises AssertionError if they do not come in time."""
        eventually(lambda: len(self.numbers) >= pictures, within, f"{pictures} pictures, error {self.error}")

    def missing(self) -> int:
        """Returns how many frame numbers are missing between the frames seen."""
        return sum(later - earlier - 1 for earlier, later in pairwise(self.numbers))

    def in_order(self) -> bool:
        return all(earlier < later for earlier, later in pairwise(self.numbers))

    def __enter__(self) -> MjpegViewer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(15)

    def _run(self) -> None:
        try:
            with httpx.stream("GET", self._address, timeout=10) as stream:
                buffer = b""
                for data in stream.iter_raw():
                    if self._stop.is_set():
                        return
                    buffer += data
                    while (end := buffer.find(_END)) >= 0:
                        self._note(buffer[buffer.find(_START) : end + 2])
                        buffer = buffer[end + 2 :]
            self.error = "EOF"
        except Exception as failure:  # noqa: BLE001 - thread boundary
            self.error = repr(failure)

    def _note(self, jpeg: bytes) -> None:
        grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        bar = None if grey is None else get_bar(np.asarray(grey, np.uint8))
        if bar is not None:
            self.at.append(time.monotonic())
            self.numbers.append(bar.number)
