"""Training images: squares cut at random from a user's images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.analyze.media import MediaError, contents, frames, length
from sightd.daemon.training.errors import TrainingError
from sightd.plugins.types import Image

MOST = 300
"""Maximum number of images held in memory."""
_LEAST_SIDE = 64
_CLOSEST = 0.5
"""Smallest side of a square, as a share of the image's shorter side."""


def squares(pictures: Sequence[Image], side: int, count: int, seed: tuple[int, ...]) -> list[Image]:
    """Returns `count` squares of `side` pixels, BGR. `seed` decides from which images, where and how large; some are
    mirrored."""
    random, cut_out = np.random.default_rng(seed), []
    for _ in range(count):
        picture = pictures[int(random.integers(len(pictures)))]
        height, width = picture.shape[:2]
        cut = max(1, round(min(height, width) * random.uniform(_CLOSEST, 1)))
        top, left = (int(random.integers(whole - cut + 1)) for whole in (height, width))
        square = picture[top : top + cut, left : left + cut]
        if random.random() < 0.5:
            square = square[:, ::-1]
        how = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
        cut_out.append(np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8))
    return cut_out


def pictures_of(sources: Sequence[Path], side: int) -> tuple[list[Image], list[str]]:
    """Returns up to 300 images, evenly spread over the sources and scaled down to what squares of `side` pixels need;
    and lines that say what could not be read. Raises MediaError if a source is missing, TrainingError if they contain
    no image that is large enough."""
    holdings = [contents(source) for source in sources]
    found = [sequence for held in holdings for sequence in held.sequences]
    total = sum(length(one) or sum(not isinstance(item, MediaError) for item in frames(one)) for one in found)
    wanted = {n * total // MOST for n in range(MOST)} if total > MOST else range(total)
    pictures, seen = list[Image](), 0
    left_out = [line for held in holdings for line in held.left_out]
    for sequence in found:
        for item in frames(sequence):
            if isinstance(item, MediaError):
                left_out.append(str(item))
                continue
            if seen in wanted and min(item.frame.width, item.frame.height) >= _LEAST_SIDE:
                pictures.append(_smaller(item.frame.host(), round(side / _CLOSEST)))
            seen += 1
    if not pictures:
        raise TrainingError(
            f"no image with at least {_LEAST_SIDE} pixels on its shorter side in "
            f"{', '.join(map(str, sources))}: specify images or videos similar to those to be painted"
            + "".join(f"\n  {one}" for one in left_out)
        )
    return pictures, left_out


def _smaller(picture: Image, side: int) -> Image:
    """Scales it down if its shorter side exceeds `side`; contiguous, in memory of its own."""
    height, width = picture.shape[:2]
    ratio = side / min(height, width)
    if ratio >= 1:
        return picture.copy()
    size = round(width * ratio), round(height * ratio)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
