"""The rebuilt model of 26 styles paints the same as the published one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sightd.engines.errors import ConversionError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert import style_network
from sightd.engines.models.fetch import Fetcher
from sightd.engines.progress import silent
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write_double


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stored("style26")  # skips if it is not available
    folder = tmp_path_factory.mktemp("published")
    return Fetcher(silent).fetch("style26", Catalog.load().get("style26").sources, folder).path


def test_it_paints_as_the_published_network(published: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    reference = onnxruntime.InferenceSession(str(published), options)
    ours = OnnxRuntimeSession(stored("style26"), threads=2)
    picture = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    mixture = np.zeros(26, np.float32)
    mixture[[3, 19]] = 0.5
    for weights in (np.eye(26, dtype=np.float32)[0], np.eye(26, dtype=np.float32)[25], mixture):
        (expected,) = reference.run(None, {"image": picture, "style_weights": weights})
        found = ours.run({"image": picture, "style_weights": weights[None]})["stylized"]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_it_takes_batches_with_a_style_each_and_any_size() -> None:
    session = OnnxRuntimeSession(stored("style26"), threads=2)
    pictures = np.random.default_rng(1).random((2, 3, 40, 72), np.float32)
    styles = np.eye(26, dtype=np.float32)[[2, 7]]
    together = session.run({"image": pictures, "style_weights": styles})["stylized"]
    assert together.shape == (2, 3, 40, 72)
    alone = session.run({"image": pictures[1:], "style_weights": styles[1:]})["stylized"]
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not the 26-style model"):
        style_network.convert(write_double(tmp_path / "double.onnx"), tmp_path / "out.onnx")
    (tmp_path / "page.onnx").write_bytes(b"<html>")
    with pytest.raises(ConversionError, match="cannot be read as ONNX"):
        style_network.convert(tmp_path / "page.onnx", tmp_path / "out.onnx")


def test_what_is_written_passes_the_checker() -> None:
    onnx.checker.check_model(str(stored("style26")), full_check=True)
