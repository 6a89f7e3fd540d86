"""The newest-frame slot."""

from __future__ import annotations

import threading
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.capture.slot import FrameSlot
from sightd.plugins.api import Frame


def frame(seq: int) -> Frame:
    return Frame.of(np.zeros((2, 2, 3), np.uint8), seq=seq)


def test_a_frame_can_be_taken_once() -> None:
    slot = FrameSlot()
    assert slot.put(frame(1)) is False
    taken = slot.take(0)
    assert taken is not None
    assert taken.seq == 1
    assert slot.take(0) is None


def test_a_newer_frame_replaces_an_older_one_and_put_says_so() -> None:
    slot = FrameSlot()
    slot.put(frame(1))
    assert slot.put(frame(2)) is True
    taken = slot.take(0)
    assert taken is not None
    assert taken.seq == 2


def test_take_waits_for_a_frame() -> None:
    slot = FrameSlot()
    threading.Timer(0.05, slot.put, [frame(5)]).start()
    taken = slot.take(5)
    assert taken is not None
    assert taken.seq == 5


def test_take_gives_up_after_its_timeout() -> None:
    began = time.monotonic()
    assert FrameSlot().take(0.05) is None
    assert 0.05 <= time.monotonic() - began < 2


def test_close_wakes_the_consumer_at_once_and_for_good() -> None:
    slot = FrameSlot()
    threading.Timer(0.05, slot.close).start()
    began = time.monotonic()
    assert slot.take(30) is None
    assert time.monotonic() - began < 5
    assert slot.put(frame(1)) is False
    assert slot.take(30) is None
    assert slot.closed


@given(st.lists(st.booleans(), max_size=60))
def test_every_frame_is_either_taken_or_reported_as_replaced_and_order_is_kept(puts: list[bool]) -> None:
    slot = FrameSlot()
    put = replaced = 0
    taken: list[int] = []
    for is_put in [*puts, False]:
        if is_put:
            replaced += slot.put(frame(put))
            put += 1
        elif (found := slot.take(0)) is not None:
            taken.append(found.seq)
    assert put == replaced + len(taken)
    assert taken == sorted(taken)


def test_between_threads_no_frame_is_lost_without_being_counted() -> None:
    slot, taken = FrameSlot(), []

    def consume() -> None:
        while (found := slot.take(0.5)) is not None:
            taken.append(found.seq)

    consumer = threading.Thread(target=consume)
    consumer.start()
    replaced = sum(slot.put(frame(seq)) for seq in range(2000))
    consumer.join(10)
    assert len(taken) + replaced == 2000
    assert taken == sorted(taken)
    assert taken[-1] == 1999
