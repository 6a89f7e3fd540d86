"""A YOLOX file becomes trainable layers, and trained layers a file again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from sightd.daemon.tools.training.detector.graph import Part, YoloxGraph
from sightd.engines.errors import ModelFileError
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.networks import stored, write_double
from tests.support.yolox import SIDE, write_yolox

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")

from sightd.daemon.tools.training.detector.network import TrainableYolox  # noqa: E402

pytestmark = pytest.mark.computing


def run(path: Path, tensor: np.ndarray) -> dict[str, np.ndarray]:
    session = OnnxRuntimeSession(path, 1)
    try:
        return session.run({"images": tensor})
    finally:
        session.close()


def scored(rows: object) -> np.ndarray:
    found = rows.detach().clone()  # type: ignore[attr-defined]
    found[..., 4:] = found[..., 4:].sigmoid()
    return np.asarray(found.numpy())


def arrays(network: TrainableYolox) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in network.weights.items()}


@pytest.mark.parametrize("part", Part)
def test_the_layers_compute_what_the_written_file_computes(part: Part, tmp_path: Path) -> None:
    write_yolox(tmp_path / "base.onnx", 5)
    graph = YoloxGraph(tmp_path / "base.onnx")
    network = TrainableYolox(graph, 2, "cpu", 0, part)
    graph.write(tmp_path / "made.onnx", arrays(network), 2)
    onnx.checker.check_model(onnx.load(tmp_path / "made.onnx"), full_check=True)
    tensor = np.random.default_rng(0).uniform(0, 2, (1, 3, SIDE, SIDE)).astype(np.float32)
    inputs = [tensor]
    if part != Part.ALL:
        graph.write_frozen(tmp_path / "frozen.onnx", part)
        maps = run(tmp_path / "frozen.onnx", tensor)
        inputs = [maps[name] for name in graph.inputs_of(part)]
    (found,) = run(tmp_path / "made.onnx", tensor).values()
    assert found.shape == (1, 84, 7)
    np.testing.assert_allclose(scored(network.rows([torch.tensor(one) for one in inputs])), found, rtol=1e-4, atol=1e-4)


def test_boxes_and_objectness_of_the_base_are_kept_and_class_scores_start_low(tmp_path: Path) -> None:
    write_yolox(tmp_path / "base.onnx", 5)
    graph = YoloxGraph(tmp_path / "base.onnx")
    graph.write(tmp_path / "made.onnx", arrays(TrainableYolox(graph, 2, "cpu", 0, Part.HEAD)), 2)
    tensor = np.random.default_rng(0).uniform(0, 2, (1, 3, SIDE, SIDE)).astype(np.float32)
    (before,), (after,) = (run(tmp_path / name, tensor).values() for name in ("base.onnx", "made.onnx"))
    np.testing.assert_allclose(after[..., :5], before[..., :5], atol=1e-5)
    assert after[..., 5:].max() < 0.5


def test_only_the_layers_of_the_part_are_trained(tmp_path: Path) -> None:
    write_yolox(tmp_path / "base.onnx", 5)
    graph = YoloxGraph(tmp_path / "base.onnx")
    networks = {part: TrainableYolox(graph, 2, "cpu", 0, part) for part in Part}
    head, neck, whole = (networks[part].weights.keys() for part in (Part.HEAD, Part.NECK, Part.ALL))
    assert head < neck < whole
    assert len(head) == 3 * 2 * (1 + 2 + 3)
    assert len(neck) == len(head) + 2 * 3
    assert len(whole) == len(neck) + 2 * 5
    assert all(one.head == set(head) for one in networks.values())


def test_the_published_model_is_recognised() -> None:
    graph = YoloxGraph(stored("yolox-nano"))
    network = TrainableYolox(graph, 80, "cpu", 0, Part.ALL)
    with torch.no_grad():
        raw = network.raw([torch.zeros(1, 3, 416, 416)])
    assert [tuple(classes.shape) for _, _, classes in raw] == [(1, 80, side, side) for side in (52, 26, 13)]


def test_a_file_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not a YOLOX model with its official head"):
        YoloxGraph(write_double(tmp_path / "double.onnx"))
