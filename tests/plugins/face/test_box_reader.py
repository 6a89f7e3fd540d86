"""Engines of the face models can be compared with ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.pipeline.model_loading import verifier_of
from sightd.engines.errors import EngineVerificationError
from sightd.engines.models.catalog import Catalog
from sightd.engines.preprocess import prepare
from sightd.engines.sessions.tensorrt.verify import reference_pictures
from tests.support.faces import engine, photo


def test_the_drawn_pictures_show_a_face_detector_enough_to_be_judged_by() -> None:
    outputs, _ = engine("yunet").run(reference_pictures())
    judged = verifier_of(Catalog.load().get("yunet"))(outputs, outputs)
    assert judged["mean IoU of matched boxes"] == pytest.approx(1)


def test_boxes_that_moved_are_reported() -> None:
    outputs, _ = engine("yunet").run([photo("multi_face.jpg")])
    moved = {name: tensor + 0.3 if name.startswith("bbox") else tensor for name, tensor in outputs.items()}
    with pytest.raises(EngineVerificationError, match="mean IoU"):
        verifier_of(Catalog.load().get("yunet"))(outputs, moved)


def test_embeddings_that_point_elsewhere_are_reported() -> None:
    sface = Catalog.load().get("sface")
    tensor, _ = prepare(reference_pictures(2), sface.input)
    outputs = engine("sface").session.run({sface.input.tensor: tensor})
    verifier = verifier_of(sface)
    assert verifier(outputs, outputs)["least cosine"] == pytest.approx(1)
    noise = np.random.default_rng(0).normal(0, 0.2, (2, 128)).astype(np.float32)
    with pytest.raises(EngineVerificationError, match="least cosine"):
        verifier(outputs, {name: value + noise * np.linalg.norm(value) / 10 for name, value in outputs.items()})
