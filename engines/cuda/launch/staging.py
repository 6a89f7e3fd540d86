"""Descriptors on their way to the device: written into page-locked memory, copied in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.cuda.launch.seam import Buffer, Device


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
