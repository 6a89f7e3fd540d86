"""Which faults of a camera are logged."""

from __future__ import annotations

import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FaultThrottle, in_words


def logged(faults: dict[float, Reason]) -> list[float]:
    """Returns the times of the faults that are logged, all during one outage."""
    throttle = FaultThrottle()
    return [
        at for attempts, (at, reason) in enumerate(faults.items(), 1) if throttle.worth_logging(reason, attempts, at)
    ]


def test_a_camera_that_stays_away_is_reported_at_growing_intervals() -> None:
    every_8_seconds = {100.0 + 8 * n: Reason.REFUSED for n in range(3600 * 4 // 8)}
    assert [round(at - 100) for at in logged(every_8_seconds)] == [0, 64, 600, 3600, 7200, 10800]


def test_another_reason_is_reported_immediately_and_only_once() -> None:
    reasons = [Reason.REFUSED, Reason.REFUSED, Reason.TIMEOUT, Reason.REFUSED, Reason.TIMEOUT, Reason.NOT_FOUND]
    assert logged({float(at): reason for at, reason in enumerate(reasons)}) == [0, 2, 5]


def test_a_camera_that_was_well_meanwhile_begins_a_new_series() -> None:
    throttle = FaultThrottle()
    assert throttle.worth_logging(Reason.EOF, 1, 0.0)
    assert not throttle.worth_logging(Reason.EOF, 2, 1.0)
    assert throttle.worth_logging(Reason.EOF, 1, 20.0)
    assert throttle.since(21.0) == 1.0


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (99, "99 s"), (600, "10 min"), (7200, "2 h")])
def test_a_span_is_formatted_in_words(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


def test_no_explanation_begins_with_its_reason() -> None:
    assert not [reason for reason in Reason if reason.explanation.startswith(reason.replace("_", " "))]
