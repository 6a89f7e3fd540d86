"""Receivers of events that fail on demand: real servers, each behind a proxy that delays or refuses what the daemon
sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.support.delay_proxy import DelayProxy
from tests.support.http_process import HttpProcess
from tests.support.server_process import ServerProcess

Event = Mapping[str, Any]
"""An event as it arrived, read from JSON."""
_SLOW = 0.4
"""Seconds by which data is delayed in each direction at a slow receiver."""


class Receiver:
    """A server and the proxy between it and the daemon; a context manager. `options` are those of its sink."""

    loses_data = False
    """Whether a killed server loses what it has acknowledged: nothing may reach it between `save` and `kill`."""
    options: Mapping[str, Any]

    def __init__(self, server: ServerProcess) -> None:
        self._server, self._proxy = server, DelayProxy(server.port)
        self._open = ExitStack()

    def kill(self) -> None:
        """Kills the server. Connections are refused until it is started again."""
        self._proxy.refuse()
        self._server.kill()

    def start_again(self) -> None:
        self._server.start()
        self._proxy.accept()

    def freeze(self) -> None:
        self._server.freeze()

    def thaw(self) -> None:
        self._server.thaw()

    def slow_down(self) -> None:
        self._proxy.delay = _SLOW

    def speed_up(self) -> None:
        self._proxy.delay = 0.0

    def save(self) -> None:
        """Keeps what a kill would lose."""

    def arrived(self) -> list[Sequence[Event]]:
        """Returns all events that the server has acknowledged, as one sequence for each order that it keeps."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._open.enter_context(self._proxy)
        self._start()
        return self

    def _start(self) -> None:
        self._open.enter_context(self._server)

    def __exit__(self, *_: object) -> None:
        self._open.close()


class _Mqtt(Receiver):
    """mosquitto, with a subscriber that is back before the daemon is."""

    def __init__(self, folder: Path) -> None:
        from tests.support.mosquitto import Broker, Subscriber

        super().__init__(Broker(folder))
        self._subscriber = Subscriber(self._server.port)

    def _start(self) -> None:
        super()._start()
        self._open.enter_context(self._subscriber)
        self.options = {"type": "mqtt", "host": "127.0.0.1", "port": self._proxy.port}

    def kill(self) -> None:
        self._proxy.refuse()
        self._subscriber.expect_restart()
        self._server.kill()

    def start_again(self) -> None:
        self._server.start()
        self._subscriber.resubscribed()
        self._proxy.accept()

    def arrived(self) -> list[Sequence[Event]]:
        return [[json.loads(one.payload) for one in self._subscriber.messages if "/events/" in one.topic]]


class _Webhook(Receiver):
    def __init__(self, folder: Path) -> None:
        self._http = HttpProcess(folder)
        super().__init__(self._http)

    def _start(self) -> None:
        super()._start()
        self.options = {"type": "webhook", "url": f"http://127.0.0.1:{self._proxy.port}/hook"}

    def arrived(self) -> list[Sequence[Event]]:
        return [[json.loads(one.body) for one in self._http.requests()]]


class _Nats(Receiver):
    """nats-server with a stream in files."""

    def __init__(self, folder: Path) -> None:
        from tests.support.nats_server import NatsServer

        self._nats = NatsServer(folder)
        super().__init__(self._nats)

    def _start(self) -> None:
        super()._start()
        self.options = {"type": "nats", "servers": [f"127.0.0.1:{self._proxy.port}"]}

    def arrived(self) -> list[Sequence[Event]]:
        return [[one.event for one in self._nats.messages()]]


class _Kafka(Receiver):
    """Tansu, whose records are in memory. Clients connect to the address that it advertises, so that is the proxy's,
    also for reading."""

    loses_data = True

    def __init__(self, folder: Path) -> None:
        from tests.support.kafka_broker import KafkaBroker

        self._kafka = KafkaBroker()
        super().__init__(self._kafka)

    def _start(self) -> None:
        self._kafka.advertise(self._proxy.port)
        super()._start()
        self.options = {"type": "kafka", "servers": [f"127.0.0.1:{self._proxy.port}"]}

    def save(self) -> None:
        self._kafka.save_records()

    def arrived(self) -> list[Sequence[Event]]:
        partitions: dict[tuple[str, int], list[Event]] = {}
        for one in self._kafka.records():
            partitions.setdefault((one.topic, one.partition), []).append(one.event)
        return list(partitions.values())


RECEIVERS: Mapping[str, Callable[[Path], Receiver]] = {
    "mqtt": _Mqtt,
    "webhook": _Webhook,
    "nats": _Nats,
    "kafka": _Kafka,
}
