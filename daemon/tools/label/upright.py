"""Photographs whose EXIF data turn them: images are stored upright and without metadata, boxes turn with them.

EXIF data also hold private facts, such as where a photograph was taken.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sightd.daemon.tools.label.labelled import Box, LabelError, LabelledFrame
from sightd.engines.files import read_regular
from sightd.plugins.images.formats import is_jpeg, orientation_of, without_metadata
from sightd.plugins.images.still import LOCAL, StillError, still_of

_QUALITY = 95
_FLIPS = {5: (False, False), 6: (True, False), 7: (True, True), 8: (False, True)}
"""EXIF orientations that swap the sides, mapped to what follows: whether left and right, top and bottom are swapped
(Exif 2.32, section 4.6.4)."""


def upright_image(content: bytes, path: Path) -> tuple[bytes, Path]:
    """Returns an image file's content as it is shown, without metadata, and its name, whose suffix changes with the
    format. JPEG and PNG keep their pixels unless they are turned. Raises LabelError if it is unreadable."""
    bare = without_metadata(content)
    if bare == content:
        return content, path
    try:
        image = still_of(content, str(path), LOCAL)
        if bare is not None and np.array_equal(still_of(bare, str(path), LOCAL), image):
            return bare, path
    except StillError as error:
        raise LabelError(str(error)) from error
    suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]) if is_jpeg(content) else (".png", [])
    return cv2.imencode(suffix, image, options)[1].tobytes(), path.with_suffix(suffix)


def upright_frame(frame: LabelledFrame) -> LabelledFrame:
    """Returns the frame with size and boxes of its image as it is shown. Tools that ignore EXIF data state those of the
    stored pixels, which the size shows if the image is turned by a quarter; otherwise the boxes count as drawn on
    the image as it is shown. Raises LabelError if the image is unreadable, or of another size in any case."""
    try:
        content = read_regular(frame.path, LOCAL.bytes)
        image = still_of(content, str(frame.path), LOCAL)
    except OSError as error:
        raise LabelError(f"{frame.path}: {error.strerror}") from error
    except StillError as error:
        raise LabelError(str(error)) from error
    height, width = image.shape[:2]
    flips = _FLIPS.get(orientation_of(content))
    if flips is None or (frame.height, frame.width) != (width, height) or width == height:
        frame.require_size(image)
        return frame
    boxes = tuple(replace(box, xyxy=_turned(box, width, height, *flips)) for box in frame.boxes)
    return replace(frame, width=width, height=height, boxes=boxes)


def _turned(box: Box, width: int, height: int, flip_x: bool, flip_y: bool) -> tuple[float, float, float, float]:
    y1, x1, y2, x2 = box.xyxy
    if flip_x:
        x1, x2 = width - x2, width - x1
    if flip_y:
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2
