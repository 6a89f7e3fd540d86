"""Sends images to the endpoint on a thread of its own: a bounded queue, a limited rate, and pauses after failures."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import EventRef, Image, JsonValue
from sightd.plugins.describe.crop import jpeg_of
from sightd.plugins.describe.endpoint import EndpointError, Outcome

log = logging.getLogger(__name__)

_THRESHOLD = 3
_COOLDOWN = 5.0
_LONGEST = 300.0
_CLOSING = 1.0
"""Seconds that `close` waits for the thread; a name server that does not answer may keep it longer."""


class RequestPacing:
    """When the next request may begin: at most `per_minute` of them in any minute, and none during a pause.

    A pause begins after three failures in a row, and is doubled by each further one: 5 s to 5 minutes (a circuit
    breaker; the request after a pause is its trial). Times are monotonic seconds. Not thread-safe.
    """

    def __init__(self, per_minute: int) -> None:
        self._begun: deque[float] = deque(maxlen=per_minute)
        self._failures = 0
        self._not_before = float("-inf")

    def delay(self, now: float) -> float:
        """Returns the seconds until the next request may begin, 0 if it may now."""
        is_full = len(self._begun) == self._begun.maxlen
        by_rate = self._begun[0] + 60.0 - now if is_full else 0.0
        return max(0.0, by_rate, self._not_before - now)

    def begins(self, now: float) -> None:
        self._begun.append(now)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float, retry_after: float | None) -> float:
        """Records a failed request; `retry_after`: the pause that the endpoint asks for. Returns the pause in s, 0 if
        none begins."""
        self._failures += 1
        over = self._failures - _THRESHOLD
        pause = min(_COOLDOWN * 2 ** min(over, 16), _LONGEST) if over >= 0 else 0.0
        pause = max(pause, retry_after or 0.0)
        self._not_before = now + pause
        return pause


@dataclass(frozen=True, slots=True, eq=False)
class DescriptionRequest:
    """An image to describe (BGR uint8 [height, width, 3]), and what its answer's event is to contain."""

    camera: str
    image: Image
    facts: Mapping[str, JsonValue]
    about: EventRef | None


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """The text about an image, as the endpoint answered after `seconds`."""

    request: DescriptionRequest
    text: str
    seconds: float


@dataclass(slots=True)
class CameraReport:
    """What is to be reported with a camera's next frame. `outcomes` counts requests, `dropped` images by reason;
    `milliseconds` is the total duration of the requests."""

    answers: list[Description] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    milliseconds: int = 0


class Endpoint(Protocol):
    """What a `Sender` asks; see `endpoint.ChatEndpoint`."""

    def ask(self, jpeg: bytes) -> str: ...

    def abort(self) -> None: ...


class Sender:
    """Asks about queued images, one after the other, the oldest first. Any thread may call; nothing blocks but `close`,
    for a second at most."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        quality: int,
        per_minute: int,
        max_queue: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint, self._name, self._quality, self._clock = endpoint, name, quality, clock
        self._pacing = RequestPacing(per_minute)
        self._max_queue = max_queue
        self._changed = threading.Condition()
        self._waiting: deque[DescriptionRequest] = deque()
        self._current: DescriptionRequest | None = None
        self._reports: dict[str, CameraReport] = {}
        self._closed = False
        self._throttle = LogThrottle()
        self._thread = threading.Thread(target=self._run, name=f"describe:{name}", daemon=True)
        self._thread.start()

    def submit(self, request: DescriptionRequest) -> None:
        """Queues an image. If the queue is full, its oldest one is dropped and counted."""
        with self._changed:
            if len(self._waiting) >= self._max_queue:
                oldest = self._waiting.popleft()
                self._report(oldest.camera).dropped["queue_full"] += 1
            self._waiting.append(request)
            self._changed.notify()

    def dropped(self, camera: str, reason: str) -> None:
        """Counts an image that was not queued."""
        with self._changed:
            self._report(camera).dropped[reason] += 1

    def collect(self, camera: str, limit: int) -> CameraReport:
        """Returns, once, what is new about a camera, with at most `limit` answers; further ones come with the next
        call."""
        with self._changed:
            report = self._reports.pop(camera, None) or CameraReport()
            if rest := report.answers[limit:]:
                report.answers = report.answers[:limit]
                self._reports[camera] = CameraReport(rest)
            return report

    def forget(self, camera: str) -> None:
        """Drops all that belongs to a camera; an answer that arrives later is discarded."""
        with self._changed:
            self._waiting = deque(one for one in self._waiting if one.camera != camera)
            self._reports.pop(camera, None)
            if self._current is not None and self._current.camera == camera:
                self._current = None

    def close(self) -> None:
        """Ends the request in progress and the thread. Idempotent."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()
        self._endpoint.abort()
        self._thread.join(_CLOSING)

    def _run(self) -> None:
        while (request := self._next()) is not None:
            self._answer(request)

    def _next(self) -> DescriptionRequest | None:
        """Waits for an image that may be sent; None if the sender was closed."""
        with self._changed:
            while not self._closed:
                delay = self._pacing.delay(self._clock()) if self._waiting else None
                if delay == 0.0:
                    self._current = self._waiting.popleft()
                    return self._current
                self._changed.wait(delay)
        return None

    def _answer(self, request: DescriptionRequest) -> None:
        begun = self._clock()
        self._pacing.begins(begun)
        try:
            text = self._endpoint.ask(jpeg_of(request.image, self._quality))
        except EndpointError as error:
            self._failed(request, error, begun)
        except Exception as error:  # top of the thread: a bug must not end all descriptions
            log.exception("plug-in %s: error in a request", self._name)
            self._failed(request, EndpointError(Outcome.INVALID, f"{type(error).__name__}: {error}"), begun)
        else:
            self._pacing.succeeded()
            with self._changed:
                if (report := self._ended(request, Outcome.ANSWERED, begun)) is not None:
                    report.answers.append(Description(request, text, self._clock() - begun))

    def _failed(self, request: DescriptionRequest, error: EndpointError, begun: float) -> None:
        pause = self._pacing.failed(self._clock(), error.retry_after)
        with self._changed:
            self._ended(request, error.outcome, begun)
            closed = self._closed
        if not closed and self._throttle.add(error.outcome):
            after = f"; next request in {pause:.0f} s" if pause else ""
            log.warning("plug-in %s: no description: %s%s", self._name, error, after)

    def _ended(self, request: DescriptionRequest, outcome: Outcome, begun: float) -> CameraReport | None:
        """Counts a request; returns None if its camera was forgotten meanwhile. The lock is held."""
        current, self._current = self._current, None
        if current is not request:
            return None
        report = self._report(request.camera)
        report.outcomes[outcome] += 1
        report.milliseconds += round((self._clock() - begun) * 1000)
        return report

    def _report(self, camera: str) -> CameraReport:
        return self._reports.setdefault(camera, CameraReport())
