"""How many bytes went to the device and came back: read by the metrics."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transfers:
    """Bytes copied to the device and to the host, and the number of those copies."""

    bytes_to_device: int = 0
    bytes_to_host: int = 0
    copies: int = 0

    def __add__(self, other: Transfers) -> Transfers:
        return Transfers(
            self.bytes_to_device + other.bytes_to_device,
            self.bytes_to_host + other.bytes_to_host,
            self.copies + other.copies,
        )


class TransferCounter:
    """The sum of all transfers of a device since it was opened; from any thread. Copies within the device are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = Transfers()

    def add(self, transfers: Transfers) -> None:
        with self._lock:
            self._total += transfers

    @property
    def total(self) -> Transfers:
        """All three figures, of one moment."""
        return self._total

    @property
    def bytes_to_device(self) -> int:
        return self._total.bytes_to_device

    @property
    def bytes_to_host(self) -> int:
        return self._total.bytes_to_host

    @property
    def copies(self) -> int:
        return self._total.copies
