"""A simulated world with a camera that turns: the view moves as it is commanded, late and sluggishly, and its pictures
arrive late."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sightd.daemon.ptz.follow import FollowController, Sight, Steer, Target

STEP = 0.01


@dataclass
class MovingView:
    """`full_speed`: picture widths per second at speed 1. A command acts after `latency` s, and the speed approaches it
    with the time constant `inertia` s. What the picture shows arrives `delay` s later, every `interval` s, with noise
    of `noise` picture widths."""

    full_speed: float = 1.0
    latency: float = 0.08
    inertia: float = 0.1
    delay: float = 0.3
    interval: float = 0.12
    noise: float = 0.004
    at: float = 0.0
    pan: float = 0.0
    tilt: float = 0.0
    home_at: list[float] = field(default_factory=list)
    errors: list[tuple[float, float]] = field(default_factory=list)
    """Times, and distances of the object from the centre in picture widths."""

    def __post_init__(self) -> None:
        self._speed = [0.0, 0.0]
        self._pending: deque[tuple[float, Steer]] = deque()
        self._steer = Steer()
        self._pictures: deque[tuple[float, float, float]] = deque()
        self._random = np.random.default_rng(7)

    def run(
        self, controller: FollowController, seconds: float, where: Callable[[float], tuple[float, float] | None]
    ) -> None:
        """Lets the controller follow an object that is `where(time)`, in picture widths and heights from the centre of
        the home view; None if there is none."""
        steps, due = round(seconds / STEP), 0.0
        start = self.at
        for step in range(steps):
            self.at = start + step * STEP
            self._move()
            there = where(self.at)
            if there is not None:
                self.errors.append((self.at, math.hypot(there[0] - self.pan, there[1] - self.tilt)))
                self._pictures.append((self.at, there[0] - self.pan, there[1] - self.tilt))
            while self._pictures and self._pictures[0][0] < self.at - self.delay - self.interval:
                self._pictures.popleft()
            if self.at < due:
                continue
            due = self.at + self.interval
            shown = next((one for one in self._pictures if one[0] >= self.at - self.delay), None)
            old = shown is not None and shown[0] <= self.at - self.delay + STEP
            controller.seen(Sight(self.at, self._targets(shown) if old and shown is not None else (), 16 / 9))
            self._pending.append((self.at + self.latency, controller.steer(self.at)))

    def worst(self, since: float) -> float:
        """Returns the largest distance of the object from the centre from that time on."""
        return max(error for at, error in self.errors if at >= since)

    def _targets(self, shown: tuple[float, float, float]) -> tuple[Target, ...]:
        _, across, up = shown
        x, y = np.array((0.5 + across, 0.5 - up)) + self._random.normal(0, self.noise, 2)
        return (Target(1, "person", x, y, (x, y + 0.1), 0.02),) if 0 < x < 1 and 0 < y < 1 else ()

    def _move(self) -> None:
        while self._pending and self._pending[0][0] <= self.at:
            _, self._steer = self._pending.popleft()
            if self._steer.home:
                self.home_at.append(self.at)
                self.pan = self.tilt = 0.0
                self._speed, self._steer = [0.0, 0.0], Steer()
        share = STEP / (self.inertia + STEP)
        self._speed[0] += share * (self._steer.pan - self._speed[0])
        self._speed[1] += share * (self._steer.tilt - self._speed[1])
        self.pan += self._speed[0] * self.full_speed * STEP
        self.tilt += self._speed[1] * self.full_speed * 16 / 9 * STEP
