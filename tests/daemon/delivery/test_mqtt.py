"""Events reach the subscribers of a real broker at least once and in order, and so does whether sightd is online."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make setup")

from sightd.daemon.config.delivery import MqttOptions
from sightd.daemon.delivery.mqtt import Mqtt
from sightd.daemon.delivery.sink import RefusedError, UnavailableError
from sightd.daemon.events.event import Event, EventKind
from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.certificates import self_signed
from tests.support.mosquitto import Broker, Message, Subscriber
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

EVENT = Event(812, "camera.down", 1.0, "gate", None, {"reason": "timeout"})
ONLINE = Message("sightd/yard/status", b"online", False)
OFFLINE = Message("sightd/yard/status", b"offline", False)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as one:
        yield one


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    with Subscriber(broker.port) as one:
        yield one


def options(port: int, **others: Any) -> dict[str, Any]:
    return {"type": "mqtt", "host": "127.0.0.1", "port": port, **others}


def mqtt(port: int, **others: Any) -> Mqtt:
    return Mqtt("home", MqttOptions.model_validate(options(port, **others)), "yard")


def ids(subscriber: Subscriber) -> list[int]:
    return [json.loads(one.payload)["id"] for one in list(subscriber.messages) if "/events/" in one.topic]


def test_an_event_is_published_by_its_kind_after_online_and_before_offline(
    broker: Broker, subscriber: Subscriber
) -> None:
    sink = mqtt(broker.port)
    sink.send(EVENT)
    sink.close()
    subscriber.wait_for(lambda: len(subscriber.messages) == 3)
    first, event, last = subscriber.messages
    assert (first, last) == (ONLINE, OFFLINE)
    assert event.topic == "sightd/yard/events/camera.down"
    assert json.loads(event.payload) == EVENT.for_json()


def test_the_status_is_retained(broker: Broker) -> None:
    sink = mqtt(broker.port, prefix="site/one")
    sink.keep_alive()
    with Subscriber(broker.port) as late:
        late.wait_for(lambda: len(late.messages) == 1)
        assert late.messages == [Message("site/one/yard/status", b"online", True)]
    sink.close()


def test_a_sightd_that_is_killed_counts_as_offline(broker: Broker, subscriber: Subscriber) -> None:
    program = (
        "import sys, signal\n"
        "from tests.daemon.delivery.test_mqtt import mqtt\n"
        "mqtt(int(sys.argv[1])).keep_alive()\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(broker.port)], cwd=root, env=dict(os.environ), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    subscriber.wait_for(lambda: subscriber.messages == [ONLINE, OFFLINE])


def test_events_of_the_time_without_a_broker_arrive_in_order_when_it_is_back(
    broker: Broker, subscriber: Subscriber, tmp_path: Path
) -> None:
    with DeliveryHarness(tmp_path) as events:
        events.apply(home=options(broker.port))
        sent = events.note(5)
        subscriber.wait_for(lambda: len(ids(subscriber)) == 5)
        subscriber.expect_restart()
        broker.kill()
        sent += events.note(5)
        eventually(lambda: events.report("home").fault is not None)
        broker.start()
        subscriber.resubscribed()
        sent += events.note(1)
        events.settled("home")
        assert events.count("home", "delivered") == 11
        subscriber.wait_for(lambda: sent[-1] in ids(subscriber))
    assert ids(subscriber) == sorted(ids(subscriber))
    assert sent[0] in ids(subscriber)


def test_a_frozen_broker_ends_an_attempt_with_the_timeout_and_delays_no_stop(broker: Broker, tmp_path: Path) -> None:
    with DeliveryHarness(tmp_path) as events:
        events.apply(home=options(broker.port, timeout="200ms"))
        events.note(1)
        events.settled("home")
        broker.freeze()
        events.note(1)
        eventually(lambda: "did not answer within 0.2 s" in (events.report("home").fault or ""))
        broker.thaw()
        events.settled("home")
        assert events.count("home", "delivered") == 2


def test_what_the_broker_does_not_permit_or_is_too_large_is_refused(tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic readwrite sightd/+/status\ntopic readwrite sightd/+/events/camera.up\n")
    rights.chmod(0o600)
    settings = f"allow_anonymous true\nacl_file {rights}\nmax_packet_size 2000"
    with Broker(tmp_path, settings) as broker:
        sink = mqtt(broker.port)
        with pytest.raises(RefusedError, match="not authorised"):
            sink.send(EVENT)
        with pytest.raises(RefusedError, match="2000 bytes at most"):
            sink.send(Event(813, "camera.up", 1.0, "gate", None, {"text": "x" * 2000}))
        sink.send(Event(814, "camera.up", 1.0, "gate", None, {}))
        sink.close()


def test_after_a_refusal_what_was_acknowledged_behind_it_is_not_sent_twice_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic readwrite sightd/+/status\ntopic readwrite sightd/+/events/camera.late\n")
    rights.chmod(0o600)
    with (
        Broker(tmp_path, f"allow_anonymous true\nacl_file {rights}") as broker,
        Subscriber(broker.port) as subscriber,
        DeliveryHarness(tmp_path) as events,
    ):
        calls: list[list[int]] = []
        send = Mqtt.send_many

        def noting(self: Mqtt, some: Sequence[Event], acknowledged: Any) -> None:
            calls.append([one.id for one in some])
            send(self, some, acknowledged)

        monkeypatch.setattr(Mqtt, "send_many", noting)
        events.apply(home=options(broker.port))
        events.note(1)
        events.settled("home")
        broker.freeze()
        before = events.note(3)
        [refused] = events.note(1, EventKind.CAMERA_UP)
        after = events.note(40)
        broker.thaw()
        events.settled("home")
        subscriber.wait_for(lambda: after[-1] in ids(subscriber))
        assert [one for one in ids(subscriber) if one > before[0]] == before[1:] + after
        assert [one.event["id"] for one in events.dead("home")] == [refused]
        assert [refused] in calls, "it is tried again by itself, so that nothing overtakes it"


def test_once_an_event_is_refused_no_later_one_is_sent(tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic readwrite sightd/+/status\ntopic readwrite sightd/+/events/camera.down\n")
    rights.chmod(0o600)
    settings = f"allow_anonymous true\nacl_file {rights}\nmax_inflight_messages 3"
    with Broker(tmp_path, settings) as broker:
        sink = mqtt(broker.port)
        acknowledged: list[int] = []
        sent = [replace(EVENT, id=number) for number in range(1, 60)]
        sent[1] = replace(sent[1], kind="camera.up")
        with pytest.raises(RefusedError):
            sink.send_many(sent, acknowledged.extend)
        assert acknowledged[0] == 1
        assert 2 not in acknowledged
        assert len(acknowledged) < 10
        sink.close()


def test_no_more_messages_are_in_flight_than_the_broker_allows(tmp_path: Path) -> None:
    with Broker(tmp_path, "allow_anonymous true\nmax_inflight_messages 3") as broker:
        sink = mqtt(broker.port)
        acknowledged: list[int] = []
        sink.send_many([replace(EVENT, id=number) for number in range(1, 60)], acknowledged.extend)
        assert acknowledged == list(range(1, 60))
        assert sink._connection.window == 3
        sink.close()


def test_a_wrong_password_is_an_outage_and_not_a_refusal_of_events(tmp_path: Path) -> None:
    with Broker(tmp_path, "allow_anonymous false") as broker:
        sink = mqtt(broker.port, username="sightd", password="canary")
        with pytest.raises(UnavailableError, match="refuses the connection: not authorized") as told:
            sink.send(EVENT)
        assert "canary" not in str(told.value)
        sink.close()


def test_tls_verifies_the_broker(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    with Broker(tmp_path, "allow_anonymous true", pair) as broker:
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            mqtt(broker.port, tls=True).send(EVENT)
        sink = mqtt(broker.port, tls=True, ca=pair["certificate"])
        sink.send(EVENT)
        sink.close()
