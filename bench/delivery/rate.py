"""How fast a backlog of events is delivered to a real MQTT broker, near and distant, with one message under way at a
time and with several."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sightd.daemon.delivery.mqtt import Mqtt
from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.delay_proxy import DelayProxy
from tests.support.mosquitto import Broker


@dataclass(frozen=True, slots=True)
class Rate:
    """Events per second, with a round trip of `rtt` s and at most `window` messages under way."""

    rtt: float
    window: int
    events_per_second: float


def rates(count: int) -> Iterator[Rate]:
    """Measures how fast a backlog of events is delivered."""
    for rtt, number in ((0.0, count), (0.02, count // 5)):
        for window in (1, Mqtt.window):
            with tempfile.TemporaryDirectory() as folder:
                yield Rate(rtt, window, _rate(Path(folder), rtt, window, number))


def _rate(folder: Path, rtt: float, window: int, count: int) -> float:
    usual, Mqtt.window = Mqtt.window, window
    try:
        with (
            Broker(folder, "allow_anonymous true\nset_tcp_nodelay true") as broker,
            DelayProxy(broker.port) as proxy,
            DeliveryHarness(folder, 10**6) as events,
        ):
            proxy.delay = rtt / 2
            port = proxy.port if rtt else broker.port
            events.apply(home={"type": "mqtt", "host": "127.0.0.1", "port": port, "timeout": "60s"})
            events.settled("home")
            broker.freeze()
            for _ in range(count // 1000):
                events.note(1000)
            broker.thaw()
            begun, before = time.monotonic(), events.count("home", "delivered")
            while events.report("home").pending:
                time.sleep(0.005)
            return (events.count("home", "delivered") - before) / (time.monotonic() - begun)
    finally:
        Mqtt.window = usual


def show(one: Rate) -> None:
    print(f"round trip {1000 * one.rtt:4.0f} ms, {one.window:2} under way: {one.events_per_second:7.0f} events/s")
