"""Errors of TensorRT engines. Each message says what happened, to what, and what to do."""

from __future__ import annotations

from sightd.engines.errors import EngineError


class TensorRtUnavailableError(EngineError):
    """Neither TensorRT nor TensorRT for RTX, or not the one asked for, can be used on this machine."""


class EngineBuildError(EngineError):
    """An ONNX file could not be made into an engine; carries the parser's or builder's own words."""


class EngineVerificationError(EngineError):
    """A freshly built engine does not give what ONNX Runtime gives: it is thrown away, never used."""
