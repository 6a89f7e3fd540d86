"""Receivers of each kind of sink, which are killed, frozen and started again in the same way, for tests that hold for
all sinks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from tests.support.http_process import HttpProcess
from tests.support.server_process import ServerProcess


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event as a receiver got it, and what identifies it there."""

    key: str
    event: dict[str, Any]


class Receiver(Protocol):
    """A server in a process of its own."""

    options: dict[str, Any]
    """Of the sink that sends to it."""
    keeps_data: bool
    """Whether it still has everything that it acknowledged after it was killed."""

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def delivered(self) -> list[Delivered]:
        """Returns what it has stored, or answered with success, in this order."""


@contextmanager
def receiver(kind: str, folder: Path) -> Iterator[Receiver]:
    """Starts a receiver of a kind of sink. Skips the test if a package for it is missing."""
    with _RECEIVERS[kind](folder) as one:
        yield one


class _Server:
    keeps_data = True

    def __init__(self, server: ServerProcess, options: dict[str, Any]) -> None:
        self._server, self.options = server, options
        self.kill, self.start, self.freeze, self.thaw = server.kill, server.start, server.freeze, server.thaw

    def delivered(self) -> list[Delivered]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()


class _Webhook(_Server):
    def __init__(self, folder: Path) -> None:
        self._http = HttpProcess(folder)
        super().__init__(self._http, {"type": "webhook", "url": self._http.url})

    def delivered(self) -> list[Delivered]:
        return [Delivered(one.headers["Idempotency-Key"], json.loads(one.body)) for one in self._http.requests()]


class _Notify(_Server):
    """Apprise sends its own form of JSON; templates put the key and the event into it."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("apprise", reason="apprise is not installed: make setup")
        self._http = HttpProcess(folder)
        body = '{"id": {id:json}, "kind": {kind:json}}'
        urls = [self._http.url.replace("http://", "json://")]
        options = {"type": "notify", "urls": urls, "title": "{instance}-{id}", "body": body, "max_per_minute": 600}
        super().__init__(self._http, options)

    def delivered(self) -> list[Delivered]:
        return [one for request in self._http.requests() for one in _notified(json.loads(request.body))]


def _notified(message: dict[str, Any]) -> Iterator[Delivered]:
    """Yields the events of a notification: a summary stands for those with the next ids, too."""
    first = json.loads(message["message"].splitlines()[0])
    key, _, more = message["title"].partition(" and ")
    for number in range(first["id"], first["id"] + 1 + int(more.partition(" ")[0] or 0)):
        yield Delivered(f"{key.rpartition('-')[0]}-{number}", {**first, "id": number})


class _Mqtt:
    """A broker that saves changes soon after it has acknowledged them, and a subscriber whose session outlives a kill
    of the broker."""

    keeps_data = False

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make setup")
        from tests.support.mosquitto import Broker, LastingSubscriber

        saving = f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true"
        self._broker = Broker(folder, f"allow_anonymous true\n{saving}")
        self._subscriber = LastingSubscriber(self._broker.port, "sightd/+/events/#")
        self.options = {"type": "mqtt", "host": "127.0.0.1", "port": self._broker.port}
        self.start, self.freeze, self.thaw = self._broker.start, self._broker.freeze, self._broker.thaw

    def kill(self) -> None:
        self._subscriber.all_messages()
        self._broker.kill()

    def delivered(self) -> list[Delivered]:
        found = [(one.topic.split("/")[1], json.loads(one.payload)) for one in self._subscriber.all_messages()]
        return [Delivered(f"{instance}-{event['id']}", event) for instance, event in found]

    def __enter__(self) -> Self:
        self._broker.__enter__()
        self._subscriber.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriber.__exit__()
        self._broker.__exit__()


class _Nats(_Server):
    def __init__(self, folder: Path) -> None:
        pytest.importorskip("nats", reason="nats-py is not installed: make setup")
        from tests.support.nats_server import NatsServer

        self._nats = NatsServer(folder)
        super().__init__(self._nats, {"type": "nats", "servers": [f"127.0.0.1:{self._nats.port}"]})

    def delivered(self) -> list[Delivered]:
        return [Delivered(one.headers["Nats-Msg-Id"], one.event) for one in self._nats.messages()]


class _Kafka(_Server):
    keeps_data = False

    def __init__(self, _folder: Path) -> None:
        pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: make setup")
        from tests.support.kafka_broker import KafkaBroker

        self._kafka = KafkaBroker()
        super().__init__(self._kafka, {"type": "kafka", "servers": [f"127.0.0.1:{self._kafka.port}"]})

    def delivered(self) -> list[Delivered]:
        return [Delivered(one.headers["id"], one.event) for one in self._kafka.records()]


_RECEIVERS: dict[str, Callable[[Path], Any]] = {
    "webhook": _Webhook,
    "notify": _Notify,
    "mqtt": _Mqtt,
    "nats": _Nats,
    "kafka": _Kafka,
}
KINDS = tuple(_RECEIVERS)
SLOW = ("notify",)
"""Kinds whose sink starts a process that imports hundreds of modules."""
