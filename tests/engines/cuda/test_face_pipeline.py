"""Faces are cropped into inputs of any layout and element type: real PyCUDA on the stand-in driver."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from sightd.engines.cuda.pipelines.faces import Embedded
from sightd.engines.geometry import ARCFACE
from tests.engines.cuda.pictures import smooth
from tests.support.device_engine import engines, open_stand_in_gpu
from tests.support.fake_cuda import on_stand_in
from tests.support.head_networks import embedder

pytestmark = pytest.mark.timeout(600)


@on_stand_in()
def test_an_embedder_of_bytes_with_colours_last_gets_the_same_faces(kernels: bytes) -> None:
    image = smooth(300, 200)
    faces = [(0, (ARCFACE * 1.2 + [30, 20]).astype(np.float32)), (0, (ARCFACE * 0.5).astype(np.float32))]
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        found: list[Embedded] = []
        for of_bytes in (False, True):
            engine, _ = engines(gpu, embedder(Path(folder) / f"{of_bytes}.onnx", of_bytes=of_bytes))
            pipelines = engine.face_pipelines()
            assert pipelines is not None
            found.append(pipelines.embed([image], faces))
            pipelines.close()
        gpu.device.close()
    floats, raw = found
    assert floats.crops.std() > 20
    np.testing.assert_array_equal(raw.crops, floats.crops)
    np.testing.assert_allclose(raw.embeddings, floats.embeddings, atol=1e-5)
