"""An engine that runs end to end on the stand-in driver: real PyCUDA, host builds of the kernels, and a session that
computes with ONNX Runtime in device memory. For processes of `tests.support.fake_cuda`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.cuda.driver import open_device
from sightd.engines.cuda.gpus import Gpu, with_kernels
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.session import Backend
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.onnxruntime.cuda import Binding, BoundRun, with_sides
from tests.support.fake_cuda import StandIn, build_stand_in, cubin
from tests.support.host_kernels.build import packed_library

SOURCES = ("preprocess", "detect", "suppress", "face_crop", "style", "paint", "resize", "overlay", "hide", "unit")
LABELS = ("bolt", "nut", "screw")


def build_with_kernels(folder: Path) -> StandIn:
    """Builds the stand-in and all kernels; close it. Skips the test if a compiler is missing."""
    for source in SOURCES:
        packed_library(source)
    return build_stand_in(folder)


class HostCompiler:
    """Replaces NVRTC: a cubin of the stand-in is a host library."""

    version = "host"

    def compile(self, name: str, source: str, headers: Any, capability: Any, options: Any) -> bytes:
        return cubin(packed_library(name.removesuffix(".cu")))


class DeviceOnnxSession(OnnxRuntimeSession):
    """`OnnxCudaSession` with the CPU as its device, because the stand-in's memory is host memory. `runs` holds the
    batch sizes."""

    def __init__(self, path: Path, largest_batch: int, size: tuple[int, int] | None = None) -> None:
        super().__init__(path, threads=1)
        self.inputs = with_sides(self.inputs, size)
        self.largest_batch = largest_batch
        self.backend = Backend("stand-in", "cuda:0", "fp32")
        self.runs: list[int] = []

    def run_device(self, inputs: Mapping[str, Any], batch: int, stream: Any) -> BoundRun:
        assert batch <= self.largest_batch
        self.runs.append(batch)
        return Binding(self._session, self.inputs, self.outputs, "cpu", 0).run(inputs, batch, stream)


def open_stand_in_gpu(folder: Path) -> Gpu:
    return with_kernels(open_device("cuda:0"), folder / "cubins", HostCompiler())


def pixel_network(path: Path, *, resize: Resize = Resize.STRETCH) -> Model:
    """Writes a model with the head "yolox" on 64x32 whose rows are its input's first pixels as fractions: every image
    gives different boxes, in large numbers, and any error in the pixels shows in them."""
    rows, columns = 8 * 4 + 4 * 2 + 2 * 1, 5 + len(LABELS)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], axis=1),
        helper.make_node("Slice", ["flat", "from", "to", "axis"], ["first"]),
        helper.make_node("Reshape", ["first", "form"], ["output"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in {"from": [0], "to": [rows * columns], "axis": [1], "form": [-1, rows, columns]}.items()
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("images", (3, 32, 64)), ("output", (rows, columns)))
    ]
    graph = helper.make_graph(nodes, "pixels", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    spec = InputSpec("images", 64, 32, ColourOrder.RGB, resize, scale=1 / 255)
    return Model("pixels", "detector", "yolox", "none", spec, LABELS, path=path)


class EngineContext:
    """A plug-in context that always returns the same engine."""

    name = "detector"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        return self._engine


def engines(gpu: Gpu, model: Model, largest_batch: int = 4) -> tuple[Engine, Engine]:
    """Returns engines of the same model on the device and on the CPU."""
    if model.path is None:
        pytest.fail("the model has a file")
    on_device = Engine(model, DeviceOnnxSession(model.path, largest_batch), "the only one", gpu)
    return on_device, Engine(model, OnnxRuntimeSession(model.path, threads=1), "the only one")
