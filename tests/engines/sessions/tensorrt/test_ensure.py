"""The whole path from an ONNX file to a session, with stand-ins for TensorRT and the device, and the real cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from sightd.engines.errors import EngineBuildError, EngineVerificationError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder
from sightd.engines.sessions.tensorrt.cache import EngineCache
from sightd.engines.sessions.tensorrt.ensure import EngineRequest, identity_of, open_session
from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from sightd.engines.sessions.tensorrt.verify import embeddings_verifier
from tests.support import fake_tensorrt
from tests.support.fake_device import FakeDevice
from tests.support.networks import write, write_double

MODEL = Model("double", "classifier", "", "MIT", InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH))
PLAN = fake_tensorrt.plan((-1, 3, 8, 8))


class Builds:
    """Replaces the build process and records the orders."""

    def __init__(self, content: bytes = PLAN) -> None:
        self.orders: list[BuildOrder] = []
        self.content = content
        self.operators: set[str] = set()

    def __call__(self, order: BuildOrder, plan: Path, progress: Any, *, device: int, deadline: float) -> None:
        graph = onnx.load(order.onnx).graph
        assert graph.input[0].type.tensor_type.shape.dim[0].dim_param
        self.operators = {node.op_type for node in graph.node}
        self.orders.append(order)
        plan.write_bytes(self.content)


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    made = FakeDevice()
    yield made
    made.close()


@pytest.fixture
def request_(tmp_path: Path) -> EngineRequest:
    path = write_double(tmp_path / "double.onnx", (1, 3, 8, 8))
    return EngineRequest(MODEL, path, "fp32", BatchRange(1, 2, 4), embeddings_verifier)


def opened(request: EngineRequest, device: FakeDevice, folder: Path, builds: Builds) -> TensorRTSession:
    trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
    cache = EngineCache(folder / "engines")
    return open_session(request, trt, device, cache, lambda phase, done, total: None, build=builds)


def test_the_first_time_it_is_built_and_verified_then_read(
    request_: EngineRequest, device: FakeDevice, tmp_path: Path
) -> None:
    builds = Builds()
    for _ in range(2):
        session = opened(request_, device, tmp_path, builds)
        fed = np.ones((3, 3, 8, 8), np.float32)
        np.testing.assert_array_equal(session.run({"images": fed})["output"], fed * 2)
        session.close()
    (order,) = builds.orders
    assert (order.batch, order.sizes) == (BatchRange(1, 2, 4), {"images": (3, 8, 8)})
    (entry,) = EngineCache(tmp_path / "engines").entries()
    assert entry.note.measures == {"least cosine": pytest.approx(1)}


def test_an_engine_that_gives_something_else_is_never_kept(
    request_: EngineRequest, device: FakeDevice, tmp_path: Path
) -> None:
    """The stand-in's engines double their input; this model negates it."""
    node = onnx.helper.make_node("Neg", ["images"], ["output"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["b", 3, 8, 8]) for n in ("images", "output")]
    write(request_.onnx, onnx.helper.make_graph([node], "negate", ends[:1], ends[1:]))
    with pytest.raises(EngineVerificationError, match="least cosine is -1"):
        opened(request_, device, tmp_path, Builds())
    assert EngineCache(tmp_path / "engines").entries() == []
    assert not device.live


def test_an_fp32_file_is_built_as_fp16_where_that_is_wanted(
    request_: EngineRequest, device: FakeDevice, tmp_path: Path
) -> None:
    builds = Builds()
    opened(replace(request_, precision="fp16"), device, tmp_path, builds).close()
    assert "Cast" in builds.operators
    assert [entry.note.identity.precision for entry in EngineCache(tmp_path / "engines").entries()] == ["fp16"]


def test_a_precision_that_a_file_cannot_have_is_refused(
    request_: EngineRequest, device: FakeDevice, tmp_path: Path
) -> None:
    with pytest.raises(
        EngineBuildError,
        match=r"double.onnx is fp32; TensorRT runs a model in its own precision, or an fp32 model as fp16",
    ):
        opened(replace(request_, precision="int8"), device, tmp_path, Builds())


def test_the_engine_depends_on_file_card_runtime_and_shapes(request_: EngineRequest, device: FakeDevice) -> None:
    trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
    identity = identity_of(request_, trt, device)
    assert identity.runtime == "TensorRT 11.4.0.106"
    assert (identity.gpu, identity.compute_capability) == ("Stand-in", "8.6")
    assert identity.profile == "1:2:4 of 8x8"
    again = identity_of(replace(request_, batch=BatchRange(1, 4, 4)), trt, device)
    assert again.key != identity.key
