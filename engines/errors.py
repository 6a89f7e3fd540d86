"""Errors of the `engines` package. Each message says what happened, to what, and what to do."""

from __future__ import annotations


class EngineError(Exception):
    """A model cannot be found, fetched, converted, loaded or run."""

    @property
    def summary(self) -> str:
        """The reason in a few words, for a log line that continues with what is done instead."""
        return str(self).splitlines()[0].rstrip(":")


class UnreachableError(EngineError):
    """A source cannot be reached from this machine: no network, no DNS, or no answer."""


class StorageError(OSError):
    """A file cannot be written to local storage. It makes no sense to try another source."""


class UnknownModelError(EngineError):
    """The catalogue contains no model of that name."""


class ModelUnavailableError(EngineError):
    """A model could not be obtained from any of its sources. The message lists them all and says what to do."""

    def __init__(self, message: str, summary: str = "") -> None:
        super().__init__(message)
        self._summary = summary

    @property
    def summary(self) -> str:
        return self._summary or super().summary


class HashMismatchError(EngineError):
    """Content from a source does not match the pinned hash. It is rejected and never used."""


class ConversionError(EngineError):
    """A fetched file could not be converted to ONNX."""


class ModelFileError(EngineError):
    """An ONNX file is broken, or does not have the inputs and outputs that its catalogue entry states."""


class BackendUnavailableError(EngineError):
    """A backend, or every backend that the configuration allows, cannot run a model on this machine."""


class QuantizationError(EngineError):
    """A model could not be quantised to int8."""


class TensorRtUnavailableError(EngineError):
    """Neither TensorRT nor TensorRT for RTX, or not the requested one, can be used on this machine."""


class EngineBuildError(EngineError):
    """An ONNX file could not be built into an engine. The message contains that of the parser or builder."""


class EngineVerificationError(EngineError):
    """A newly built engine does not match the results of ONNX Runtime. It is discarded and never used."""
