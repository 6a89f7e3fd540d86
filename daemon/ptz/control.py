"""Moves one camera: requests of people, and what it follows, one after another on a thread of its own.

Each move has an end, which is kept here and, if the camera knows timeouts, in the camera too: neither a client that
goes away nor a daemon that is killed leaves it moving.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from dataclasses import dataclass
from typing import Any, TypeVar

from sightd.daemon.capture.errors import Reason
from sightd.daemon.config.onvif import Follow, Onvif
from sightd.daemon.onvif.device import OnvifDevice
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.ptz import Moves, OnvifPtz, Preset, Vector
from sightd.daemon.onvif.soap import SoapClient
from sightd.daemon.ptz.follow import FollowController, Sight, Steer
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

MOST_SECONDS = 10.0
"""Longest move."""
PATIENCE = 15.0
"""Seconds that a request waits for the camera."""
_MOST_WAITING = 8
_TICK = 0.2
"""Seconds between two commands while an object is followed."""
_FOLLOW_MOVE = 1.0
"""Length of a move that follows an object: it ends if nothing is analysed any more."""
_RENEWED = 0.6
"""Seconds after which such a move is sent again."""
_SAME_SPEED = 0.03
_STOP_AGAIN = 0.3
_MOST_STOPS = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds to wait after the camera failed to follow: the first, and the longest after doubling."""

T = TypeVar("T")
Job = Callable[[OnvifPtz], Any]
Connect = Callable[[Onvif], OnvifPtz]


@dataclass(frozen=True, slots=True)
class PtzState:
    """A camera at one moment. `moving` is None if it does not say. `following`: whether it follows objects at all;
    `track` is the id of the one it follows, `paused` for how many s it does not."""

    moves: Moves
    presets: Sequence[Preset]
    position: Vector | None
    moving: bool | None
    following: bool
    track: int | None
    paused: float


def connect(options: Onvif) -> OnvifPtz:
    """Connects to a camera. Raises OnvifError."""
    soap = SoapClient(options.address, options.username, options.password.get_secret_value())
    device = OnvifDevice(soap)
    return OnvifPtz(device, device.profile(options.profile))


class PtzControl:
    """Thread-safe. Methods raise OnvifError, also if the camera does not answer in time. The camera is connected to by
    the first request."""

    def __init__(
        self,
        camera: str,
        options: Onvif,
        follow: Follow | None = None,
        *,
        connect: Connect = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.camera = camera
        self._options, self._connect, self._clock = options, connect, clock
        self._follow = follow
        self._controller = None if follow is None else FollowController(follow)
        self._woken = threading.Condition()
        self._jobs: deque[tuple[Job, Future[Any]]] = deque()
        self._sight: Sight | None = None
        self._closing = False
        self._thread: threading.Thread | None = None
        self._ptz: OnvifPtz | None = None
        self._moves: Moves | None = None
        self._stop_at: float | None = None
        self._stops = 0
        self._sent, self._sent_at = Steer(), 0.0
        self._paused_until = 0.0
        self._pause = _FIRST_PAUSE
        self._throttle = LogThrottle()

    @property
    def options(self) -> tuple[Onvif, Follow | None]:
        return self._options, self._follow

    @property
    def follows(self) -> bool:
        return self._controller is not None

    def state(self) -> PtzState:
        """Asks the camera."""
        return self._ask(self._state)

    def move(self, speed: Vector, seconds: float) -> None:
        """Moves with this speed for `seconds`, at most MOST_SECONDS; a zero speed stops."""
        lasting = min(seconds, MOST_SECONDS)
        self._ask(lambda ptz: self._begin(ptz, speed, lasting) if speed else self._end(ptz), by_hand=True)

    def stop(self) -> None:
        self._ask(self._end, by_hand=True)

    def step(self, distance: Vector) -> None:
        """Moves by a distance; see `Vector`."""
        self._ask(lambda ptz: ptz.relative(distance), by_hand=True)

    def go_to(self, position: Vector) -> None:
        self._ask(lambda ptz: ptz.absolute(position), by_hand=True)

    def go_home(self) -> None:
        self._ask(lambda ptz: ptz.goto_home(), by_hand=True)

    def set_home(self) -> None:
        self._ask(lambda ptz: ptz.set_home())

    def go_to_preset(self, token: str) -> None:
        self._ask(lambda ptz: ptz.goto_preset(token), by_hand=True)

    def set_preset(self, name: str, token: str | None = None) -> Preset:
        """Stores the position as a preset: a new one, or another position or name of an existing one."""
        return Preset(self._ask(lambda ptz: ptz.set_preset(name, token)), name)

    def remove_preset(self, token: str) -> None:
        self._ask(lambda ptz: ptz.remove_preset(token))

    def observe(self, sight: Sight) -> None:
        """Takes what an analysed frame shows, if the camera follows objects. Never blocks."""
        if self._controller is None:
            return
        with self._woken:
            self._sight = sight
            if self._thread is None and not sight.targets:
                return
            self._wake()

    def close(self, deadline: float = 2.0) -> None:
        """Stops the camera if it moves, and the thread. Idempotent."""
        with self._woken:
            self._closing = True
            self._woken.notify()
            thread = self._thread
        if thread is not None:
            thread.join(deadline)
            if thread.is_alive():
                log.warning("camera %s: the PTZ thread did not stop within %g s", self.camera, deadline)

    def _ask(self, job: Callable[[OnvifPtz], T], *, by_hand: bool = False) -> T:
        future: Future[T] = Future()
        with self._woken:
            if self._closing or len(self._jobs) >= _MOST_WAITING:
                raise OnvifError(Reason.TIMEOUT, "earlier requests to it have not ended yet")
            self._jobs.append((job, future))
            if by_hand:
                self._pause_following(0.0 if self._follow is None else self._follow.pause)
            self._wake()
        try:
            return future.result(PATIENCE)
        except NotInTimeError:
            future.cancel()
            raise OnvifError(Reason.TIMEOUT) from None

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"ptz-{self.camera}", daemon=True)
            self._thread.start()
        self._woken.notify()

    def _pause_following(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _run(self) -> None:
        while not self._closing:
            with self._woken:
                if not self._jobs and self._sight is None:
                    self._woken.wait(self._until_next())
                job = self._jobs.popleft() if self._jobs else None
                sight, self._sight = self._sight, None
            if job is not None:
                self._do(*job)
            self._stop_if_due()
            self._steer(sight)
        self._finish()

    def _until_next(self) -> float | None:
        """Returns the seconds until something is due; None if nothing is."""
        due = [] if self._stop_at is None else [self._stop_at - self._clock()]
        controller = self._controller
        if controller is not None and controller.is_due:
            due.append(max(_TICK, self._paused_until - self._clock()))
        return max(0.0, min(due)) if due else None

    def _do(self, job: Job, future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(job(self._connected()))
        except OnvifError as error:
            self._failed(error)
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001 — the caller's thread reports it
            future.set_exception(error)

    def _connected(self) -> OnvifPtz:
        if self._ptz is None:
            self._ptz = self._connect(self._options)
        return self._ptz

    def _failed(self, error: OnvifError) -> None:
        """Connects again next time, unless the camera only refused a request: it may have another clock now."""
        if error.reason is not Reason.OTHER and self._ptz is not None:
            self._ptz.close()
            self._ptz = None

    def _state(self, ptz: OnvifPtz) -> PtzState:
        if self._moves is None:
            self._moves = ptz.moves()
        presets, status, controller = ptz.presets(), ptz.status(), self._controller
        return PtzState(
            self._moves,
            presets,
            status.position,
            status.moving if status.moving is not None or self._stop_at is None else True,
            controller is not None,
            None if controller is None else controller.track,
            max(0.0, self._paused_until - self._clock()) if controller is not None else 0.0,
        )

    def _begin(self, ptz: OnvifPtz, speed: Vector, seconds: float) -> None:
        self._stop_at, self._stops = self._clock() + seconds, 0  # before: a move whose answer is lost must end too
        try:
            ptz.continuous(speed, seconds)
        except OnvifError as error:
            if error.reason in (Reason.UNAUTHORISED, Reason.OTHER):  # refused: it does not move
                self._stop_at = None
            raise
        self._stop_at = self._clock() + seconds

    def _end(self, ptz: OnvifPtz) -> None:
        self._sent = Steer()
        if self._stop_at is None:
            self._stop_at = self._clock()  # until the camera has stopped
        ptz.stop()
        self._stop_at = None

    def _stop_if_due(self) -> None:
        if self._stop_at is None or self._clock() < self._stop_at:
            return
        try:
            self._end(self._connected())
        except OnvifError as error:
            self._failed(error)
            self._stops += 1
            self._stop_at = self._clock() + _STOP_AGAIN if self._stops < _MOST_STOPS else None
            if self._throttle.add("stop"):
                log.warning("camera %s could not be stopped: %s; retrying", self.camera, error)

    def _steer(self, sight: Sight | None) -> None:
        controller, now = self._controller, self._clock()
        if controller is None:
            return
        if now < self._paused_until:
            controller.moved(now)
            self._sent = Steer()
            return
        if sight is not None:
            controller.seen(sight)
        if now - self._sent_at < _TICK:
            return
        steer = controller.steer(now)
        try:
            self._obey(steer, now)
            self._pause = _FIRST_PAUSE
        except OnvifError as error:
            self._failed(error)
            self._pause_following(self._pause)
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
            log.warning("camera %s cannot follow: %s; the next attempt is in %g s", self.camera, error, self._pause)

    def _obey(self, steer: Steer, now: float) -> None:
        """Sends a command if it differs from the last, or the last would end."""
        if steer.home:
            self._sent_at = now
            if self._stop_at is not None:
                self._end(self._connected())
            self._connected().goto_home()
            return
        moving, was = bool(steer.pan or steer.tilt), bool(self._sent.pan or self._sent.tilt)
        if not moving:
            if was:
                self._sent_at = now
                self._end(self._connected())
            return
        change = max(abs(steer.pan - self._sent.pan), abs(steer.tilt - self._sent.tilt))
        if was and change < _SAME_SPEED and now - self._sent_at < _RENEWED:
            return
        self._sent, self._sent_at = steer, now
        self._begin(self._connected(), Vector(steer.pan, steer.tilt), _FOLLOW_MOVE)

    def _finish(self) -> None:
        with self._woken:
            waiting = list(self._jobs)
            self._jobs.clear()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(OnvifError(Reason.OTHER, "the camera was removed"))
        if self._ptz is None:
            return
        if self._stop_at is not None:
            try:
                self._ptz.stop()
            except OnvifError as error:
                log.warning("camera %s could not be stopped: %s", self.camera, error)
        self._ptz.close()
