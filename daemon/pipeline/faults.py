"""What can be wrong with a plug-in, and who is told of it."""

from __future__ import annotations

from typing import Protocol

from sightd.daemon.pipeline.breaker import BreakerState


class PluginObserver(Protocol):
    """Who is told how a plug-in fares; called from any thread."""

    def took(self, phase: str, seconds: float) -> None: ...

    def fault(self, reason: str) -> None:
        """It raised ("error"), gave what its contract does not allow ("invalid") or took too long ("timeout"); its
        process died ("crashed") or took too much memory ("memory")."""

    def breaker(self, state: BreakerState) -> None: ...


class NonsenseError(TypeError):
    """A plug-in gave what its contract does not allow."""


class PluginLostError(Exception):
    """The process that an isolated plug-in lives in is gone, or cannot be had again. `reason` is that of the metric."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
