"""Models on the real OpenVINO, compared with ONNX Runtime on real images."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from sightd.engines.errors import BackendUnavailableError, EngineError, ModelFileError
from sightd.engines.models.catalog import Catalog
from sightd.engines.preprocess import feed, prepare
from sightd.engines.session import Backend
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.openvino import OpenVinoSession
from sightd.engines.sessions.tensorrt.verify import boxes_verifier, compare
from sightd.plugins.detector.heads.registry import box_reader
from tests.support.networks import stored, write_double
from tests.support.openvino import openvino_importable
from tests.support.pictures import photograph, street


@pytest.fixture(autouse=True)
def _openvino() -> None:
    openvino_importable()


@pytest.fixture
def session(tmp_path: Path) -> OpenVinoSession:
    return OpenVinoSession(write_double(tmp_path / "double.onnx"), threads=1, parallel=2)


@pytest.mark.parametrize("name", ["ssd-mobilenet-v2", "yolox-nano"])
def test_it_gives_what_onnx_runtime_gives_on_real_pictures(name: str) -> None:
    model, path = Catalog.load().get(name), stored(name)
    tensor, _ = prepare([photograph("astronaut.png"), *street(2)], model.input)
    reference = OnnxRuntimeSession(path, threads=2).run({model.input.tensor: tensor})
    outputs = OpenVinoSession(path, threads=2).run({model.input.tensor: tensor})
    assert outputs.keys() == reference.keys()
    for output, expected in reference.items():
        np.testing.assert_allclose(outputs[output], expected, rtol=1e-3, atol=1e-3, err_msg=output)


@pytest.mark.parametrize("name", ["deimv2-femto", "deimv2-atto"])
def test_models_with_a_second_input_and_whole_numbers_as_output_give_the_same_boxes(name: str) -> None:
    model, path = Catalog.load().get(name), stored(name)
    full, other = OnnxRuntimeSession(path, threads=2), OpenVinoSession(path, threads=2)
    images = [photograph("astronaut.png"), *street(2)]
    inputs, _ = feed(images, model.input, full.inputs)
    assert {spec.dtype for spec in other.inputs.values()} == {np.dtype("f4"), np.dtype("i8")}
    measures = compare(full, other, inputs, boxes_verifier(box_reader(model)))
    assert measures["least IoU of matched boxes"] > 0.99


def test_bf16_is_told_and_near_where_the_processor_has_it() -> None:
    model, path = Catalog.load().get("ssd-mobilenet-v2"), stored("ssd-mobilenet-v2")
    inputs = {model.input.tensor: prepare([photograph("astronaut.png")], model.input)[0]}
    try:
        session = OpenVinoSession(path, threads=2, precision="bf16")
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    assert session.backend == Backend("openvino", "cpu", "bf16")
    exact = OnnxRuntimeSession(path, threads=2).run(inputs)["scores"]
    difference = np.abs(session.run(inputs)["scores"] - exact).max()
    assert 1e-6 < difference < 0.1


def test_int8_is_refused_where_its_sums_would_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.engines.sessions.openvino.sums_int8_exactly", lambda: False)
    with pytest.raises(BackendUnavailableError, match="no VNNI"):
        OpenVinoSession(write_double(tmp_path / "double.onnx"), threads=1, precision="int8")


def test_it_says_what_it_is_and_takes(session: OpenVinoSession) -> None:
    assert session.backend == Backend("openvino", "cpu", "fp32")
    assert session.inputs["images"].shape == (None, 3, 8, 8)
    assert session.outputs["output"].dtype == np.float32


@pytest.mark.parametrize("batch", ["batch", 1])
def test_it_takes_any_batch(tmp_path: Path, batch: str | int) -> None:
    session = OpenVinoSession(write_double(tmp_path / "double.onnx", (batch, 3, 8, 8)), threads=1)
    images = np.random.default_rng(1).random((3, 3, 8, 8), np.float32)
    np.testing.assert_array_equal(session.run({"images": images})["output"], 2 * images)


def test_outputs_are_the_callers_own(session: OpenVinoSession) -> None:
    ones = np.ones((1, 3, 8, 8), np.float32)
    first = session.run({"images": ones})["output"]
    session.run({"images": 5 * ones})
    session.run({"images": 5 * ones})
    assert (first == 2).all()
    first[:] = 0  # the result is writable, too


def test_more_threads_than_lanes_may_run_at_once(session: OpenVinoSession) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        images = np.full((1, 3, 8, 8), seed, np.float32)
        if any((session.run({"images": images})["output"] != 2 * seed).any() for _ in range(200)):
            wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_closing_twice_is_fine_and_running_afterwards_is_not(session: OpenVinoSession) -> None:
    session.close()
    session.close()
    with pytest.raises(EngineError, match="called after close"):
        session.run({"images": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pictures": np.zeros((1, 3, 8, 8), np.float32)},
        {"images": np.zeros((1, 3, 9, 8), np.float32)},
        {"images": np.zeros((1, 3, 8, 8), np.float64)},
    ],
)
def test_a_wrong_input_is_told_with_the_right_one(session: OpenVinoSession, inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(EngineError, match=r"It expects images float32 \[None, 3, 8, 8\]"):
        session.run(inputs)


def test_a_broken_file_is_told_by_its_path(tmp_path: Path) -> None:
    path = write_double(tmp_path / "double.onnx")
    path.write_bytes(path.read_bytes()[:40])
    for broken in (path, tmp_path / "absent.onnx"):
        with pytest.raises(ModelFileError, match=broken.name):
            OpenVinoSession(broken, threads=1)


def test_the_library_cannot_tell_its_makers_that_it_is_used(session: OpenVinoSession) -> None:
    assert sys.modules.get("openvino_telemetry") is None
