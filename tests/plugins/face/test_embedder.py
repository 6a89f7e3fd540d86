"""Embeddings match OpenCV's own recogniser; each face gets its own, batched or not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.plugins.api import PluginError
from sightd.plugins.face.detector import HostFaceDetector, Plan, Search
from sightd.plugins.face.embedder import HostFaceEmbedder, face_embedder_for
from tests.support.faces import engine, frame
from tests.support.networks import stored


@pytest.mark.parametrize("name", ["multi_face.jpg", "single_face.jpg", "astronaut.png"])
def test_embeddings_are_those_of_opencv(name: str) -> None:
    picture = frame(name, 640)
    size = (picture.width, picture.height)
    rows = cv2.FaceDetectorYN.create(str(stored("yunet")), "", size, 0.6, 0.3, 5000).detect(picture.host())[1]
    opencv = cv2.FaceRecognizerSF.create(str(stored("sface")), "")
    landmarks = [row[4:14].reshape(5, 2).astype(np.float32) for row in rows]
    read = HostFaceEmbedder(engine("sface"), 2).read([(picture, points) for points in landmarks], [True] * len(rows))
    for row, ours in zip(rows, read.embeddings, strict=True):
        theirs = opencv.feature(opencv.alignCrop(picture.host(), row))[0]
        assert ours @ theirs / np.linalg.norm(theirs) >= 0.9999
        assert np.linalg.norm(ours) == pytest.approx(1, abs=1e-5)


def test_only_those_that_are_asked_for_are_embedded_and_all_are_cropped() -> None:
    group, portrait = frame("multi_face.jpg"), frame("astronaut.png")
    face_detector = HostFaceDetector(engine("yunet"), Search())
    found = face_detector.find([group, portrait], [Plan.whole(group), Plan.whole(portrait)])
    faces = [(of, points) for of, at in zip((group, portrait), found, strict=True) for points in at.landmarks]
    every = HostFaceEmbedder(engine("sface"), 16).read(faces, [True] * 6)
    some = HostFaceEmbedder(engine("sface"), 1).read(faces, [False, True, False, False, False, True])
    np.testing.assert_array_equal(some.crops, every.crops)
    assert np.isnan(some.embeddings[[0, 2, 3, 4]]).all()
    np.testing.assert_allclose(some.embeddings[[1, 5]], every.embeddings[[1, 5]], atol=1e-5)


def test_no_face_costs_nothing() -> None:
    read = HostFaceEmbedder(engine("sface"), 1).read([], [])
    assert read.embeddings.shape == (0, 128)
    assert read.crops.shape == (0, 112, 112, 3)


def test_another_network_is_refused() -> None:
    with pytest.raises(PluginError, match="'yunet' does not embed faces of 112x112 pixels: use sface"):
        face_embedder_for(engine("yunet"))
    assert isinstance(face_embedder_for(engine("sface")), HostFaceEmbedder)
