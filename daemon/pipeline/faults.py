"""Plug-in error types, and the observer that is notified of faults."""

from __future__ import annotations

from typing import Protocol

from sightd.daemon.pipeline.breaker import BreakerState


class PluginObserver(Protocol):
    """Receives a plug-in's timings, faults and breaker state; called from any thread."""

    def took(self, phase: str, seconds: float) -> None: ...

    def fault(self, reason: str) -> None:
        """Called on a fault: the plug-in raised ("error"), returned what its contract does not allow ("invalid") or
        hung ("timeout"), or its process died ("crashed") or exceeded its memory limit ("memory")."""

    def breaker(self, state: BreakerState) -> None: ...


class NonsenseError(TypeError):
    """A plug-in returned something its contract does not allow."""


class PluginLostError(Exception):
    """The process of an isolated plug-in is gone or could not be restarted. `reason` is the metric's label."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
