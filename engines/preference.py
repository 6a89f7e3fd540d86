"""What a user wishes of how networks run: backends in order, precision, device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

BackendName: TypeAlias = Literal["tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime"]
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16", "int8"]

DEFAULT_BACKENDS: tuple[BackendName, ...] = ("tensorrt", "onnxruntime-cuda", "onnxruntime")
"""OpenVINO must be asked for: it is faster for some networks and slower for others (`bench/backends.py`)."""


@dataclass(frozen=True, slots=True)
class Preference:
    """The first of `backends` that can do it runs a network; one that is not in the list never does.

    `precision` "auto" leaves the choice to the backend, each other is kept to; `device` is "auto", "cpu" or "cuda:N".
    """

    backends: tuple[BackendName, ...] = DEFAULT_BACKENDS
    precision: Precision = "auto"
    device: str = "auto"


PLAIN = Preference(("onnxruntime",), "auto", "cpu")
"""The reference: what every machine has."""
