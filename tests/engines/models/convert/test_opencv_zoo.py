"""YuNet and SFace for batches and sizes that their original files do not support."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert import opencv_zoo
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write_double


@pytest.mark.parametrize("size", [(64, 96), (320, 320), (384, 640)])
def test_yunet_takes_batches_of_any_size(size: tuple[int, int]) -> None:
    session = OnnxRuntimeSession(stored("yunet"), threads=2)
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 3, *size)).astype(np.float32)
    together = session.run({"input": pictures})
    alone = session.run({"input": pictures[1:2]})
    for stride in (8, 16, 32):
        assert together[f"bbox_{stride}"].shape == (3, size[0] * size[1] // stride**2, 4)
        for part in ("cls", "obj", "bbox", "kps"):
            name = f"{part}_{stride}"
            np.testing.assert_allclose(together[name][1], alone[name][0], rtol=1e-4, atol=1e-4)


def test_sface_takes_batches_and_its_weights_are_no_inputs() -> None:
    session = OnnxRuntimeSession(stored("sface"), threads=2)
    assert list(session.inputs) == ["data"]
    faces = np.random.default_rng(0).uniform(0, 255, (4, 3, 112, 112)).astype(np.float32)
    (together,), (alone,) = (list(session.run({"data": batch}).values()) for batch in (faces, faces[2:3]))
    assert together.shape == (4, 128)
    np.testing.assert_allclose(together[2], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("convert", [opencv_zoo.convert_yunet, opencv_zoo.convert_sface])
def test_another_network_is_refused(convert: object, tmp_path: Path) -> None:
    assert callable(convert)
    with pytest.raises(ConversionError, match=r"double.onnx is not (YuNet|SFace)"):
        convert(write_double(tmp_path / "double.onnx"), tmp_path / "out.onnx")
    (tmp_path / "page.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(ConversionError, match="cannot be read as ONNX"):
        convert(tmp_path / "page.onnx", tmp_path / "out.onnx")


def test_what_is_written_passes_the_checker() -> None:
    for name in ("yunet", "sface"):
        onnx.checker.check_model(str(stored(name)), full_check=True)
