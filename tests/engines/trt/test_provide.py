"""The whole way from an ONNX file to a session over stand-ins of TensorRT and the device; cache and reference are real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.engine_cache import EngineCache
from engines.model import Model
from engines.spec import ColourOrder, InputSpec, Resize
from engines.trt.builder import BuildOrder
from engines.trt.errors import EngineVerificationError
from engines.trt.names import Flavour
from engines.trt.profile import BatchRange
from engines.trt.provide import EngineRequest, identity_of, open_session
from engines.trt.session import TensorRTSession
from engines.trt.verify import embeddings_judge
from tests.support import fake_tensorrt
from tests.support.fake_device import FakeDevice
from tests.support.networks import write, write_double
from tests.support.waiting import eventually

MODEL = Model("double", "classifier", "", "MIT", InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH))
PLAN = fake_tensorrt.plan((-1, 3, 8, 8))


class Builds:
    """Stands in for the building process; keeps the orders."""

    def __init__(self, content: bytes = PLAN) -> None:
        self.orders: list[BuildOrder] = []
        self.content = content

    def __call__(self, order: BuildOrder, plan: Path, progress: Any, *, device: int, deadline: float) -> None:
        assert onnx.load(order.onnx).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
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
    return EngineRequest(MODEL, path, "fp32", BatchRange(1, 2, 4), embeddings_judge)


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
    other = tmp_path / "other.onnx"
    node = onnx.helper.make_node("Neg", ["images"], ["output"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["b", 3, 8, 8]) for n in ("images", "output")]
    write(other, onnx.helper.make_graph([node], "other", ends[:1], ends[1:]))
    builds = Builds()
    with pytest.raises(EngineVerificationError, match="least cosine is -1"):
        opened(replace(request_, reference=other), device, tmp_path, builds)
    assert EngineCache(tmp_path / "engines").entries() == []
    eventually(lambda: not device.live, within=1)


def test_the_engine_depends_on_file_card_runtime_and_shapes(request_: EngineRequest, device: FakeDevice) -> None:
    trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
    identity = identity_of(request_, trt, device)
    assert identity.runtime == "TensorRT 11.4.0.106"
    assert (identity.gpu, identity.compute_capability) == ("Stand-in", "8.6")
    assert identity.profile == "1:2:4 of 8x8"
    again = identity_of(replace(request_, batch=BatchRange(1, 4, 4)), trt, device)
    assert again.key != identity.key
