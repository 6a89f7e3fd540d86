"""Tensor helpers shared by all sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.session import Tensor, TensorSpec

Specs = Mapping[str, TensorSpec]
Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def described(specs: Specs) -> str:
    """Formats names, dtypes and shapes for messages: "images float32 [None, 3, 416, 416]"."""
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in specs.values())


def require(specs: Specs, inputs: Mapping[str, Tensor], what: str) -> None:
    """Raises EngineError unless names, dtypes and shapes match those of the model `what`."""
    if inputs.keys() == specs.keys() and all(_fits(specs[name], tensor) for name, tensor in inputs.items()):
        return
    given = ", ".join(f"{name} {tensor.dtype} {list(tensor.shape)}" for name, tensor in inputs.items())
    raise EngineError(f"{what} cannot be run on {given or 'nothing'}. It expects {described(specs)}")


def batch_is_one(specs: Specs) -> bool:
    """Returns whether a model was exported with a batch size fixed at 1."""
    return all(spec.shape and spec.shape[0] == 1 for spec in specs.values())


def by_rows(run: Run, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Runs each row of a batch separately and joins the outputs, for models whose batch size is fixed at 1."""
    rows = max((len(tensor) for tensor in inputs.values() if tensor.ndim), default=1)
    if rows == 1:
        return run(inputs)
    parts = [run({name: tensor[row : row + 1] for name, tensor in inputs.items()}) for row in range(rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def zeros(specs: Specs, fed: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Returns inputs of zeros for a warm-up run. `fed` gives the known shapes; open axes of other inputs become 1."""
    return {
        spec.name: np.zeros(fed.get(spec.name) or [axis or 1 for axis in spec.shape], spec.dtype)
        for spec in specs.values()
    }


def _fits(spec: TensorSpec, tensor: Tensor) -> bool:
    return (
        tensor.dtype == spec.dtype
        and tensor.ndim == len(spec.shape)
        and all(axis in (None, length) for axis, length in zip(spec.shape, tensor.shape, strict=True))
    )
