"""The catalogue's face models, and photographs, for tests."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Frame, Image
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.detector import Search
from tests.support import media
from tests.support.networks import stored


@cache
def engine(name: str) -> Engine:
    """Returns an engine for `yunet` or `sface` on the CPU. Skips the test if the model is not available."""
    return Engine(Catalog.load().get(name), OnnxRuntimeSession(stored(name), threads=2), "for the test")


@cache
def photo(name: str, longest: int | None = None) -> Image:
    """Returns a sample photograph, BGR, read-only; scaled down if its longer side has more than `longest` pixels."""
    image = cv2.imread(str(media.path(name)))
    assert image is not None
    largest = max(image.shape[:2])
    if longest is not None and largest > longest:
        size = round(image.shape[1] * longest / largest), round(image.shape[0] * longest / largest)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(image, np.uint8)
    picture.flags.writeable = False
    return picture


def frame(name: str, longest: int | None = None) -> Frame:
    return Frame.of(photo(name, longest).copy(), still=True)


@cache
def analyser() -> FaceAnalyser:
    return FaceAnalyser.of(engine("yunet"), engine("sface"), Search())
