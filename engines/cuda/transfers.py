"""Counts bytes copied to and from the device, for the metrics."""

from __future__ import annotations

import threading


class TransferCounter:
    """The sum of all transfers of a device since it was opened. Thread-safe. Copies within the device are not
    counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes_to_device = 0
        self.bytes_to_host = 0
        self.copies = 0

    def add(self, *, to_device: int = 0, to_host: int = 0, copies: int = 1) -> None:
        with self._lock:
            self.bytes_to_device += to_device
            self.bytes_to_host += to_host
            self.copies += copies

    def add_all(self, other: TransferCounter) -> None:
        self.add(to_device=other.bytes_to_device, to_host=other.bytes_to_host, copies=other.copies)
