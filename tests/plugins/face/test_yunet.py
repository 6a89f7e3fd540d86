"""Faces match OpenCV's own decoding of the model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.plugins.api import PluginError
from sightd.plugins.face.detector import HostFaceDetector, Plan, Search
from sightd.plugins.face.yunet import decode
from tests.support.faces import engine, frame
from tests.support.networks import stored

PHOTOS = {"multi_face.jpg": 5, "single_face.jpg": 1, "astronaut.png": 1}


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("longest", [640, 500, 333])
def test_boxes_points_and_scores_are_those_of_opencv(name: str, longest: int) -> None:
    """Also if the sides are not multiples of 32."""
    picture = frame(name, longest)
    found = HostFaceDetector(engine("yunet"), Search(min_size=0)).find([picture], [Plan.whole(picture)])[0]
    size = (picture.width, picture.height)
    expected = cv2.FaceDetectorYN.create(str(stored("yunet")), "", size, 0.6, 0.3, 5000).detect(picture.host())[1]
    assert len(found) == len(expected) == PHOTOS[name]
    for row in expected[np.argsort(-expected[:, 14])]:
        nearest = int(np.abs(found.landmarks[:, 0] - row[4:6]).sum(axis=1).argmin())
        np.testing.assert_allclose(found.boxes[nearest], np.concatenate((row[:2], row[:2] + row[2:4])), atol=0.01)
        np.testing.assert_allclose(found.landmarks[nearest].ravel(), row[4:14], atol=0.01)
        assert found.scores[nearest] == pytest.approx(row[14], abs=1e-4)


def test_outputs_of_another_network_are_refused() -> None:
    with pytest.raises(PluginError, match=r"expects cls_8 \[batch, 48, 1\] for a 64x48 input"):
        decode({"boxes": np.zeros((1, 3, 4), np.float32)}, 64, 48, 0.5)
