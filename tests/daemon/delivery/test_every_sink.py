"""What holds for every sink, whatever happens to its receiver, which is a real server in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.sink_receivers import KINDS, SLOW, Receiver, receiver
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in KINDS])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    with receiver(request.param, tmp_path) as one:
        yield one


@pytest.fixture
def events(tmp_path: Path) -> Iterator[DeliveryHarness]:
    with DeliveryHarness(tmp_path) as one:
        yield one


def ids(server: Receiver) -> list[int]:
    return [one.event["id"] for one in server.delivered()]


def first_arrivals(server: Receiver) -> list[int]:
    """Returns ids in the order in which they arrived, without repeated ones."""
    return list(dict.fromkeys(ids(server)))


def test_events_arrive_once_in_order_and_with_an_id_of_the_instance(server: Receiver, events: DeliveryHarness) -> None:
    events.apply(out=server.options)
    sent = events.note(20)
    events.settled("out")
    delivered = server.delivered()
    assert [one.event["id"] for one in delivered] == sent
    assert [one.key for one in delivered] == [f"yard-{number}" for number in sent]
    assert {one.event["kind"] for one in delivered} == {"camera.late"}
    assert events.count("out", "delivered") == 20


def test_a_receiver_that_is_killed_gets_every_event_in_order_when_it_is_back(
    server: Receiver, events: DeliveryHarness
) -> None:
    events.apply(out={**server.options, "timeout": "500ms"})
    sent = events.note(3)
    events.settled("out")
    server.kill()
    sent += events.note(3)
    eventually(lambda: events.report("out").fault is not None, what="the outage is noticed")
    assert events.report("out").pending == 3
    server.start()
    sent += events.note(3)
    events.settled("out")
    assert first_arrivals(server) == sent
    assert events.report("out").fault is None


def test_a_frozen_receiver_ends_attempts_by_the_timeout_and_nothing_is_lost_or_out_of_order(
    server: Receiver, events: DeliveryHarness
) -> None:
    events.apply(out={**server.options, "timeout": "200ms"})
    sent = events.note(2)
    events.settled("out")
    server.freeze()
    sent += events.note(2)
    eventually(lambda: "within 0.2 s" in (events.report("out").fault or ""), what="the timeout is reported")
    server.thaw()
    sent += events.note(1)
    events.settled("out")
    assert first_arrivals(server) == sent
    assert not events.dead("out")


def test_a_receiver_that_stops_again_and_again_gets_every_event(server: Receiver, events: DeliveryHarness) -> None:
    events.apply(out={**server.options, "timeout": "2s"})
    sent = []
    for _ in range(3):
        server.freeze()
        sent += events.note(5)
        server.thaw()
        sent += events.note(5)
    events.settled("out")
    assert first_arrivals(server) == sent


def test_after_a_restart_of_sightd_delivery_continues(server: Receiver, tmp_path: Path) -> None:
    with DeliveryHarness(tmp_path / "state") as events:
        events.apply(out={**server.options, "timeout": "300ms"})
        sent = events.note(2)
        events.settled("out")
        server.freeze()
        sent += events.note(2)
        eventually(lambda: events.report("out").fault is not None, what="the outage is noticed")
    server.thaw()
    with DeliveryHarness(tmp_path / "state") as events:
        events.apply(out=server.options)
        sent += events.note(1)
        events.settled("out")
    assert first_arrivals(server) == sent


def test_a_frozen_receiver_delays_no_stop(server: Receiver, events: DeliveryHarness) -> None:
    events.apply(out={**server.options, "timeout": "1h"})
    events.note(1)
    events.settled("out")
    server.freeze()
    events.note(1)
    eventually(lambda: events.delivery._workers["out"].progress.sending_since is not None, what="it is being sent")
    events.delivery.close(1.0)
    assert not events.delivery._workers["out"]._thread.is_alive(), "the call was aborted"
