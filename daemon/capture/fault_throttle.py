"""Rate-limits fault messages so that an offline camera does not flood the log. Pure: callers pass the time."""

from __future__ import annotations

from sightd.daemon.capture.errors import Reason

_AGAIN = (60.0, 600.0, 3600.0)
"""Seconds after the first fault of a series at which it is logged again; after that, once an hour."""


class FaultThrottle:
    """Log throttle for one camera's faults. A series lasts from the first fault until frames have come steadily for a
    while."""

    def __init__(self) -> None:
        self._began = 0.0
        self._next = 0.0
        self._told: set[Reason] = set()

    def worth_telling(self, reason: Reason, attempts: int, now: float) -> bool:
        """Returns whether to log a fault at `now`, monotonic s: each reason once per interval, and the intervals grow.

        `attempts` counts the failed attempts of the series, including this one.
        """
        if attempts <= 1:
            self._began, self._told = now, set()
            self._next = now + _AGAIN[0]
        elif now >= self._next:
            self._told = set()
            self._next = self._began + _following(now - self._began)
        elif reason in self._told:
            return False
        self._told.add(reason)
        return True

    def since(self, now: float) -> float:
        """Returns the seconds since the series began."""
        return now - self._began


def _following(elapsed: float) -> float:
    hour = _AGAIN[-1]
    return next((at for at in _AGAIN if at > elapsed), (elapsed // hour + 1) * hour)


def in_words(seconds: float) -> str:
    """Formats a duration for people: "40 s", "10 min", "3 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"
