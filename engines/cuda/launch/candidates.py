"""Device memory for the candidates that decoders find; grows as needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.interfaces import Buffer, Device
from sightd.engines.cuda.launch.layout import CANDIDATE, CANDIDATES, record


class CandidateBuffers:
    """Memory for `room` candidates for each of `pictures` images, optionally with five landmarks each (`points`)."""

    def __init__(self, device: Device, pictures: int, room: int, points: bool) -> None:
        self._device = device
        self._pictures = pictures
        self._with_points = points
        self._found = device.pinned((pictures,), np.int32)
        self.found_on_device = device.allocate(4 * pictures)
        self._allocate(room)

    def _allocate(self, room: int) -> None:
        self.room = room
        each = self._pictures * room
        self._keys = self._device.allocate(8 * each)
        self._boxes = self._device.allocate(CANDIDATE.itemsize * each)
        self._points: Buffer | None = self._device.allocate(40 * each) if self._with_points else None
        self._order = self._device.allocate(4 * each)
        self.kept = self._device.allocate(4 * each)

    def make_room(self, candidates: int) -> None:
        """Grows the memory to at least `candidates` per image, rounded up to a power of two. The content of the old
        buffers is lost. The stream must be idle."""
        self._free()
        self._allocate(1 << (candidates - 1).bit_length())

    def record(self) -> NDArray[Any]:
        """Returns the struct `Candidates`."""
        return record(
            CANDIDATES,
            found=self.found_on_device.address,
            keys=self._keys.address,
            boxes=self._boxes.address,
            points=self._points.address if self._points is not None else 0,
            order=self._order.address,
            capacity=self.room,
        )

    def fetch(self, stream: Any) -> NDArray[np.int32]:
        """Enqueues the download of the number of candidates per image [pictures]. The array is valid once the stream is
        synchronised and is overwritten by the next call."""
        found: NDArray[np.int32] = self._found.array
        self.found_on_device.download(found, stream)
        return found

    def _free(self) -> None:
        for buffer in (self._keys, self._boxes, self._points, self._order, self.kept):
            if buffer is not None:
                buffer.free()

    def close(self) -> None:
        self._free()
        self.found_on_device.free()
        self._found.free()
