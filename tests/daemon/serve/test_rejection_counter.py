"""Each rejection of a flood is counted, but only now and then is one logged."""

from __future__ import annotations

import logging

import pytest

from sightd.daemon.serve.limits import RejectionCounter
from sightd.engines.log_throttle import INTERVAL


def test_each_is_counted_and_the_log_reports_many_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    now, counted = 100.0, list[str]()
    rejections = RejectionCounter("RTSP", {"total": "it is full", "slow": "it is slow"}, counted.append, lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            rejections.add("total", "192.0.2.1")
        rejections.add("slow", "192.0.2.2")
        now += INTERVAL
        rejections.add("total", "192.0.2.3")
    assert counted.count("total") == 51
    assert caplog.messages == [
        "RTSP closed 1 connection(s), the last from 192.0.2.1: it is full",
        "RTSP closed 1 connection(s), the last from 192.0.2.2: it is slow",
        "RTSP closed 50 connection(s), the last from 192.0.2.3: it is full",
    ]
