"""Produces events to Kafka topics. Imported only if it is configured, because confluent-kafka is optional."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from sightd.daemon.config.event_streams import KafkaOptions
from sightd.daemon.delivery.sink import RefusedError, UnavailableError, body_of, topic_of
from sightd.daemon.events.event import SCHEMA, Event

_SLICE = 0.1
"""Seconds after which a wait for acknowledgements notices that it is aborted."""
_FAILURES = 3
"""Failed attempts in a row after which a new producer is made: a broker that lost its data may refuse the old one for
ever."""
_NO_REPORT: Any = object()
_PERMANENT = {
    KafkaError.MSG_SIZE_TOO_LARGE: "it is too large",
    KafkaError.INVALID_MSG: "it is invalid",
    KafkaError.INVALID_RECORD: "it is invalid",
    KafkaError.TOPIC_EXCEPTION: "the topic's name is invalid",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "not authorised for the topic",
}
"""Errors that refuse an event for good."""
_NO_TOPIC = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION})
_OFFLINE = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL})
"""Errors with which an attempt ends before its timeout."""


class Kafka:
    """A `PipelinedSink` that produces with acks=all and idempotence: a broker that answers late or after a new
    connection stores no event twice or out of order, as long as the producer is the same.

    Records have the camera as key (the instance if there is none), the event as value, and the headers id (INSTANCE-ID,
    the same in each attempt), kind, schema and content-type. An event that was not acknowledged in time stays with the
    producer, which goes on trying; the next attempt waits for it.
    """

    idle_interval: float | None = None
    window = 100

    def __init__(self, name: str, options: KafkaOptions, instance: str) -> None:
        self._options, self._instance = options, instance
        self._where = f"Kafka at {', '.join(options.servers)}"
        self._settings = _settings(name, options, instance)
        self._producer: Producer | None = None
        self._reports: dict[int, KafkaError | None] = {}
        """Delivery reports that were not used yet, by event id; None is an acknowledgement."""
        self._produced: set[int] = set()
        """Ids of events that the producer has and whose report is outstanding."""
        self._offline: KafkaError | None = None
        self._last_error = ""
        self._failures = 0
        """Attempts since the last one that succeeded."""
        self._aborted = False

    def keep_alive(self) -> None:
        pass

    def send(self, event: Event) -> None:
        self.send_many([event], lambda _ids: None)

    def send_many(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> None:
        try:
            self._send_many(events, acknowledged)
        except UnavailableError:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._drop()
            raise
        except KafkaException as error:
            self._drop()
            raise UnavailableError(f"{self._where}: {_words(error.args[0])}") from None
        self._failures = 0

    def _send_many(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> None:
        producer = self._opened()
        producer.poll(0)  # errors of the time between two attempts
        self._offline = None
        for event in events:
            self._produce(producer, event)
        waiting = [event.id for event in events]
        until = time.monotonic() + self._options.timeout
        while waiting:
            if done := [one for one in waiting if self._reports.get(one, _NO_REPORT) is None]:
                for one in done:
                    del self._reports[one]
                waiting = [one for one in waiting if one not in done]
                acknowledged(done)
                until = time.monotonic() + self._options.timeout
            elif (error := self._reports.pop(waiting[0], None)) is not None:
                self._raise(error)
            else:
                self._require_online(until)
                producer.poll(_SLICE)

    def close(self) -> None:
        self._drop()

    def abort(self) -> None:
        self._aborted = True

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._settings | {"error_cb": self._on_error}, logger=_silent())
        return self._producer

    def _produce(self, producer: Producer, event: Event) -> None:
        if event.id in self._produced or event.id in self._reports:
            return
        try:
            producer.produce(
                topic_of(self._options.topic, event, self._instance),
                body_of(event).encode(),
                key=(event.camera or self._instance).encode(),
                headers=_headers(event, self._instance),
                on_delivery=lambda error, _message: self._on_delivery(event.id, error),
            )
            self._produced.add(event.id)
        except KafkaException as error:
            if error.args[0].code() not in _PERMANENT:
                raise
            self._reports[event.id] = error.args[0]

    def _on_delivery(self, number: int, error: KafkaError | None) -> None:
        self._produced.discard(number)
        self._reports[number] = error

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failures = _FAILURES
        if error.fatal() or error.code() in _OFFLINE:
            self._offline = error
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last_error = _words(error)

    def _require_online(self, until: float) -> None:
        if self._offline is not None:
            raise UnavailableError(f"{self._where}: {self._last_error or _words(self._offline)}")
        if self._aborted or time.monotonic() >= until:
            reason = f" ({self._last_error})" if self._last_error else ""
            raise UnavailableError(f"{self._where} did not answer within {self._options.timeout:g} s{reason}")

    def _raise(self, error: KafkaError) -> None:
        """Raises RefusedError or UnavailableError for an event that the producer has given up."""
        if reason := _PERMANENT.get(error.code()):
            raise RefusedError(f"{self._where} refuses the event: {reason}")
        if error.code() in _NO_TOPIC:
            topic = self._options.topic.replace("{instance}", self._instance)
            raise UnavailableError(f"{self._where} has no topic {topic}: create it, or let the broker create topics")
        raise UnavailableError(f"{self._where}: {_words(error)}")

    def _drop(self) -> None:
        """Ends the producer; what it has not delivered is sent again."""
        producer, self._producer = self._producer, None
        self._reports.clear()
        self._produced.clear()
        self._last_error, self._failures = "", 0
        if producer is not None:
            with contextlib.suppress(KafkaException):
                producer.purge()
                producer.poll(0)
            self._reports.clear()


def _settings(name: str, options: KafkaOptions, instance: str) -> dict[str, Any]:
    milliseconds = max(1, int(options.timeout * 1000))
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(options.servers),
        "client.id": f"sightd-{instance}-{name}",
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 0,
        "message.timeout.ms": 0,  # never: the journal decides how long an event is kept
        "topic.metadata.propagation.max.ms": milliseconds // 2,
        "socket.timeout.ms": min(max(milliseconds, 10), 60_000),
        "socket.connection.setup.timeout.ms": min(max(milliseconds, 1000), 60_000),
        "request.timeout.ms": min(milliseconds, 900_000),
        "reconnect.backoff.max.ms": min(10_000, max(100, int(options.retry.max_delay * 1000))),
        "enable.metrics.push": False,  # no telemetry to the brokers
        "security.protocol": ("SASL_" if options.username else "") + ("SSL" if options.tls else "PLAINTEXT"),
    }
    if options.username is not None and options.password is not None:
        settings |= {
            "sasl.mechanism": options.mechanism,
            "sasl.username": options.username,
            "sasl.password": options.password.get_secret_value(),
        }
    files = {
        "ssl.ca.location": options.ca,
        "ssl.certificate.location": options.certificate,
        "ssl.key.location": options.key,
    }
    return settings | {option: str(path) for option, path in files.items() if path is not None}


def _headers(event: Event, instance: str) -> list[tuple[str, str | bytes | None]]:
    return [
        ("id", f"{instance}-{event.id}"),
        ("kind", event.kind),
        ("schema", str(SCHEMA)),
        ("content-type", "application/json"),
    ]


def _words(error: KafkaError) -> str:
    """Returns librdkafka's words, without the names and times around them."""
    text: str = error.str().split(" (after ")[0]
    return text.split(": ", 1)[-1] if "/" in text.partition(": ")[0] else text


def _silent() -> logging.Logger:
    """Returns the logger of the library: its errors are reported with the events that they delay."""
    logger = logging.getLogger(f"{__name__}.library")
    logger.setLevel(logging.CRITICAL)
    return logger
