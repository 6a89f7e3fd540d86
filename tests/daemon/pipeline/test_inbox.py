"""The queue of a plug-in is bounded by the number of cameras, fair, and never stale."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.pipeline.inbox import Inbox
from sightd.daemon.pipeline.ticket import Ticket
from tests.daemon.pipeline.plugins import frame
from tests.support.waiting import eventually


def ticket(camera: str = "a", seq: int = 0) -> Ticket:
    return Ticket(frame(camera, seq), on_end=lambda _: None)


def names(tickets: list[Ticket]) -> list[tuple[str, int]]:
    return [(t.frame.camera, t.frame.seq) for t in tickets]


def test_first_come_first_served() -> None:
    inbox = Inbox()
    for camera in "abc":
        inbox.put(ticket(camera))
    assert [names(inbox.take(1))[0][0] for _ in range(3)] == ["a", "b", "c"]


def test_a_newer_frame_keeps_its_cameras_place_in_the_queue() -> None:
    inbox = Inbox()
    old = ticket("a", 1)
    inbox.put(old)
    inbox.put(ticket("b", 1))
    assert inbox.replace(old, ticket("a", 2))
    assert names(inbox.take(2)) == [("a", 2), ("b", 1)]


def test_nothing_is_replaced_once_a_worker_has_taken_it() -> None:
    inbox = Inbox()
    old = ticket("a", 1)
    inbox.put(old)
    inbox.take(1)
    assert not inbox.replace(old, ticket("a", 2))
    assert len(inbox) == 0


def test_a_batch_takes_what_waits_and_no_more_than_asked() -> None:
    inbox = Inbox()
    for camera in "abc":
        inbox.put(ticket(camera))
    assert len(inbox.take(2)) == 2
    assert len(inbox.take(8)) == 1


def test_waits_for_a_fuller_batch_when_asked_to() -> None:
    inbox = Inbox()
    inbox.put(ticket("a"))
    late = threading.Timer(0.05, lambda: inbox.put(ticket("b")))
    late.start()
    assert len(inbox.take(2, max_wait=5.0)) == 2
    late.join()


def test_a_worker_whose_frames_another_one_took_waits_on() -> None:
    inbox = Inbox()
    taken: list[list[Ticket]] = []
    workers = [threading.Thread(target=lambda: taken.append(inbox.take(8, max_wait=0.1))) for _ in range(2)]
    for worker in workers:
        worker.start()
    inbox.put(ticket("a"))
    inbox.put(ticket("b"))  # wakes the second worker, too; the first one to wake takes both
    eventually(lambda: len(inbox) == 0)
    inbox.put(ticket("c"))
    for worker in workers:
        worker.join(5)
    assert sorted(camera for tickets in taken for camera, _ in names(tickets)) == ["a", "b", "c"]


def test_a_worker_whose_camera_is_removed_while_it_waits_for_more_waits_on() -> None:
    inbox = Inbox()
    inbox.put(ticket("a"))
    removal = threading.Timer(0.02, inbox.discard, ("a",))
    arrival = threading.Timer(0.2, inbox.put, (ticket("b"),))
    removal.start()
    arrival.start()
    assert names(inbox.take(8, max_wait=0.1)) == [("b", 0)]
    removal.join()
    arrival.join()


def test_closing_wakes_the_worker_and_whoever_waits_for_a_ticket() -> None:
    inbox = Inbox()
    waiting = ticket()
    inbox.put(waiting)
    inbox.close()
    assert waiting.wait(0) is False
    assert inbox.take(1) == []


def test_a_removed_camera_leaves_nothing() -> None:
    inbox = Inbox()
    inbox.put(ticket("a"))
    inbox.discard("a")
    inbox.discard("a")
    assert len(inbox) == 0


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60))
def test_never_holds_two_frames_of_a_camera_and_gives_each_cameras_newest(steps: list[tuple[str, bool]]) -> None:
    inbox = Inbox()
    newest: dict[str, Ticket] = {}
    for seq, (camera, take) in enumerate(steps):
        new = ticket(camera, seq)
        if camera not in newest or not inbox.replace(newest[camera], new):
            inbox.put(new)
        newest[camera] = new
        if take:
            for taken in inbox.take(1):
                assert newest.pop(taken.frame.camera) is taken
        assert len(inbox) == len(newest) <= 5
