"""Reads the inputs and outputs of an engine from the engine itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.session import TensorSpec
from sightd.engines.trt import api
from sightd.engines.trt.profile import BatchRange


@dataclass(frozen=True, slots=True)
class IOSpec:
    """The inputs and outputs of an engine. The first axis of every input is the batch. None in a shape marks the batch
    or an axis that depends on the data."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    batch: BatchRange

    def shape(self, name: str, batch: int) -> tuple[int, ...]:
        """Returns the shape of an input for `batch` rows."""
        return (batch, *(axis or 1 for axis in self.inputs[name].shape[1:]))


def read_io_spec(module: api.Module, engine: api.CudaEngine) -> IOSpec:
    """Returns the engine's inputs and outputs. Raises EngineError if sessions cannot run the engine: its inputs have no
    common batch axis, or a tensor is on the host."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
    for name in names:
        if engine.get_tensor_location(name) != module.TensorLocation.DEVICE:
            raise EngineError(f"{name} is read by the host, which is not supported: export the model with fixed shapes")
    if not inputs:
        raise EngineError("the engine has no input")
    batches = {name: _batch(engine, name) for name in inputs}
    if len(set(batches.values())) != 1:
        told = ", ".join(f"{name} {batch}" for name, batch in batches.items())
        raise EngineError(
            f"the inputs of the engine have different batch ranges ({told}): build all with the same range"
        )
    return IOSpec(
        {name: _spec(module, engine, name, given=True) for name in inputs},
        {name: _spec(module, engine, name, given=False) for name in names if name not in inputs},
        batches[inputs[0]],
    )


def _batch(engine: api.CudaEngine, name: str) -> BatchRange:
    shape = tuple(engine.get_tensor_shape(name))
    if not shape:
        raise EngineError(f"input {name} is a scalar and has no batch axis")
    if shape[0] != -1:
        return BatchRange(shape[0], shape[0], shape[0])
    least, usual, most = engine.get_tensor_profile_shape(name, 0)
    return BatchRange(least[0], usual[0], most[0])


def _spec(module: api.Module, engine: api.CudaEngine, name: str, *, given: bool) -> TensorSpec:
    shape: tuple[int | None, ...] = tuple(None if axis == -1 else axis for axis in engine.get_tensor_shape(name))
    if given and None in shape[1:]:
        most = tuple(engine.get_tensor_profile_shape(name, 0)[2])
        shape = (shape[0], *most[1:])
    kind = engine.get_tensor_dtype(name)
    try:
        return TensorSpec(name, shape, np.dtype(module.nptype(kind)))
    except TypeError as error:
        raise EngineError(
            f"{name} has the type {kind}, which is not supported: export it as float32 or float16"
        ) from error
