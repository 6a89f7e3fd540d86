"""Errors of TensorRT engines. Each message says what happened, to what, and what to do."""

from __future__ import annotations

from sightd.engines.errors import EngineError


class TensorRtUnavailableError(EngineError):
    """Neither TensorRT nor TensorRT for RTX, or not the requested one, can be used on this machine."""


class EngineBuildError(EngineError):
    """An ONNX file could not be built into an engine. The message contains that of the parser or builder."""


class EngineVerificationError(EngineError):
    """A newly built engine does not match the results of ONNX Runtime. It is discarded and never used."""
