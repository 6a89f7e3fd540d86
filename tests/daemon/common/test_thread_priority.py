"""Inference threads yield to the threads that deliver frames."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from sightd.daemon.common.process import DELIVERY_NICENESS, INFERENCE_NICENESS, lower_thread_priority, raise_niceness


def test_a_yielding_thread_and_those_it_starts_have_a_lower_priority_and_take_no_core_when_they_wake() -> None:
    def in_a_thread_it_starts() -> tuple[int, int]:
        lower_thread_priority()
        with ThreadPoolExecutor(1) as started:
            return started.submit(_priority).result()

    before = _priority()
    with ThreadPoolExecutor(1) as yielding:
        inherited = yielding.submit(in_a_thread_it_starts).result()
    assert inherited == (max(INFERENCE_NICENESS, before[0]), os.SCHED_BATCH)
    assert _priority() == before, "of the calling thread only"


def test_a_thread_that_delivers_events_yields_to_the_video_and_not_to_inference() -> None:
    def delivering() -> tuple[int, int]:
        raise_niceness(DELIVERY_NICENESS)
        return _priority()

    before = _priority()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(delivering).result() == (max(DELIVERY_NICENESS, before[0]), before[1])
    assert 0 < DELIVERY_NICENESS < INFERENCE_NICENESS
    assert _priority() == before, "of the calling thread only"


def test_a_niceness_is_never_lowered() -> None:
    def twice() -> tuple[int, int]:
        raise_niceness(INFERENCE_NICENESS)
        raise_niceness(DELIVERY_NICENESS)
        return _priority()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(twice).result()[0] == max(INFERENCE_NICENESS, _priority()[0])


def _priority() -> tuple[int, int]:
    """Returns the calling thread's niceness and scheduling policy."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)
