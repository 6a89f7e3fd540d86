"""Requests wait in a bounded queue, keep to a rate, pause after failures, and end with the sender."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sightd.plugins.describe.endpoint import EndpointError, Outcome
from sightd.plugins.describe.sender import CameraReport, DescriptionRequest, RequestPacing, Sender
from tests.support.waiting import eventually

IMAGE = np.zeros((8, 8, 3), np.uint8)


class StubEndpoint:
    """Answers what the test puts into `replies`: a text, or an error to raise. A request waits until there is one."""

    def __init__(self) -> None:
        self.replies: queue.Queue[str | Exception] = queue.Queue()
        self.begun = threading.Semaphore(0)
        self.asked = 0

    def ask(self, jpeg: bytes) -> str:
        assert jpeg.startswith(b"\xff\xd8")
        self.asked += 1
        self.begun.release()
        reply = self.replies.get()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def abort(self) -> None:
        self.replies.put(EndpointError(Outcome.TIMEOUT, "aborted"))


@pytest.fixture
def endpoint() -> StubEndpoint:
    return StubEndpoint()


@pytest.fixture
def opened(endpoint: StubEndpoint) -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def open_sender(per_minute: int = 600, max_queue: int = 8) -> Sender:
        sender = Sender(endpoint, name="describe", quality=80, per_minute=per_minute, max_queue=max_queue)
        senders.append(sender)
        return sender

    yield open_sender
    for sender in senders:
        sender.close()


def request(camera: str = "yard", number: int = 0) -> DescriptionRequest:
    return DescriptionRequest(camera, IMAGE, {"track": number}, None)


def collected(sender: Sender, requests: int, camera: str = "yard") -> CameraReport:
    """Returns all that is reported about a camera, once so many requests have ended."""
    total = CameraReport()

    def is_complete() -> bool:
        report = sender.collect(camera, 16)
        total.answers += report.answers
        total.outcomes += report.outcomes
        total.dropped += report.dropped
        return total.outcomes.total() == requests

    eventually(is_complete, what=f"{requests} requests")
    return total


def test_answers_come_in_order_with_what_their_requests_said_and_only_once(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened()
    for number in range(3):
        sender.submit(request(number=number))
        endpoint.replies.put(f"text {number}")
    report = collected(sender, 3)
    assert [(one.text, one.request.facts["track"]) for one in report.answers] == [(f"text {n}", n) for n in range(3)]
    assert report.outcomes == {"answered": 3}
    assert sender.collect("yard", 16) == CameraReport()


def test_cameras_get_their_own_answers(opened: Callable[..., Sender], endpoint: StubEndpoint) -> None:
    sender = opened()
    sender.submit(request("yard"))
    sender.submit(request("door"))
    endpoint.replies.put("a yard")
    endpoint.replies.put("a door")
    assert [one.text for one in collected(sender, 1, "door").answers] == ["a door"]
    assert [one.text for one in collected(sender, 1, "yard").answers] == ["a yard"]


def test_more_answers_than_fit_on_a_frame_come_with_the_next(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened()
    for number in range(3):
        sender.submit(request(number=number))
        endpoint.replies.put("text")
    eventually(lambda: endpoint.asked == 3 and endpoint.replies.empty())
    eventually(lambda: len(sender._reports["yard"].answers) == 3)
    assert [len(sender.collect("yard", 2).answers) for _ in range(3)] == [2, 1, 0]


def test_the_oldest_image_is_dropped_if_the_queue_is_full(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened(max_queue=2)
    sender.submit(request(number=0))
    assert endpoint.begun.acquire(timeout=30)  # it is being sent, so it does not wait any more
    for number in range(1, 5):
        sender.submit(request(number=number))
    for _ in range(3):
        endpoint.replies.put("text")
    report = collected(sender, 3)
    assert [one.request.facts["track"] for one in report.answers] == [0, 3, 4]
    assert report.dropped == {"queue_full": 2}


def test_failures_are_counted_by_outcome_and_logged_with_the_pause(
    opened: Callable[..., Sender], endpoint: StubEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sender = opened()
    sender.submit(request())
    endpoint.replies.put(EndpointError(Outcome.THROTTLED, "the endpoint answered 429", 120.0))
    report = collected(sender, 1)
    assert (report.outcomes, report.answers) == ({"throttled": 1}, [])
    expected = "plug-in describe: no description: the endpoint answered 429; next request in 120 s"
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_an_error_in_sightd_itself_does_not_end_the_thread(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened()
    sender.submit(request())
    sender.submit(request())
    endpoint.replies.put(ZeroDivisionError("a bug"))
    endpoint.replies.put("text")
    assert collected(sender, 2).outcomes == {"invalid": 1, "answered": 1}


def test_what_belongs_to_a_forgotten_camera_is_dropped_also_its_request_in_progress(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened()
    sender.submit(request("yard"))
    assert endpoint.begun.acquire(timeout=30)
    sender.submit(request("yard"))
    sender.submit(request("door"))
    sender.forget("yard")
    endpoint.replies.put("a yard")
    endpoint.replies.put("a door")
    assert [one.text for one in collected(sender, 1, "door").answers] == ["a door"]
    assert endpoint.asked == 2
    assert sender.collect("yard", 16) == CameraReport()


def test_closing_ends_the_request_in_progress_and_sends_nothing_more(
    opened: Callable[..., Sender], endpoint: StubEndpoint
) -> None:
    sender = opened()
    sender.submit(request())
    sender.submit(request())
    assert endpoint.begun.acquire(timeout=30)
    sender.close()
    eventually(lambda: not sender._thread.is_alive())
    sender.close()
    assert endpoint.asked == 1


def test_closing_does_not_wait_for_an_endpoint_that_cannot_be_aborted(
    opened: Callable[..., Sender], endpoint: StubEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "abort", lambda: None)
    sender = opened()
    sender.submit(request())
    assert endpoint.begun.acquire(timeout=30)
    sender.close()
    assert sender._thread.is_alive()
    endpoint.replies.put("too late")


def test_the_rate_holds_in_any_minute() -> None:
    pacing = RequestPacing(3)
    begun, now = [], 0.0
    for _ in range(20):
        now += pacing.delay(now)
        pacing.begins(now)
        begun.append(now)
        now += 1.0
    assert begun[:3] == [0.0, 1.0, 2.0]
    assert all(later - earlier >= 60.0 for earlier, later in zip(begun, begun[3:], strict=False))


def test_a_pause_begins_with_the_third_failure_and_doubles_up_to_five_minutes() -> None:
    pacing = RequestPacing(600)
    pauses = [pacing.failed(1000.0, None) for _ in range(12)]
    assert pauses == [0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert (pacing.delay(1000.0), pacing.delay(1200.0), pacing.delay(1300.0)) == (300.0, 100.0, 0.0)


def test_a_success_ends_the_pauses() -> None:
    pacing = RequestPacing(600)
    for _ in range(5):
        pacing.failed(0.0, None)
    pacing.succeeded()
    assert [pacing.failed(0.0, None) for _ in range(3)] == [0, 0, 5]


def test_a_pause_that_the_endpoint_asks_for_is_kept_unless_ours_is_longer() -> None:
    pacing = RequestPacing(600)
    assert [pacing.failed(0.0, after) for after in (30.0, None, 2.0, 2.0)] == [30.0, 0.0, 5.0, 10.0]
