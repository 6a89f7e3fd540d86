"""Commands that arrive by MQTT: who sends them is up to the broker, so each is checked, and they are bounded."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable

from sightd.daemon.delivery.home_view import Home, Threshold
from sightd.engines.log_throttle import LogThrottle
from sightd.engines.text import printable

log = logging.getLogger(__name__)

_MOST_WAITING = 32
"""Commands that wait; more are ignored."""
_LONGEST = 16
"""Bytes of a command."""
_ADJUST_EVERY = 2.0
"""Seconds between two changes of options, each of which is a reload."""


class Commands:
    """Takes commands and carries them out: PREFIX cameras/CAMERA/analysis with ON or OFF, and PREFIX
    plugins/PLUGIN/OPTION with a number. Anything else is ignored and logged. One thread."""

    def __init__(self, sink: str, prefix: str, home: Home, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink, self._prefix, self._home, self._clock = sink, prefix, home, clock
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._wishes: dict[tuple[str, str], float] = {}
        """The newest value for each option that is still to be set."""
        self._next_change = 0.0
        self._throttle = LogThrottle()

    def add(self, topic: str, payload: bytes, retained: bool) -> None:
        """Takes a command. Retained ones are ignored: they are old, and would be repeated at each connection."""
        if not topic.startswith(self._prefix):
            return
        if retained:
            self._ignore(topic, "it is retained")
        elif len(self._waiting) >= _MOST_WAITING:
            self._ignore(topic, "too many commands wait")
        elif len(payload) > _LONGEST:
            self._ignore(topic, "it is too long")
        else:
            self._waiting.append((topic, payload))

    def run(self) -> bool:
        """Carries out what waits. Returns whether anything may have changed."""
        changed = False
        while self._waiting:
            topic, payload = self._waiting.popleft()
            match topic.removeprefix(self._prefix).split("/"):
                case ["cameras", camera, "analysis"]:
                    changed |= self._pause(topic, camera, payload)
                case ["plugins", plugin, option]:
                    self._wish(topic, (plugin, option), payload)
                case _:
                    self._ignore(topic, "there is no such command")
        return self._adjust() or changed

    def _pause(self, topic: str, camera: str, payload: bytes) -> bool:
        if payload not in (b"ON", b"OFF"):
            self._ignore(topic, "write ON or OFF")
            return False
        paused = payload == b"OFF"
        if not self._home.pause(camera, paused):
            self._ignore(topic, "there is no such camera, or its chain redacts and cannot be paused")
            return False
        log.info("sink %s: the analysis of camera %s was %s", self._sink, camera, "paused" if paused else "resumed")
        return True

    def _wish(self, topic: str, key: tuple[str, str], payload: bytes) -> None:
        one = self._threshold(key)
        value = _number(payload)
        if one is None:
            self._ignore(topic, "no running plug-in has such an option")
        elif value is None or not one.minimum <= value <= one.maximum:
            self._ignore(topic, f"write a number from {one.minimum:g} to {one.maximum:g}")
        else:
            self._wishes[key] = value

    def _adjust(self) -> bool:
        if not self._wishes or self._clock() < self._next_change:
            return False
        key, value = next(iter(self._wishes.items()))
        one = self._threshold(key)
        if one is not None and one.value != value and not self._home.adjust(one, value):
            return False
        del self._wishes[key]
        self._next_change = self._clock() + _ADJUST_EVERY
        log.info("sink %s: %s of plug-in %s is set to %g", self._sink, key[1], key[0], value)
        return True

    def _threshold(self, key: tuple[str, str]) -> Threshold | None:
        found = (one for one in self._home.view().thresholds if (one.plugin, one.option) == key)
        return next(found, None)

    def _ignore(self, topic: str, reason: str) -> None:
        if self._throttle.add():
            log.warning("sink %s: a command at %s was ignored: %s", self._sink, printable(topic[:200]), reason)


def _number(payload: bytes) -> float | None:
    try:
        value = float(payload.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return None
    return value if math.isfinite(value) else None
