"""What is reported about where a session's operators run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnxruntime

from sightd.engines.sessions.onnxruntime.cuda import RECORD, operators_by_provider, stray
from tests.support.networks import write_double


def test_a_session_that_runs_on_the_cpu_is_seen_to_do_so(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(RECORD, "1")
    session = onnxruntime.InferenceSession(
        str(write_double(tmp_path / "double.onnx")), options, providers=["CPUExecutionProvider"]
    )
    assert operators_by_provider(session) == {"CPUExecutionProvider": Counter({"Add": 1})}


def test_a_convolution_on_another_provider_is_reported() -> None:
    operators = {"CUDAExecutionProvider": Counter(Conv=40), "CPUExecutionProvider": Counter(Conv=2, Resize=1, Shape=3)}
    left = ["2 Conv on CPUExecutionProvider", "1 Resize on CPUExecutionProvider"]
    assert stray(operators, "CUDAExecutionProvider") == left


def test_sizes_may_be_worked_out_on_the_cpu() -> None:
    operators = {
        "CUDAExecutionProvider": Counter(Conv=40),
        "CPUExecutionProvider": Counter(Shape=3, Gather=3),
    }
    assert stray(operators, "CUDAExecutionProvider") == []
