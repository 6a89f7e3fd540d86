"""Decides how to move a camera so that an object stays near the picture's centre. No clock, no thread, no camera.

What is measured is old: a frame has aged in the camera and in the analysis, and the view has moved since. So positions
are kept in the coordinates of the world, picture widths from where the view was at the start: where an object was
seen, plus how far the view had moved by then, as far as the commands and `full_speed` say. The object's speed there is
estimated by an alpha-beta filter, its position now is extrapolated, and the view moves with the object's speed and
towards its position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightd.daemon.config.onvif import Follow
from sightd.plugins.geometry.regions import inside

GAIN = 0.9
"""Part of the distance to the centre that is covered per second."""
_FORWARD = 0.5
"""Part of the object's estimated speed that the view moves with: less than 1, so that a wrong `full_speed` cannot
build up an oscillation."""
_ALPHA, _BETA = 0.5, 0.15
"""Weights of a measurement for position and speed."""
_STILL = 0.04
"""Picture widths per second below which an object stands."""
_SLOWEST = 0.03
"""Speeds below this are zero: most cameras do not move for them."""
_STALE = 1.0
"""Seconds after which a measurement no longer moves the camera."""
_LOST = 2.0
"""Seconds after which an object that is not seen is given up."""
_SAME = 0.2
"""Picture widths between an object that was lost and one of another id that is probably the same."""
_SETTLED = 3.0
"""Seconds that the way home may take; objects are not chosen on it."""
_REMEMBERED = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """An object that could be followed: its centre (x, y) and the point on the ground (foot), as fractions of the
    picture's width and height from its upper left corner; `size` is the fraction of the picture that its box covers."""

    number: int
    label: str
    x: float
    y: float
    foot: tuple[float, float]
    size: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What a frame shows. `captured_at` is in monotonic s, `aspect` the picture's width by its height."""

    captured_at: float
    targets: Sequence[Target]
    aspect: float


@dataclass(frozen=True, slots=True)
class Steer:
    """What to do: go `home`, or move with these speeds from -1 to 1 (right, up); both 0 means stop."""

    pan: float = 0.0
    tilt: float = 0.0
    home: bool = False


@dataclass(slots=True)
class _Axis:
    """An object on one axis of the world, in picture widths (heights), and s."""

    position: float
    speed: float = 0.0
    moving: bool = False

    def measured(self, position: float, elapsed: float) -> None:
        expected = self.position + self.speed * elapsed
        off = position - expected
        self.position = expected + _ALPHA * off
        if elapsed > 0:
            self.speed += _BETA * off / elapsed


@dataclass(slots=True)
class _Followed:
    number: int
    label: str
    at: float
    pan: _Axis
    tilt: _Axis

    def position(self, elapsed: float) -> tuple[float, float]:
        """Returns its expected position `elapsed` s after it was seen."""
        return self.pan.position + self.pan.speed * elapsed, self.tilt.position + self.tilt.speed * elapsed


class FollowController:
    """Follows one object at a time. Times are monotonic s, and never decrease. Not thread-safe."""

    def __init__(self, options: Follow) -> None:
        self._options = options
        self._zone = None if options.zone is None else np.array(options.zone, np.float64)
        self._followed: _Followed | None = None
        self._commands: deque[tuple[float, float, float]] = deque([(-math.inf, 0.0, 0.0)])
        self._aspect = 16 / 9
        self._seen_at = -math.inf
        self._at_home = True
        self._idle_since: float | None = None
        self._blind_until = -math.inf

    @property
    def track(self) -> int | None:
        """The id of the object that is followed."""
        return None if self._followed is None else self._followed.number

    @property
    def is_due(self) -> bool:
        """Whether `steer` may have something to do although nothing is seen: to stop, or to go home."""
        return self._followed is not None or (not self._at_home and self._options.home_after > 0)

    def moved(self, now: float, *, home: bool = False) -> None:
        """Somebody moved the camera: what is followed is given up."""
        self._followed, self._at_home, self._idle_since = None, home, None
        self._commanded(now, Steer())
        self._blind_until = now + (_SETTLED if home else 0.0)

    def seen(self, sight: Sight) -> None:
        """Takes what a frame shows; older frames than the last are ignored."""
        at = sight.captured_at - self._options.delay
        if at <= self._seen_at or sight.captured_at < self._blind_until:
            return
        self._seen_at, self._aspect = at, sight.aspect
        allowed = [one for one in sight.targets if one.label in self._options.classes]
        target = self._same(allowed, at) if self._followed is not None else self._chosen(allowed)
        if target is None:
            return
        pan, tilt = self._world(target, at)
        followed = self._followed
        if followed is None:
            self._followed = _Followed(target.number, target.label, at, _Axis(pan), _Axis(tilt))
            return
        followed.pan.measured(pan, at - followed.at)
        followed.tilt.measured(tilt, at - followed.at)
        followed.number, followed.at = target.number, at

    def steer(self, now: float) -> Steer:
        """Returns what the camera should do from `now` on; the result counts as done."""
        followed = self._followed
        if followed is not None and now - followed.at > _LOST + self._options.delay:
            followed = self._followed = None
        if followed is None:
            return self._idle(now)
        self._idle_since = None
        if now - followed.at > _STALE + self._options.delay:
            return self._commanded(now, Steer())
        view_pan, view_tilt = self._view(now)
        rate_pan, rate_tilt = self._rates()
        steer = Steer(
            self._speed(followed.pan, now - followed.at, view_pan, rate_pan),
            self._speed(followed.tilt, now - followed.at, view_tilt, rate_tilt),
        )
        return self._commanded(now, steer)

    def _speed(self, axis: _Axis, elapsed: float, view: float, rate: float) -> float:
        """Returns the speed for one axis, of the object that was measured `elapsed` s ago."""
        off = axis.position + axis.speed * elapsed - view
        dead = self._options.dead_zone / 2
        axis.moving = abs(off) > (dead / 2 if axis.moving else dead)
        forward = axis.speed if abs(axis.speed) > _STILL else 0.0
        wanted = ((GAIN * off if axis.moving else 0.0) + (_FORWARD * forward if axis.moving else 0.0)) / rate
        most = self._options.max_speed
        return 0.0 if abs(wanted) < _SLOWEST else max(-most, min(most, wanted))

    def _idle(self, now: float) -> Steer:
        if self._idle_since is None:
            self._idle_since = now
        after = self._options.home_after
        if after > 0 and not self._at_home and now - self._idle_since >= after:
            self.moved(now, home=True)
            return Steer(home=True)
        return self._commanded(now, Steer())

    def _commanded(self, now: float, steer: Steer) -> Steer:
        if (steer.pan, steer.tilt) != self._commands[-1][1:]:
            self._commands.append((now, steer.pan, steer.tilt))
        if steer.pan or steer.tilt:
            self._at_home = False
        while len(self._commands) > 2 and self._commands[1][0] < now - _REMEMBERED:
            self._forget()
        return steer

    def _forget(self) -> None:
        """Drops the oldest command, and moves the origin of the world by the way that it went."""
        began, pan, tilt = self._commands.popleft()
        ended = self._commands[0][0]
        lasted = ended - began if math.isfinite(began) else 0.0
        rate_pan, rate_tilt = self._rates()
        if self._followed is not None:
            self._followed.pan.position -= rate_pan * pan * lasted
            self._followed.tilt.position -= rate_tilt * tilt * lasted

    def _rates(self) -> tuple[float, float]:
        """Returns picture widths, and heights, per second at full speed."""
        return self._options.full_speed, self._options.full_speed * self._aspect

    def _view(self, at: float) -> tuple[float, float]:
        """Returns how far the view has moved by that time since the oldest command that is remembered."""
        pan = tilt = 0.0
        ends = [command[0] for command in list(self._commands)[1:]] + [math.inf]
        for (began, speed_pan, speed_tilt), ended in zip(self._commands, ends, strict=True):
            lasted = max(0.0, min(at, ended) - began) if math.isfinite(began) else 0.0
            pan += speed_pan * lasted
            tilt += speed_tilt * lasted
        rate_pan, rate_tilt = self._rates()
        return rate_pan * pan, rate_tilt * tilt

    def _world(self, target: Target, at: float) -> tuple[float, float]:
        pan, tilt = self._view(at)
        return pan + target.x - 0.5, tilt + 0.5 - target.y

    def _same(self, targets: Sequence[Target], at: float) -> Target | None:
        """Returns the followed object; if it is gone, one of its class at its expected position."""
        followed = self._followed
        assert followed is not None
        found = next((one for one in targets if one.number == followed.number), None)
        if found is not None:
            return found
        elapsed = at - followed.at
        expected = followed.position(elapsed)

        def distance(one: Target) -> float:
            pan, tilt = self._world(one, at)
            return math.hypot(pan - expected[0], tilt - expected[1])

        near = [one for one in targets if one.label == followed.label and distance(one) < _SAME]
        return min(near, key=distance, default=None)

    def _chosen(self, targets: Sequence[Target]) -> Target | None:
        if self._zone is not None:
            if not self._at_home:
                return None
            feet = np.array([one.foot for one in targets], np.float64).reshape(-1, 2)
            targets = [one for one, within in zip(targets, inside(feet, self._zone), strict=True) if within]
        return max(targets, key=lambda one: one.size, default=None)
