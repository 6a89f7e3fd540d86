"""fp16 models: half the bytes, the same inputs and outputs, nearly the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from sightd.engines.errors import ConversionError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.onnx_edit import to_fp16
from sightd.engines.models.onnx_file import precision_of
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored
from tests.support.pictures import photograph, street


@pytest.mark.parametrize("name", ["ssd-mobilenet-v2", "yolox-nano"])
def test_a_network_computes_nearly_the_same_in_fp16(name: str, tmp_path: Path) -> None:
    model, path = Catalog.load().get(name), stored(name)
    half = to_fp16(onnx.load(path))
    assert precision_of(half.graph) == "fp16"
    assert {one.type.tensor_type.elem_type for one in [*half.graph.input, *half.graph.output]} == {TensorProto.FLOAT}
    onnx.save(half, str(tmp_path / "half.onnx"))
    assert (tmp_path / "half.onnx").stat().st_size < 0.55 * path.stat().st_size
    exact = Engine(model, OnnxRuntimeSession(path, threads=2), "")
    rounded = Engine(model, OnnxRuntimeSession(tmp_path / "half.onnx", threads=2), "")
    assert rounded.session.backend.precision == "fp16"
    pictures = [photograph("astronaut.png"), *street(2)]
    expected, got = exact.run(pictures)[0], rounded.run(pictures)[0]
    for output in expected:
        assert np.abs(got[output] - expected[output]).mean() < 2e-3, output


def test_the_network_given_stays_as_it_is() -> None:
    network = onnx.load(stored("yolox-nano"))
    before = network.SerializeToString()
    to_fp16(network)
    assert network.SerializeToString() == before


def test_what_is_not_fp32_is_refused() -> None:
    half = to_fp16(onnx.load(stored("yolox-nano")))
    with pytest.raises(ConversionError, match="is fp16; only an fp32 model"):
        to_fp16(half)
