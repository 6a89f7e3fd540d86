"""The multi-style model is written and read, and styles can be added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightd.engines.errors import ModelFileError
from sightd.engines.models.convert.style_network import read, write
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write_double

PICTURE = np.random.default_rng(0).random((1, 3, 32, 48), np.float32)


def painted(path: Path, *weights: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = OnnxRuntimeSession(path, threads=2)
    fed = {"image": PICTURE, "style_weights": np.array([weights], np.float32)}
    return np.asarray(session.run(fed)["stylized"])


def one_of(count: int, row: int) -> list[float]:
    return [float(n == row) for n in range(count)]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    layers = read(stored("style26"))
    assert len(layers) == 18
    write(layers, tmp_path / "again.onnx", "for the test")
    assert (tmp_path / "again.onnx").stat().st_size == pytest.approx(stored("style26").stat().st_size, abs=100)
    np.testing.assert_array_equal(
        painted(tmp_path / "again.onnx", *one_of(26, 3)), painted(stored("style26"), *one_of(26, 3))
    )


def test_a_further_style_stands_behind_the_others_and_leaves_them_alone(tmp_path: Path) -> None:
    """It is the mean of two styles, so it must paint like their mixture, since scales and shifts are what is mixed."""
    layers = read(stored("style26"))
    halves = [
        layer.with_style(26, (layer.scale[3] + layer.scale[19]) / 2, (layer.shift[3] + layer.shift[19]) / 2)
        for layer in layers
    ]
    write(halves, tmp_path / "more.onnx", "for the test")
    mixture = np.zeros(26)
    mixture[[3, 19]] = 0.5
    np.testing.assert_allclose(
        painted(tmp_path / "more.onnx", *one_of(27, 26)), painted(stored("style26"), *mixture), atol=1e-5
    )
    np.testing.assert_allclose(
        painted(tmp_path / "more.onnx", *one_of(27, 7)), painted(stored("style26"), *one_of(26, 7)), atol=1e-5
    )


def test_a_style_can_be_replaced() -> None:
    layer = read(stored("style26"))[0]
    new = np.zeros(layer.scale.shape[1], np.float32)
    replaced = layer.with_style(5, new, new + 1)
    assert replaced.scale.shape == layer.scale.shape
    assert not replaced.scale[5].any()
    assert (replaced.shift[5] == 1).all()
    np.testing.assert_array_equal(np.delete(replaced.scale, 5, 0), np.delete(layer.scale, 5, 0))


def test_another_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not a style model written by sightd"):
        read(write_double(tmp_path / "double.onnx"))
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ModelFileError, match="cannot be read as ONNX"):
        read(tmp_path / "page.onnx")
