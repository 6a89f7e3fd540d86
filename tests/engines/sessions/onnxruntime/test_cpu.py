"""ONNX models on the CPU."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sightd.engines.errors import EngineError, ModelFileError
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import write_double


@pytest.fixture
def session(tmp_path: Path) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(write_double(tmp_path / "double.onnx"), threads=1)


def test_it_describes_inputs_outputs_and_device(session: OnnxRuntimeSession) -> None:
    assert session.inputs["images"].shape == (None, 3, 8, 8)
    assert session.inputs["images"].dtype == np.float32
    assert list(session.outputs) == ["output"]
    assert (session.backend.name, session.backend.device, session.backend.precision) == (
        "onnxruntime-cpu", "cpu", "fp32",
    )  # fmt: skip


def test_it_runs_any_batch(session: OnnxRuntimeSession) -> None:
    for rows in (1, 4):
        images = np.random.default_rng(rows).random((rows, 3, 8, 8), np.float32)
        np.testing.assert_array_equal(session.run({"images": images})["output"], images * 2)


def test_a_file_whose_batch_is_fixed_at_one_takes_any_batch(tmp_path: Path) -> None:
    session = OnnxRuntimeSession(write_double(tmp_path / "fixed.onnx", (1, 3, 8, 8)), threads=1)
    images = np.random.default_rng(0).random((3, 3, 8, 8), np.float32)
    np.testing.assert_array_equal(session.run({"images": images})["output"], images * 2)


def test_several_threads_may_run_it_at_once(session: OnnxRuntimeSession) -> None:
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
    assert wrong == []


def test_closing_twice_is_fine_and_running_afterwards_is_not(session: OnnxRuntimeSession) -> None:
    session.close()
    session.close()
    with pytest.raises(EngineError, match="called after close"):
        session.run({"images": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize(
    "inputs",
    [
        {"pictures": np.zeros((1, 3, 8, 8), np.float32)},
        {"images": np.zeros((1, 3, 9, 8), np.float32)},
        {"images": np.zeros((1, 3, 8, 8), np.float64)},
    ],
)
def test_a_wrong_input_is_told_with_the_right_one(session: OnnxRuntimeSession, inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(EngineError, match=r"It expects images float32 \[None, 3, 8, 8\]"):
        session.run(inputs)


def test_a_broken_file_is_told_by_its_path(tmp_path: Path) -> None:
    path = write_double(tmp_path / "double.onnx")
    path.write_bytes(path.read_bytes()[:40])
    for broken in (path, tmp_path / "absent.onnx"):
        with pytest.raises(ModelFileError, match=broken.name):
            OnnxRuntimeSession(broken, threads=1)


def test_its_threads_sleep_while_there_is_nothing_to_do(tmp_path: Path) -> None:
    session = OnnxRuntimeSession(write_double(tmp_path / "big.onnx", ("batch", 3, 512, 512)), threads=2)
    images = np.zeros((2, 3, 512, 512), np.float32)
    session.run({"images": images})
    before = time.process_time()
    for _ in range(10):
        session.run({"images": images})
        time.sleep(0.03)  # idle time, in which the threads must not spin
    assert time.process_time() - before < 0.1
