"""Uploads descriptors: writes them to page-locked memory and copies them in one transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.interfaces import Buffer, Device


class Staging:
    """Host and device memory for up to `most` structs of one dtype.

    The next `send` overwrites the host side, so the stream of the previous one must have been synchronised, or at least
    have passed the copy. Use from one thread. `close` is idempotent.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any], most: int) -> None:
        self._pinned = device.pinned((most,), dtype)
        self.buffer: Buffer = device.allocate(most * dtype.itemsize)
        self.most = most

    def send(self, structs: Sequence[Any] | NDArray[Any], stream: Any) -> Buffer:
        """Uploads the structs in order. The returned buffer remains owned by this object."""
        if len(structs) > self.most:
            raise ValueError(f"a batch of {len(structs)} exceeds the buffer size of {self.most}")
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
    """Host and device memory for rows of one dtype; grows to the largest number ever sent at once.

    The stream must be synchronised between two calls of `send`. Use from one thread. `close` is idempotent.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any]) -> None:
        self._device, self._dtype = device, dtype
        self._staging = Staging(device, dtype, 1)

    def send(self, parts: Sequence[NDArray[Any]], stream: Any) -> Buffer:
        """Uploads the rows of all parts, one after the other. The returned buffer remains owned by this object and is
        valid until the next call."""
        rows = sum(len(part) for part in parts)
        if rows > self._staging.most:
            larger = Staging(self._device, self._dtype, max(rows, 2 * self._staging.most))
            self._staging.close()
            self._staging = larger
        return self._staging.send(np.concatenate(parts), stream) if rows else self._staging.buffer

    def close(self) -> None:
        self._staging.close()
