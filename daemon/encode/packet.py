"""One encoded picture on its way to the viewers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """An H.264 access unit, Annex B, with its parameter sets before every key frame.

    `captured_at` is the monotonic clock, in seconds, when its frame was captured. Immutable: any thread may hold it.
    """

    data: bytes
    captured_at: float
    keyframe: bool
