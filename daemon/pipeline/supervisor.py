"""The boundary between the daemon and plug-in code: checks what plug-ins return, contains faults and counts them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sightd.daemon.common.redaction import redact
from sightd.daemon.isolation.protocol import NonsenseError, PluginLostError
from sightd.daemon.pipeline.breaker import Breaker, BreakerState
from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import AnyPlugin, Canvas, Count, Event, Events, Frame, GaugeValue, Results
from sightd.plugins.configuration.declarations import Declarations, UndeclaredError


@dataclass(frozen=True, slots=True)
class Answer:
    """What `process` found on one frame. `counts` are kept by result type, because a later plug-in of the chain may
    replace a result and its counts with it."""

    results: Results
    counts: Mapping[type, Sequence[Count]]
    events: Sequence[Event]
    gauges: Sequence[GaugeValue]


class AnswerCheck:
    """Checks the answers of one plug-in. The methods raise NonsenseError if an answer does not agree with what its
    class declares, and whatever `counts` or `gauges` of a result raises."""

    def __init__(self, plugin: AnyPlugin) -> None:
        """Raises PluginError if the class declares its metrics or events wrongly."""
        self._gives = plugin.produces
        self._declarations = Declarations.of(type(plugin))

    def process(self, found: object, expected: int) -> list[Answer]:
        """Checks what `process` returned for `expected` frames."""
        if not isinstance(found, Sequence) or len(found) != expected:
            raise NonsenseError(f"process returned {_shape(found)}, expected one Results for each of {expected} frames")
        return [self._answer(item) for item in found]

    def predict(self, found: object) -> Results:
        """Checks what `predict` returned."""
        results = self._results("predict", found)
        if Events in results:
            raise NonsenseError("predict returned Events: only process may, for the frame on which they happen")
        return results

    def _answer(self, found: object) -> Answer:
        results = self._results("process", found)
        try:
            declared = self._declarations
            return Answer(results, declared.counts(results), declared.events(results), declared.measured(results))
        except UndeclaredError as error:
            raise NonsenseError(str(error)) from None

    def _results(self, phase: str, found: object) -> Results:
        if not isinstance(found, Results):
            raise NonsenseError(f"{phase} returned {type(found).__name__}, expected Results")
        undeclared = [type(part).__name__ for part in found if type(part) not in self._gives]
        if undeclared:
            raise NonsenseError(f"{phase} returned {', '.join(undeclared)}, which `produces` does not declare")
        return found


def _shape(found: object) -> str:
    return f"{len(found)} results" if isinstance(found, Sequence) else type(found).__name__


log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")

HANGS_AFTER = 10.0
"""Seconds after which a call of `process` counts as hung and is abandoned."""


class PluginObserver(Protocol):
    """Receives a plug-in's timings, faults and breaker state; called from any thread."""

    def took(self, phase: str, seconds: float) -> None: ...

    def fault(self, reason: str) -> None:
        """Called on a fault: the plug-in raised ("error"), returned what its contract does not allow ("invalid") or
        hung ("timeout"), or its process died ("crashed") or exceeded its memory limit ("memory")."""

    def breaker(self, state: BreakerState) -> None: ...


@dataclass(slots=True)
class _Call:
    """A call of `process` in progress. `given_up` is called once, by the thread that finds it hung."""

    begun: float
    given_up: Callable[[], None]
    is_given_up: bool = False
    has_answered: bool = False


class PluginSupervisor:
    """Calls a plug-in's methods so that nothing it raises or returns harms the frame, which continues without it.

    `process`, `predict` and `draw` have a circuit breaker each: a plug-in that cannot draw keeps detecting, and its
    successful detections do not make its drawing look healthy. While the breaker of `process` is not closed, `predict`
    and `draw` are skipped too.

    A hung call cannot be aborted in Python. Once `check_hung` finds one, it counts a fault and abandons the call; a
    late result is discarded. `end` aborts the call if possible. If a plug-in was lost, `ready` returns
    whether it can be retried, and starts the recovery.
    """

    def __init__(
        self,
        name: str,
        plugin: AnyPlugin,
        observer: PluginObserver,
        *,
        breaker: Breaker | None = None,
        ready: Callable[[], bool] = lambda: True,
        end: Callable[[], None] = lambda: None,
        hangs_after: float = HANGS_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.plugin = plugin
        self.redacts = plugin.redacts
        self.last_fault = ""
        """The last fault, as text for people, without secrets."""
        self.faults = 0
        self._check = AnswerCheck(plugin)
        self._observer = observer
        self._breakers = {"process": breaker or Breaker(), "predict": Breaker(), "draw": Breaker()}
        self._ready = ready
        self._end = end
        self._hangs_after = hangs_after
        self._lock = threading.Lock()
        self._clock = clock
        self._warnings = LogThrottle(clock)
        self._under_way: list[_Call] = []

    @property
    def state(self) -> BreakerState:
        """Closed if everything in the plug-in runs, otherwise the state of the first breaker that is not closed."""
        states = [breaker.state for breaker in self._breakers.values()]
        return next((state for state in states if state is not BreakerState.CLOSED), BreakerState.CLOSED)

    @property
    def busy_for(self) -> float:
        """Seconds since the oldest `process` call in progress began; 0 if there is none."""
        now = self._clock()
        with self._lock:
            return max((now - call.begun for call in self._under_way), default=0.0)

    @property
    def hanging(self) -> int:
        """Number of abandoned `process` calls that have not returned."""
        with self._lock:
            return sum(call.is_given_up for call in self._under_way)

    def process(
        self,
        frames: Sequence[Frame],
        results: Sequence[Results],
        given_up: Callable[[], None] = lambda: None,
    ) -> Sequence[Answer] | None:
        """Returns one `Answer` per frame, or None if the plug-in failed, is disabled, or the call was abandoned.

        If the call hangs, `given_up` is called before this returns, on the thread that calls `check_hung`.
        """
        call = _Call(self._clock(), given_up)
        with self._lock:
            self._under_way.append(call)
        try:
            return self._call(
                "process",
                lambda: self.plugin.process(frames, results),
                lambda found: self._check.process(found, len(frames)),
                call,
            )
        finally:
            with self._lock:
                self._under_way.remove(call)

    def check_hung(self) -> None:
        """Abandons hung `process` calls; each is a fault that disables the plug-in. Call once a second."""
        now = self._clock()
        with self._lock:
            hang = [call for call in self._under_way if self._hangs(call, now)]
            for call in hang:
                call.is_given_up = True
        for call in hang:
            seconds = now - call.begun
            self._failed("process", TimeoutError(f"no response after {seconds:.0f} s"), "timeout", at_once=True)
            call.given_up()
        if hang:
            self._end()

    def _hangs(self, call: _Call, now: float) -> bool:
        return not (call.is_given_up or call.has_answered) and now - call.begun > self._hangs_after

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the plug-in's prediction for a frame it has not processed; empty if it fails or is disabled."""
        if self._breakers["process"].state is not BreakerState.CLOSED:
            return Results()
        return self._call("predict", lambda: self.plugin.predict(frame, results), self._check.predict) or Results()

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        if self._breakers["process"].state is BreakerState.CLOSED:
            self._call("draw", lambda: self.plugin.draw(canvas, frame, results), lambda _: None)

    def forget(self, camera: str) -> None:
        self._call("forget", lambda: self.plugin.forget(camera), lambda _: None)

    def close(self) -> None:
        self._call("close", self.plugin.close, lambda _: None)

    def _call(
        self, phase: str, call: Callable[[], T], check: Callable[[T], U], watched: _Call | None = None
    ) -> U | None:
        """Returns what `check` makes of the result of `call`; None if it failed, was abandoned, or the phase is
        disabled."""
        breaker = self._breakers.get(phase)
        if breaker is not None and not self._may(phase, breaker):
            return None
        begun = self._clock()
        try:
            given = check(call())
        except BaseException as error:  # a plug-in may raise anything; it must harm only itself
            if _is_of_a_signal(error):
                raise
            if not self._is_over(watched):
                self._judge(phase, error)
            return None
        if self._is_over(watched):
            return None
        if breaker is not None:
            self._observer.took(phase, self._clock() - begun)
            self._succeeded(breaker)
        return given

    def _may(self, phase: str, breaker: Breaker) -> bool:
        now = self._clock()
        with self._lock:
            if phase == "process" and breaker.is_due(now) and not self._ready():
                return False
            return breaker.allows(now)

    def _is_over(self, call: _Call | None) -> bool:
        """Whether the call was abandoned, so that its result is ignored. If not, it can no longer be abandoned."""
        with self._lock:
            if call is None or call.is_given_up:
                return call is not None
            call.has_answered = True
            return False

    def _judge(self, phase: str, error: BaseException) -> None:
        if isinstance(error, PluginLostError):  # whichever call noticed it, no call can be made
            self._failed("process", error, error.reason, at_once=True)
            self._break_off(phase)
        else:
            self._failed(phase, error, "invalid" if isinstance(error, NonsenseError) else "error")

    def _break_off(self, phase: str) -> None:
        """Ends a trial of `phase` as failed because the whole plug-in was lost; another trial follows later."""
        breaker = self._breakers.get(phase)
        with self._lock:
            if breaker is not None and breaker.state is BreakerState.HALF_OPEN:
                breaker.failed(self._clock())

    def _succeeded(self, breaker: Breaker) -> None:
        with self._lock:
            breaker.succeeded()
            state = self.state
        self._observer.breaker(state)

    def _failed(self, phase: str, error: BaseException, kind: str, *, at_once: bool = False) -> None:
        lost = isinstance(error, PluginLostError)
        reason = redact(str(error) if lost else f"{type(error).__name__} in {phase}: {error}")
        now = self._clock()
        breaker = self._breakers.get(phase, Breaker())
        with self._lock:
            was = breaker.state
            if lost and was is BreakerState.OPEN:
                return  # several calls were in progress when it was lost: that is one fault
            self.faults += 1
            self.last_fault = reason
            breaker.failed(now, at_once=at_once)
            opened = breaker.state is BreakerState.OPEN and was is not BreakerState.OPEN
            state = self.state
        self._observer.fault(kind)
        self._observer.breaker(state)
        if opened:
            wait = breaker.retry_at - now
            log.error(
                "plug-in %s is disabled and will be retried in %.0f s: %s",
                self.name,
                wait,
                reason,
                exc_info=None if lost else error,
            )
        elif self._warnings.add():
            log.warning("plug-in %s failed; the frame continues without it: %s", self.name, reason)


def _is_of_a_signal(error: BaseException) -> bool:
    """Whether it may have been raised by a signal handler; those run only on the main thread."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    return on_main_thread and not isinstance(error, (Exception, SystemExit))
