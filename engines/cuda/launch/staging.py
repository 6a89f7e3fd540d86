"""Descriptors on their way to the device: written into page-locked memory, copied in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.seam import Buffer, Device


class Staging:
    """Room for `most` structs of one dtype on both sides.

    The host's side is written again by the next `send`: the stream of the last one must have been synchronised, or at
    least have passed the copy. Used by one thread. `close` twice is safe.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any], most: int) -> None:
        self._pinned = device.pinned((most,), dtype)
        self.buffer: Buffer = device.allocate(most * dtype.itemsize)
        self.most = most

    def send(self, structs: Sequence[Any] | NDArray[Any], stream: Any) -> Buffer:
        """The structs on the device, in that order; the buffer stays this object's."""
        if len(structs) > self.most:
            raise ValueError(f"a batch of {len(structs)} is more than the {self.most} that there is room for")
        host = self._pinned.array
        if isinstance(structs, np.ndarray):
            host[: len(structs)] = structs
        else:
            for i, struct in enumerate(structs):
                host[i] = struct
        self.buffer.upload(host[: len(structs)], stream)
        return self.buffer

    def close(self) -> None:
        self.buffer.free()
        self._pinned.free()


class GrowingStaging:
    """Room for rows of one dtype on both sides, as many as were ever sent at once.

    The stream must have been synchronised between two calls of `send`. Used by one thread. `close` twice is safe.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any]) -> None:
        self._device, self._dtype = device, dtype
        self._staging = Staging(device, dtype, 1)

    def send(self, parts: Sequence[NDArray[Any]], stream: Any) -> Buffer:
        """The parts' rows on the device, one after the other; the buffer stays this object's, until the next call."""
        rows = sum(len(part) for part in parts)
        if rows > self._staging.most:
            larger = Staging(self._device, self._dtype, max(rows, 2 * self._staging.most))
            self._staging.close()
            self._staging = larger
        return self._staging.send(np.concatenate(parts), stream) if rows else self._staging.buffer

    def close(self) -> None:
        self._staging.close()
