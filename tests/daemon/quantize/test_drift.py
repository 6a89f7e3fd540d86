"""What detectors lose by coarser arithmetic, on a street with bicycles, cars and people."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import onnx
import pytest

from daemon.quantize.drift import detections
from engines.catalog import Catalog
from engines.engine import Engine
from engines.half import to_half
from engines.onnx_session import OnnxRuntimeSession
from engines.openvino_session import OpenVinoSession
from engines.quantize import quantize
from engines.session import Session
from plugins.detector.agreement import Agreement, agreement
from plugins.types import Frame
from tests.support.networks import stored
from tests.support.openvino import openvino_importable
from tests.support.pictures import street

each_detector = pytest.mark.parametrize("name", ["ssd-mobilenet-v2", "yolox-nano"])


def compared(name: str, session: Session) -> Agreement:
    model = Catalog.load().get(name)
    frames = [Frame.of(picture, camera="street", seq=0, captured_at=0.0) for picture in street(24)[1::2]]
    with closing(OnnxRuntimeSession(stored(name), threads=2)) as exact, closing(session):
        return agreement(
            zip(
                detections(Engine(model, exact, ""), frames),
                detections(Engine(model, session, ""), frames),
                strict=True,
            )
        )


@each_detector
def test_int8_loses_little_and_invents_nothing_on_either_backend(name: str, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize(Catalog.load().get(name), stored(name), path, street(24)[::2])
    openvino_importable()
    for session in (OnnxRuntimeSession(path, threads=2), OpenVinoSession(path, threads=2, precision="int8")):
        got = compared(name, session)
        assert got.clear > 10
        assert got.found >= 0.9 * got.clear
        assert got.grounded >= 0.95 * got.other_clear
        assert got.overlap > 0.9


@each_detector
def test_fp16_loses_nothing(name: str, tmp_path: Path) -> None:
    onnx.save(to_half(onnx.load(stored(name))), str(tmp_path / "half.onnx"))
    got = compared(name, OnnxRuntimeSession(tmp_path / "half.onnx", threads=2))
    assert got.found == got.clear > 10
    assert got.grounded == got.other_clear
    assert got.overlap > 0.99


@each_detector
def test_openvino_in_fp32_loses_nothing(name: str) -> None:
    openvino_importable()
    got = compared(name, OpenVinoSession(stored(name), threads=2))
    assert (got.found, got.grounded) == (got.clear, got.other_clear)
    assert got.overlap > 0.9999
