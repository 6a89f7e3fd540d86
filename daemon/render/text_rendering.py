"""Text: how wide it is, and which pixels it covers.

OpenCV's built-in sans font has Latin, Greek, Cyrillic, Arabic, Hebrew, Chinese, Japanese and Korean letters, and digits
of equal width. A `cv2.FontFace` is bound to the thread that created it (two threads that share one get each other's
letters), so each thread has its own.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np

from sightd.daemon.render.sprite import Coverage

REGULAR = 450
BOLD = 600
_ORIGIN = (0, 0)
_faces = threading.local()


def width_of(text: str, size: int, weight: int = REGULAR) -> int:
    """Returns the width of a line of text in pixels."""
    left, _, width, _ = cv2.getTextSize(_ORIGIN, text, _ORIGIN, _face(), size, weight)
    return max(0, left + width)


def cap_height(size: int) -> int:
    """Returns the height in pixels of a capital letter above the baseline."""
    return round(0.70 * size)


def fitted(text: str, size: int, room: int, weight: int = REGULAR) -> str:
    """Returns the text on one line, shortened with "…" if it is wider than `room` pixels."""
    line = " ".join(text.split())
    if width_of(line, size, weight) <= room:
        return line
    fits, too_long = 0, len(line)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width_of(line[:middle].rstrip() + "…", size, weight) <= room:
            fits = middle
        else:
            too_long = middle
    return line[:fits].rstrip() + "…" if fits else ""


def write(onto: Coverage, text: str, x: int, baseline: int, size: int, weight: int = REGULAR) -> None:
    """Adds the text's alpha to `onto`, its first letter at x on the baseline; what does not fit is cut off."""
    mask = np.zeros(onto.shape, np.uint8)
    cv2.putText(mask, text, (x, baseline), (255,), _face(), size, weight)
    np.maximum(onto, mask.astype(np.float32) / 255, out=onto)


def _face() -> cv2.FontFace:
    face: cv2.FontFace | None = getattr(_faces, "face", None)
    if face is None:
        face = _faces.face = cv2.FontFace("sans")
    return face
