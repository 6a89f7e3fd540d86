"""Packets as cameras send them: made up, or encoded."""

from __future__ import annotations

from functools import cache

from sightd.daemon.capture.packets import ReceivedPacket
from tests.support.clips import LiveEncoder, Scene

FPS, GOP = 25, 50


def packet(at: float, *, key: bool = False, size: int = 100, pts: float | None = None) -> ReceivedPacket:
    """Returns a packet that arrived `at`, without a picture."""
    return ReceivedPacket(bytes(size), at if pts is None else pts, None, key, at)


@cache
def encoded(codec: str = "h264", frames: int = 100, size: tuple[int, int] = (320, 240)) -> tuple[ReceivedPacket, ...]:
    """Returns packets of bar-coded frames that arrived at 0, 1 / FPS ... s, with a key frame every GOP packets."""
    scene = Scene(*size)
    encoder = LiveEncoder(*size, FPS, {"h264": "libx264", "hevc": "libx265"}[codec])
    found: list[ReceivedPacket] = []
    for number in range(frames):
        sent = encoder.encode(scene.frame(number), number)
        found += [ReceivedPacket(bytes(one), number / FPS, None, one.is_keyframe, number / FPS) for one in sent]
    return tuple(found)
