"""How much accuracy detectors lose with lower precision, on a street with bicycles, cars and people."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import onnx
import pytest

from sightd.daemon.quantize.drift import detections
from sightd.engines.catalog import Catalog
from sightd.engines.engine import Engine
from sightd.engines.fp16 import to_fp16
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.openvino_session import OpenVinoSession
from sightd.engines.processor import sums_int8_exactly
from sightd.engines.quantize import quantize
from sightd.engines.session import Session
from sightd.plugins.detector.agreement import Agreement, agreement
from sightd.plugins.types import Frame
from tests.support.networks import stored
from tests.support.openvino import openvino_importable
from tests.support.pictures import street

PICTURES = 80
"""Every second image is compared, so many that one object more or less does not matter; 24 others are for
calibration."""
pytestmark = pytest.mark.timeout(600)
DETECTORS = ("ssd-mobilenet-v2", "yolox-nano")


def each_detector(quick: str) -> pytest.MarkDecorator:
    """Parametrises over the detectors; `make test` runs only `quick`."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[] if name == quick else pytest.mark.slow) for name in DETECTORS]
    )


def compared(name: str, session: Session) -> Agreement:
    model = Catalog.load().get(name)
    frames = [Frame.of(picture, camera="street", seq=0, captured_at=0.0) for picture in street(PICTURES)[1::2]]
    with closing(OnnxRuntimeSession(stored(name), threads=2)) as exact, closing(session):
        return agreement(
            zip(
                detections(Engine(model, exact, ""), frames),
                detections(Engine(model, session, ""), frames),
                strict=True,
            )
        )


def int8_of(name: str, folder: Path) -> Path:
    path = folder / "int8.onnx"
    quantize(Catalog.load().get(name), stored(name), path, street(PICTURES)[:48:2])
    return path


def loses_little(got: Agreement) -> None:
    assert got.clear > 40
    assert got.found >= 0.9 * got.clear
    assert got.grounded >= 0.95 * got.other_clear
    assert got.overlap > 0.9


@each_detector(quick="ssd-mobilenet-v2")
def test_int8_loses_little_and_invents_nothing(name: str, tmp_path: Path) -> None:
    path = int8_of(name, tmp_path)
    loses_little(compared(name, OnnxRuntimeSession(path, threads=2)))


@each_detector(quick="yolox-nano")
def test_int8_on_openvino_loses_as_little(name: str, tmp_path: Path) -> None:
    openvino_importable()
    if not sums_int8_exactly():
        pytest.skip("this processor has no VNNI: OpenVINO runs no int8 here")
    path = int8_of(name, tmp_path)
    loses_little(compared(name, OpenVinoSession(path, threads=2, precision="int8")))


@each_detector(quick="yolox-nano")
def test_fp16_loses_nothing(name: str, tmp_path: Path) -> None:
    onnx.save(to_fp16(onnx.load(stored(name))), str(tmp_path / "half.onnx"))
    got = compared(name, OnnxRuntimeSession(tmp_path / "half.onnx", threads=2))
    assert got.found == got.clear > 40
    assert got.grounded == got.other_clear
    assert got.overlap > 0.99


@each_detector(quick="ssd-mobilenet-v2")
def test_openvino_in_fp32_loses_nothing(name: str) -> None:
    openvino_importable()
    got = compared(name, OpenVinoSession(stored(name), threads=2))
    assert (got.found, got.grounded) == (got.clear, got.other_clear)
    assert got.overlap > 0.9999
