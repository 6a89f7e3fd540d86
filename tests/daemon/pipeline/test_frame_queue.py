"""The queue of a plug-in is bounded by the number of cameras, fair, and never stale."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.pipeline.frame_queue import FrameQueue, FrameTask
from tests.daemon.pipeline.plugins import frame
from tests.support.waiting import eventually


def task(camera: str = "a", seq: int = 0) -> FrameTask:
    return FrameTask(frame(camera, seq), on_end=lambda _: None)


def names(tasks: list[FrameTask]) -> list[tuple[str, int]]:
    return [(t.frame.camera, t.frame.seq) for t in tasks]


def test_first_come_first_served() -> None:
    queue = FrameQueue()
    for camera in "abc":
        queue.put(task(camera))
    assert [names(queue.take(1))[0][0] for _ in range(3)] == ["a", "b", "c"]


def test_a_newer_frame_keeps_its_cameras_place_in_the_queue() -> None:
    queue = FrameQueue()
    old = task("a", 1)
    queue.put(old)
    queue.put(task("b", 1))
    assert queue.replace(old, task("a", 2))
    assert names(queue.take(2)) == [("a", 2), ("b", 1)]


def test_nothing_is_replaced_once_a_worker_has_taken_it() -> None:
    queue = FrameQueue()
    old = task("a", 1)
    queue.put(old)
    queue.take(1)
    assert not queue.replace(old, task("a", 2))
    assert len(queue) == 0


def test_a_batch_takes_what_waits_and_no_more_than_asked() -> None:
    queue = FrameQueue()
    for camera in "abc":
        queue.put(task(camera))
    assert len(queue.take(2)) == 2
    assert len(queue.take(8)) == 1


def test_waits_for_a_fuller_batch_when_asked_to() -> None:
    queue = FrameQueue()
    queue.put(task("a"))
    late = threading.Timer(0.05, lambda: queue.put(task("b")))
    late.start()
    assert len(queue.take(2, max_wait=5.0)) == 2
    late.join()


def test_a_worker_whose_frames_another_one_took_waits_on() -> None:
    queue = FrameQueue()
    taken: list[list[FrameTask]] = []
    workers = [threading.Thread(target=lambda: taken.append(queue.take(8, max_wait=0.1))) for _ in range(2)]
    for worker in workers:
        worker.start()
    queue.put(task("a"))
    queue.put(task("b"))  # wakes the second worker, too; the first one to wake takes both
    eventually(lambda: len(queue) == 0)
    queue.put(task("c"))
    for worker in workers:
        worker.join(5)
    assert sorted(camera for tasks in taken for camera, _ in names(tasks)) == ["a", "b", "c"]


def test_a_worker_whose_camera_is_removed_while_it_waits_for_more_waits_on() -> None:
    queue = FrameQueue()
    queue.put(task("a"))
    removal = threading.Timer(0.02, queue.discard, ("a",))
    arrival = threading.Timer(0.2, queue.put, (task("b"),))
    removal.start()
    arrival.start()
    assert names(queue.take(8, max_wait=0.1)) == [("b", 0)]
    removal.join()
    arrival.join()


def test_closing_wakes_the_worker_and_those_who_wait_for_a_frame_task() -> None:
    queue = FrameQueue()
    waiting = task()
    queue.put(waiting)
    queue.close()
    assert waiting.wait(0) is False
    assert queue.take(1) == []


def test_a_removed_camera_leaves_nothing() -> None:
    queue = FrameQueue()
    queue.put(task("a"))
    queue.discard("a")
    queue.discard("a")
    assert len(queue) == 0


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60))
def test_never_holds_two_frames_of_a_camera_and_gives_each_cameras_newest(steps: list[tuple[str, bool]]) -> None:
    queue = FrameQueue()
    newest: dict[str, FrameTask] = {}
    for seq, (camera, take) in enumerate(steps):
        new = task(camera, seq)
        if camera not in newest or not queue.replace(newest[camera], new):
            queue.put(new)
        newest[camera] = new
        if take:
            for taken in queue.take(1):
                assert newest.pop(taken.frame.camera) is taken
        assert len(queue) == len(newest) <= 5
