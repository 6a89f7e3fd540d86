"""The source testpattern://, a moving image, so that everything behind a camera can be tried without one."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np

from sightd.daemon.capture.decoding import DecodedFrame
from sightd.daemon.capture.stream import Gap, Playback
from sightd.daemon.config.source import Source
from sightd.plugins.api import Image

_BARS = ((192, 192, 192), (0, 192, 192), (192, 192, 0), (0, 192, 0), (192, 0, 192), (0, 0, 192), (192, 0, 0))
"""75 % colour bars, BGR, in the order of SMPTE EG 1."""


class TestPattern:
    """Colour bars, ramps, a clock and a frame counter, with a box that moves to and fro and a rotating pointer.

    `draw` depends only on number and time; any thread may call it.
    """

    __test__ = False  # not a test class, despite its name

    def __init__(self, width: int, height: int, fps: float) -> None:
        self.width, self.height, self.fps = width, height, fps
        self._background = _background(width, height)

    def draw(self, number: int, wall_time: float) -> Image:
        """Returns frame `number` as BGR uint8 [height, width, 3]; its clock shows `wall_time` (s since the epoch) as
        local time."""
        picture = self._background.copy()
        seconds = number / self.fps
        self._box(picture, seconds)
        self._pointer(picture, seconds)
        clock = time.strftime("%H:%M:%S", time.localtime(wall_time)) + f".{int(wall_time % 1 * 10)}"
        self._text(picture, clock, 0.80)
        self._text(picture, f"frame {number}", 0.93)
        return picture

    def _box(self, picture: Image, seconds: float) -> None:
        side = max(4, self.height // 8)
        left = round((self.width - side) * (0.5 - 0.5 * math.cos(seconds * math.tau / 8)))
        top = round((self.height * 0.6 - side) * (0.5 - 0.5 * math.cos(seconds * math.tau / 5)))
        cv2.rectangle(picture, (left, top), (left + side, top + side), (40, 160, 250), -1)
        cv2.rectangle(picture, (left, top), (left + side, top + side), (255, 255, 255), max(1, side // 24))

    def _pointer(self, picture: Image, seconds: float) -> None:
        centre, radius = _dial(self.width, self.height)
        angle = seconds % 60 * math.tau / 2  # one turn in two seconds
        tip = (round(centre[0] + 0.85 * radius * math.sin(angle)), round(centre[1] - 0.85 * radius * math.cos(angle)))
        cv2.line(picture, centre, tip, (255, 255, 255), max(1, radius // 12), cv2.LINE_AA)

    def _text(self, picture: Image, text: str, at: float) -> None:
        scale = self.height / 720 * 1.6
        thickness = max(1, round(scale * 2))
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)
        place = (int(self.width * 0.6 - width / 2), round(self.height * at))
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, (235, 235, 235), thickness, cv2.LINE_AA)


def _dial(width: int, height: int) -> tuple[tuple[int, int], int]:
    """Returns centre and radius of the dial at the bottom left."""
    radius = max(2, int(min(width * 0.12, height * 0.13)))
    return (int(width * 0.16), int(height * 0.83)), radius


def _background(width: int, height: int) -> Image:
    picture = np.empty((height, width, 3), np.uint8)
    columns = np.arange(width) * len(_BARS) // width
    bars_end, ramp_end = round(height * 0.6), round(height * 0.66)
    picture[:bars_end] = np.array(_BARS, np.uint8)[columns]
    picture[bars_end:ramp_end] = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
    picture[ramp_end:] = (36, 30, 26)
    centre, radius = _dial(width, height)
    cv2.circle(picture, centre, radius, (120, 110, 100), max(1, radius // 14), cv2.LINE_AA)
    return cast(Image, picture)


class PatternStream:
    """The test pattern, generated endlessly in real time."""

    recorded = False
    interval = 0.0

    def __init__(self, source: Source, playback: Playback) -> None:
        self._pattern = TestPattern(source.width, source.height, source.fps)
        self._playback = playback

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        clock, pacer = self._playback.clock, self._playback.pacer
        size = (self._pattern.width, self._pattern.height)
        for number in itertools.count():
            position = number / self._pattern.fps
            self._playback.wait(pacer.wait(position, clock.monotonic()))
            wall_time = clock.wall()
            draw = functools.partial(self._pattern.draw, number, wall_time)
            now = clock.monotonic()
            yield DecodedFrame(size, draw, position, key=True, corrupt=False, captured_at=now, wall_time=wall_time)

    def close(self) -> None:
        """Does nothing: there is nothing to close."""
