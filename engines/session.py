"""Interface between models and the libraries that run them: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of a model's input or output. `None` in the shape marks a dynamic axis."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """What actually runs a session, as shown in the log, in `/readyz` and in the metric `sightd_engine_info`."""

    name: str
    """One of "onnxruntime-cpu", "onnxruntime-cuda", "openvino", "tensorrt", "tensorrt-rtx"."""
    device: str
    """For example "cpu" or "cuda:0"."""
    precision: str
    """One of "fp32", "fp16", "bf16", "int8"."""


class Session(Protocol):
    """A loaded model. `run` may be called from several threads at once; `close` is idempotent."""

    @property
    def backend(self) -> Backend: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch. Inputs stay owned by the caller; outputs are new arrays owned by the caller."""
        ...

    def close(self) -> None: ...
