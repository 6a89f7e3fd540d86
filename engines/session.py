"""The seam between networks and whatever runs them: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of a network's input or output; `None` in the shape stands for a dynamic axis."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """What really runs a session, as told in the log, in `/readyz` and in the metric `sightd_engine_info`."""

    name: str
    """"onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", …"""
    device: str
    """"cpu", "cuda:0", …"""
    precision: str
    """"fp32", "fp16", "int8"."""


class Session(Protocol):
    """A loaded network. `run` may be called from several threads at once; `close` twice is safe."""

    @property
    def backend(self) -> Backend: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch. Inputs stay the caller's; outputs are fresh arrays owned by the caller."""
        ...

    def close(self) -> None: ...
