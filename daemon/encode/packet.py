"""What an encoder gives: one picture's compressed bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """One access unit of H.264 in Annex B byte-stream form.

    A key frame carries SPS and PPS and can be decoded by whoever begins with it. `captured_at` is when its
    picture was captured, monotonic seconds.
    """

    data: bytes
    captured_at: float
    keyframe: bool
