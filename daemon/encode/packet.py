"""One encoded frame on its way to the viewers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """An H.264 access unit in Annex B, with its parameter sets before every key frame.

    `captured_at` is when its frame was captured, in seconds of the monotonic clock. Immutable: any thread may hold it.
    """

    data: bytes
    captured_at: float
    keyframe: bool
