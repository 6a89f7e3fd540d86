"""Errors of the engines floor. Each message says what happened, to what, and what to do."""

from __future__ import annotations


class EngineError(Exception):
    """A network cannot be found, fetched, converted, loaded or run."""

    @property
    def summary(self) -> str:
        """Why, in a few words, for a line that goes on with what is done instead."""
        return str(self).splitlines()[0].rstrip(":")


class UnreachableError(EngineError):
    """There is no way to a source from here: no network, no name server, nobody who answers."""


class StorageError(OSError):
    """A file cannot be written here, whatever its source: no use in trying another source."""


class UnknownModelError(EngineError):
    """The catalogue holds no model of that name."""


class ModelUnavailableError(EngineError):
    """A model could not be had from any of its sources. The message lists them all and says what to do."""

    def __init__(self, message: str, summary: str = "") -> None:
        super().__init__(message)
        self._summary = summary

    @property
    def summary(self) -> str:
        return self._summary or super().summary


class HashMismatchError(EngineError):
    """The bytes of a source differ from the pinned hash: refused, never used."""


class ConversionError(EngineError):
    """A fetched file could not be turned into ONNX."""


class ModelFileError(EngineError):
    """An ONNX file is broken or has not the inputs and outputs that its entry states."""


class BackendUnavailableError(EngineError):
    """A backend cannot run a network here, or none of those that the configuration allows can."""


class QuantizationError(EngineError):
    """A network could not be made int8."""
