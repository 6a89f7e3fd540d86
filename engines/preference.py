"""User preferences for running models: backends in order, precision, and device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

BackendName: TypeAlias = Literal["tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime"]
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16", "int8"]

DEFAULT_BACKENDS: tuple[BackendName, ...] = ("tensorrt", "onnxruntime-cuda", "onnxruntime")
"""OpenVINO is opt-in: it is faster for some models and slower for others (`bench/backends.py`)."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A model runs on the first of `backends` that can run it, and never on a backend that is not listed.

    `precision` "auto" leaves the choice to the backend; any other value is strict. `device` is "auto", "cpu" or
    "cuda:N".
    """

    backends: tuple[BackendName, ...] = DEFAULT_BACKENDS
    precision: Precision = "auto"
    device: str = "auto"


PLAIN = Preference(("onnxruntime",), "auto", "cpu")
"""The reference backend, which is available on every machine."""
