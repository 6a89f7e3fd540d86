"""The edge between the daemon and a plug-in's code: faults are counted there and go no further."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from daemon.pipeline.breaker import Breaker, BreakerState
from plugins.api import AnyPlugin
from plugins.types import Canvas, Frame, Results

log = logging.getLogger(__name__)


class PluginObserver(Protocol):
    """Who is told how a plug-in fares; called from any thread."""

    def took(self, phase: str, seconds: float) -> None: ...

    def fault(self, reason: str) -> None:
        """It raised ("error") or gave what its contract does not allow ("invalid")."""

    def breaker(self, state: BreakerState) -> None: ...


class NonsenseError(TypeError):
    """A plug-in gave what its contract does not allow."""


class Guard:
    """Calls a plug-in's methods so that nothing it raises or returns harms the frame, which goes on without it."""

    def __init__(
        self,
        name: str,
        plugin: AnyPlugin,
        observer: PluginObserver,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.plugin = plugin
        self.last_fault = ""
        self.faults = 0
        self._observer = observer
        self._breaker = breaker or Breaker()
        self._lock = threading.Lock()
        self._clock = clock

    @property
    def state(self) -> BreakerState:
        return self._breaker.state

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results] | None:
        """What the plug-in found, one a frame; None where it failed or is taken out."""
        with self._lock:
            allowed = self._breaker.allows(self._clock())
            self._observer.breaker(self._breaker.state)
        if not allowed:
            return None
        begun = self._clock()
        try:
            found = self.plugin.process(frames, results)
            self._check(found, len(frames))
        except NonsenseError as error:
            self._failed("process", error, "invalid")
            return None
        except Exception as error:  # noqa: BLE001 — a plug-in may raise anything; it hurts only itself
            self._failed("process", error)
            return None
        self._observer.took("process", self._clock() - begun)
        with self._lock:
            self._breaker.succeeded()
            self._observer.breaker(self._breaker.state)
        return found

    def carry(self, frame: Frame, results: Results) -> Results:
        """The plug-in's prediction for a frame it has not processed; nothing where it fails or is taken out."""
        if self._breaker.state is not BreakerState.CLOSED:
            return Results()
        begun = self._clock()
        try:
            carried = self.plugin.carry(frame, results)
        except Exception as error:  # noqa: BLE001 — as above
            self._failed("carry", error)
            return Results()
        self._observer.took("carry", self._clock() - begun)
        return carried

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        if self._breaker.state is not BreakerState.CLOSED:
            return
        begun = self._clock()
        try:
            self.plugin.draw(canvas, frame, results)
        except Exception as error:  # noqa: BLE001 — as above
            self._failed("draw", error)
        else:
            self._observer.took("draw", self._clock() - begun)

    def forget(self, camera: str) -> None:
        try:
            self.plugin.forget(camera)
        except Exception as error:  # noqa: BLE001 — as above
            self._failed("forget", error)

    def close(self) -> None:
        try:
            self.plugin.close()
        except Exception as error:  # noqa: BLE001 — as above
            self._failed("close", error)

    def _check(self, found: object, expected: int) -> None:
        if not isinstance(found, Sequence) or len(found) != expected:
            raise NonsenseError(f"process gave {_shape(found)}, expected one Results for each of {expected} frames")
        allowed = self.plugin.gives
        for item in found:
            if not isinstance(item, Results):
                raise NonsenseError(f"process gave {type(item).__name__}, expected Results")
            undeclared = [type(part).__name__ for part in item if type(part) not in allowed]
            if undeclared:
                raise NonsenseError(f"process gave {', '.join(undeclared)}, which `gives` does not declare")

    def _failed(self, phase: str, error: Exception, kind: str = "error") -> None:
        reason = f"{type(error).__name__} in {phase}: {error}"
        with self._lock:
            self.faults += 1
            self.last_fault = reason
            was = self._breaker.state
            self._breaker.failed(self._clock())
            state = self._breaker.state
            wait = self._breaker.retry_at - self._clock()
        self._observer.fault(kind)
        self._observer.breaker(state)
        if state is not was and state is BreakerState.OPEN:
            log.error("plug-in %s is taken out and tried again in %.0f s: %s", self.name, wait, reason, exc_info=error)
        elif was is BreakerState.CLOSED:
            log.warning("plug-in %s failed, the frame goes on without it: %s", self.name, reason)


def _shape(found: object) -> str:
    return f"{len(found)} results" if isinstance(found, Sequence) else type(found).__name__
