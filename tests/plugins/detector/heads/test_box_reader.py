"""Boxes from raw outputs: fp16 and fp32 of the catalogue's models agree within the limits for engines."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from sightd.engines.models.catalog import Catalog
from sightd.engines.models.onnx_edit import to_fp16, with_dynamic_batch
from sightd.engines.preprocess import feed
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt.verify import boxes_verifier, compare, reference_pictures
from sightd.plugins.detector.heads.registry import box_reader
from tests.support.networks import stored

SLOW = ("ssd-mobilenet-v2", "deimv2-atto")


@pytest.mark.parametrize(
    "name", ["yolox-nano", "deimv2-femto", *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]
)
def test_the_drawn_pictures_are_enough_to_judge_a_detector(name: str, tmp_path: Path) -> None:
    model = Catalog.load().get(name)
    half = tmp_path / "half.onnx"
    onnx.save(to_fp16(with_dynamic_batch(onnx.load(stored(name)))), str(half))
    whole, rough = OnnxRuntimeSession(stored(name), 2), OnnxRuntimeSession(half, 2)
    inputs, _ = feed(reference_pictures(), model.input, whole.inputs)
    measures = compare(whole, rough, inputs, boxes_verifier(box_reader(model)))
    assert measures["mean IoU of matched boxes"] < 1
