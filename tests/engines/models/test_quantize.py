"""int8 models produced by ONNX Runtime's tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightd.engines.errors import QuantizationError
from sightd.engines.model import Model
from sightd.engines.models.onnx_file import read_io_spec
from sightd.engines.models.quantize import quantize
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.openvino import OpenVinoSession, sums_int8_exactly
from tests.support.openvino import openvino_importable
from tests.support.small_networks import convolutional, pictures


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return convolutional(tmp_path / "small.onnx", head="ssd")


def made(model: Model, using: int = 8) -> Path:
    assert model.path is not None
    target = model.path.with_name("int8.onnx")
    quantize(model, model.path, target, pictures(using), total=using)
    return target


def test_the_twin_has_the_same_ends_and_nearly_the_same_results(model: Model) -> None:
    target = made(model)
    assert model.path is not None
    assert read_io_spec(target) == read_io_spec(model.path)
    exact, rounded = (Engine(model, OnnxRuntimeSession(path, 1), "") for path in (model.path, target))
    assert rounded.session.backend.precision == "int8"
    expected, got = (engine.run(pictures(9)[8:])[0]["output"] for engine in (exact, rounded))
    assert 0 < np.abs(got - expected).max() < 0.02


def test_openvino_runs_it_too(model: Model) -> None:
    openvino_importable()
    if not sums_int8_exactly():
        pytest.skip("this processor has no VNNI: OpenVINO cannot run int8 here")
    target = made(model)
    on_onnx, on_openvino = OnnxRuntimeSession(target, 1), OpenVinoSession(target, 1, precision="int8")
    assert on_openvino.backend.precision == "int8"
    results = [Engine(model, session, "").run(pictures(2))[0]["output"] for session in (on_onnx, on_openvino)]
    np.testing.assert_allclose(results[0], results[1], atol=0.02)


def test_every_channel_of_a_weight_has_a_range_of_its_own(model: Model) -> None:
    graph = onnx.load(made(model)).graph
    scales = {constant.name: list(constant.dims) for constant in graph.initializer if "scale" in constant.name}
    assert scales["w.trunk_scale"] == [16]
    kinds = {constant.name: constant.data_type for constant in graph.initializer}
    assert kinds["w.trunk_quantized"] == onnx.TensorProto.INT8
    assert kinds["images_zero_point"] == onnx.TensorProto.UINT8


def test_progress_counts_pictures(model: Model, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    quantize(
        model, tmp_path / "small.onnx", tmp_path / "x.onnx", pictures(3), total=3, progress=lambda *a: told.append(a)
    )
    assert [(done, total) for task, done, total in told if "ranges" in task] == [(0, 3), (1, 3), (2, 3)]


def test_a_fault_of_the_pictures_source_comes_through_as_it_is(model: Model, tmp_path: Path) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(2)
        raise LookupError("the video ends here")

    with pytest.raises(LookupError, match="the video ends here"):
        quantize(model, tmp_path / "small.onnx", tmp_path / "x.onnx", broken())


def test_without_pictures_nothing_is_made(model: Model, tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="there are no images"):
        quantize(model, tmp_path / "small.onnx", tmp_path / "x.onnx", [])
    assert not (tmp_path / "x.onnx").exists()


def test_what_is_int8_already_is_not_done_again(model: Model, tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="is already int8"):
        quantize(model, made(model), tmp_path / "x.onnx", pictures(2))
