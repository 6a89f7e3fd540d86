"""Events are produced to the topics of a broker that speaks Kafka's protocol (Tansu, not Apache Kafka)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: make setup")

from sightd.daemon.config.event_streams import KafkaOptions
from sightd.daemon.delivery.kafka import Kafka
from sightd.daemon.delivery.sink import RefusedError, UnavailableError
from sightd.daemon.events.event import Event
from tests.support.certificates import self_signed
from tests.support.kafka_broker import KafkaBroker
from tests.support.tls_front import TlsFront

pytestmark = pytest.mark.waiting

EVENT = Event(812, "camera.down", 1.0, "gate", None, {"reason": "timeout"})


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    with KafkaBroker() as one:
        yield one


def sink(port: int, **others: Any) -> Kafka:
    given = {"type": "kafka", "servers": [f"127.0.0.1:{port}"], **others}
    return Kafka("out", KafkaOptions.model_validate(given), "yard")


def test_a_record_has_the_camera_as_key_and_its_id_in_the_headers(broker: KafkaBroker) -> None:
    one = sink(broker.port)
    one.send(EVENT)
    one.send(Event(813, "daemon.started", 1.0, None, None, {}))
    one.close()
    first, second = broker.records()
    assert (first.topic, first.key, first.event) == ("sightd.yard.events", "gate", EVENT.for_json())
    assert first.headers == {
        "id": "yard-812", "kind": "camera.down", "schema": "1", "content-type": "application/json",
    }  # fmt: skip
    assert second.key == "yard", "the instance stands for no camera"


def test_topics_may_be_named_after_the_camera_and_the_kind(broker: KafkaBroker) -> None:
    one = sink(broker.port, topic="{camera}.{kind}")
    one.send(EVENT)
    one.close()
    assert [one.topic for one in broker.records()] == ["gate.camera.down"]


def test_several_events_are_acknowledged_in_one_call(broker: KafkaBroker) -> None:
    events = [Event(number, "camera.up", 1.0, "gate", None, {}) for number in range(1, 31)]
    acknowledged: list[int] = []
    one = sink(broker.port)
    one.send_many(events, acknowledged.extend)
    one.close()
    assert sorted(acknowledged) == [one.id for one in events]
    assert [one.event["id"] for one in broker.records()] == [one.id for one in events]


def test_an_event_that_waits_for_its_acknowledgement_is_not_produced_again(broker: KafkaBroker) -> None:
    one = sink(broker.port, timeout="1s")
    one.send(EVENT)
    broker.freeze()
    late = Event(813, "camera.up", 1.0, "gate", None, {})
    with pytest.raises(UnavailableError, match="did not answer within 1 s"):
        one.send(late)
    broker.thaw()
    try:
        one.send(late)
    except UnavailableError:  # the library noticed only now that the connection failed
        one.send(late)
    one.close()
    assert [one.event["id"] for one in broker.records()] == [812, 813]


def test_what_is_too_large_is_refused_and_holds_up_nothing_else(broker: KafkaBroker) -> None:
    one = sink(broker.port)
    with pytest.raises(RefusedError, match="it is too large"):
        one.send(Event(811, "camera.up", 1.0, "gate", None, {"text": "x" * 1_100_000}))
    one.send(EVENT)
    one.close()
    assert [one.event["id"] for one in broker.records()] == [812]


def test_an_absent_broker_is_reported_before_the_timeout_and_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    one = sink(port, timeout="1h", username="sightd", password="canary")
    with pytest.raises(UnavailableError, match="Connection refused") as told:
        one.send(EVENT)
    one.close()
    assert "canary" not in str(told.value)


def test_tls_verifies_the_broker(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    with TlsFront(pair) as front, KafkaBroker(front.port) as broker:
        front.target = broker.port
        stranger = sink(front.port, tls=True)
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            stranger.send(EVENT)
        stranger.close()
        one = sink(front.port, tls=True, ca=pair["certificate"])
        acknowledged: list[int] = []
        one.send_many([EVENT], acknowledged.extend)
        one.close()
    assert acknowledged == [812]


def test_a_client_certificate_is_shown_to_the_broker(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    with TlsFront(pair, wants_certificate=True) as front, KafkaBroker(front.port) as broker:
        front.target = broker.port
        stranger = sink(front.port, tls=True, ca=pair["certificate"])
        with pytest.raises(UnavailableError):
            stranger.send(EVENT)
        stranger.close()
        one = sink(front.port, tls=True, ca=pair["certificate"], **pair)
        acknowledged: list[int] = []
        one.send_many([EVENT], acknowledged.extend)
        one.close()
    assert acknowledged == [812]
