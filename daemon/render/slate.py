"""The slate that is shown while a camera is offline: its last image, dimmed, and since when it has been offline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from sightd.daemon.capture.reasons import Reason
from sightd.daemon.render.text import BOLD, Coverage, cap_height, fitted, layered, width_of, write_text
from sightd.daemon.render.theme import WHITE, Colour
from sightd.plugins.api import Image

_LIGHT = 0.6
"""Share of the last image's brightness that is kept; less if it would be brighter than `_BRIGHTEST`."""
_BRIGHTEST = 96
"""Brightest grey kept of the last image: text has a contrast of 4.5 on it."""
_COLOUR = 0.25
"""Share of the last image's colour that is kept."""
_NIGHT_TOP, _NIGHT_BOTTOM = (46, 36, 30), (20, 15, 12)
_OFFLINE: Colour = (84, 92, 255)
_CONNECTING: Colour = (70, 190, 255)
_QUIET: Colour = (226, 222, 218)


class SlateReason(Enum):
    """Why the slate is shown."""

    CONNECTING = "connecting"
    OFFLINE = "offline"
    UNREACHED = "unreached"
    """No frame was ever received."""
    ENDED = "ended"
    """A recording was played to its end, which is not a fault."""
    FAILING = "failing"
    """The camera sends, but its frames cannot be drawn or encoded."""


_COLOURS = {
    SlateReason.CONNECTING: _CONNECTING,
    SlateReason.OFFLINE: _OFFLINE,
    SlateReason.UNREACHED: _OFFLINE,
    SlateReason.ENDED: _QUIET,
    SlateReason.FAILING: _OFFLINE,
}
"""Of the dot before the text."""


@dataclass(frozen=True, slots=True)
class SlateWords:
    """The slate's text. `since` is the time of the last frame, or of the first failed attempt, in s since the epoch;
    `reason` is why a camera is offline or was never reached."""

    why: SlateReason
    since: float = 0.0
    reason: Reason | None = None

    def __str__(self) -> str:
        time_of_day = time.strftime("%H:%M:%S", time.localtime(self.since))
        reason = self.reason.words if self.reason else ""
        match self.why:
            case SlateReason.CONNECTING:
                return "connecting…"
            case SlateReason.OFFLINE:
                return f"offline since {time_of_day}" + (f": {reason}" if reason else "")
            case SlateReason.UNREACHED:
                return f"{reason or 'no picture'} since {time_of_day}"
            case SlateReason.ENDED:
                return f"ended at {time_of_day}"
            case SlateReason.FAILING:
                return f"cannot be shown since {time_of_day}"


def slate(last: Image | None, size: tuple[int, int], title: str, words: SlateWords) -> Image:
    """Returns a BGR image of `size` (width, height), a new array, that shows viewers why there is no video.

    `last` is the last image, of any size, or None if there never was one.
    """
    image = _night(size) if last is None else _faded(last, size)
    _letter(image, title, str(words), _COLOURS[words.why])
    return image


def _night(size: tuple[int, int]) -> Image:
    """Returns a dark background, slightly lighter at the top."""
    ends = np.array([[_NIGHT_TOP], [_NIGHT_BOTTOM]], np.float32)
    night: Image = cv2.resize(ends, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return night


def _faded(last: Image, size: tuple[int, int]) -> Image:
    """Returns the last image, blurred, nearly grey and darker towards its edges."""
    width, height = size
    small = cv2.resize(last, (max(2, width // 4), max(2, height // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigmaX=max(0.8, min(width, height) / 360))
    lightness = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    grey = cv2.cvtColor(lightness, cv2.COLOR_GRAY2BGR)
    mixed = cv2.addWeighted(small, _COLOUR, grey, 1 - _COLOUR, 0)
    x = np.linspace(-1, 1, small.shape[1], dtype=np.float32)
    y = np.linspace(-1, 1, small.shape[0], dtype=np.float32)
    light = min(_LIGHT, _BRIGHTEST / max(1.0, float(np.percentile(lightness, 99))))
    vignette = np.float32(light) * (1 - np.float32(0.25) * (x[None, :] ** 2 + y[:, None] ** 2))
    dimmed = np.minimum(mixed * vignette[:, :, None], _BRIGHTEST).astype(np.uint8)
    faded: Image = np.minimum(cv2.resize(dimmed, size, interpolation=cv2.INTER_CUBIC), np.uint8(_BRIGHTEST))
    return faded


def _letter(image: Image, title: str, state: str, colour: Colour) -> None:
    """Writes title and state in the middle of the image, one below the other; a dot of `colour` before the state."""
    height, width = image.shape[:2]
    short = min(width, height)
    large, small = max(12, round(short / 11)), max(11, round(short / 19))
    dot, gap, room = round(0.5 * small), round(0.45 * small), max(1, width - 2 * small)
    title = fitted(title, large, room, BOLD)
    state = fitted(state, small, room - dot - gap)
    band = 3 * large
    middle = band // 2
    name, words, mark = (np.zeros((band, width), np.float32) for _ in range(3))

    left = (width - width_of(title, large, BOLD)) // 2
    write_text(name, title, left, middle - round(0.25 * large), large, BOLD)
    left = (width - dot - gap - width_of(state, small)) // 2
    baseline = middle + round(0.25 * large) + small
    write_text(words, state, left + dot + gap, baseline, small)
    _dot(mark, left, baseline - cap_height(small) // 2, dot)
    layered((name, WHITE), (words, _QUIET), (mark, colour)).on(image, 0, height // 2 - middle)


def _dot(onto: Coverage, left: int, middle: int, diameter: int) -> None:
    centre = ((left << 4) + (diameter << 3), middle << 4)
    mask = np.zeros(onto.shape, np.uint8)
    cv2.circle(mask, centre, diameter << 3, (255,), cv2.FILLED, cv2.LINE_AA, 4)
    onto += mask.astype(np.float32) / 255
