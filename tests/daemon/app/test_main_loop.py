"""The main thread gets every request, whichever thread the kernel chooses to handle the signal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from sightd.daemon.app.main_loop import MainRequest, Requests
from tests.support.waiting import eventually


@pytest.fixture
def requests() -> Iterator[Requests]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield Requests()
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "request_"), [(signal.SIGTERM, MainRequest.STOP), (signal.SIGHUP, MainRequest.RELOAD)]
)
def test_a_signal_that_another_thread_receives_reaches_the_waiting_main_thread(
    number: signal.Signals, request_: MainRequest, requests: Requests
) -> None:
    main = threading.get_ident()

    def receive() -> None:
        eventually(lambda: sys._current_frames()[main].f_code is Requests.next.__code__, 10)
        signal.pthread_kill(threading.get_ident(), number)

    receiver = threading.Thread(target=receive)
    receiver.start()
    assert requests.next() is request_
    receiver.join()


def test_requests_are_answered_in_order_and_an_error_is_raised(requests: Requests) -> None:
    requests.put(MainRequest.STARTED)
    requests.put(MainRequest.RELOAD)
    requests.fail(RuntimeError("hung"))
    assert [requests.next(), requests.next()] == [MainRequest.STARTED, MainRequest.RELOAD]
    with pytest.raises(RuntimeError, match="hung"):
        requests.next()


def test_after_a_stop_was_requested_nothing_else_is(requests: Requests) -> None:
    requests.put(MainRequest.RELOAD)
    signal.raise_signal(signal.SIGTERM)
    assert [requests.next(), requests.next()] == [MainRequest.STOP, MainRequest.STOP]
