"""Pictures to learn with: squares cut at random out of a user's pictures and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.analyze.media import MediaError, contents, frames, length
from sightd.daemon.training.errors import TrainingError
from sightd.plugins.types import Image

MOST = 300
"""Pictures that are held in memory."""
_LEAST_SIDE = 64
_CLOSEST = 0.5
"""Least side of a square, as a share of the picture's shorter side."""


def squares(pictures: Sequence[Image], side: int, count: int, seed: tuple[int, ...]) -> list[Image]:
    """`count` squares of `side` pixels, BGR, of pictures, places and sizes that `seed` decides; some are mirrored."""
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
    """Up to 300 pictures, evenly spread over the sources, none larger than it needs be for squares of `side` pixels;
    and what could not be read, in words. MediaError where a source is missing, TrainingError where nothing large enough
    is in them."""
    holdings = [contents(source) for source in sources]
    found = [sequence for held in holdings for sequence in held.sequences]
    total = sum(length(one) or sum(1 for _ in frames(one)) for one in found)
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
            f"no picture of {_LEAST_SIDE} pixels or more on its shorter side is in {', '.join(map(str, sources))}: "
            "name pictures or videos like those that are to be painted" + "".join(f"\n  {one}" for one in left_out)
        )
    return pictures, left_out


def _smaller(picture: Image, side: int) -> Image:
    """Its shorter side `side` at most; contiguous and its own memory."""
    height, width = picture.shape[:2]
    ratio = side / min(height, width)
    if ratio >= 1:
        return picture.copy()
    size = round(width * ratio), round(height * ratio)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
