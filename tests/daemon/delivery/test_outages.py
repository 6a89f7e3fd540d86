"""All kinds of sinks at 20 events a second, while their receivers are killed, frozen and slowed at random."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.sink_receivers import KINDS, Receiver, receiver
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("SIGHTD_OUTAGES_SECONDS", "30"))
RATE = 20


class Chaos:
    """Disturbs a receiver on a thread of its own until it is stopped; then the receiver is as before."""

    def __init__(self, server: Receiver, seed: int) -> None:
        self._server, self._random = server, random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos")
        self.faults = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._random.uniform(0.5, 3.0)):
            kinds = [self._freeze, self._slow, *([self._kill] if self._server.keeps_data else [])]
            self._random.choice(kinds)()
            self.faults += 1

    def _kill(self) -> None:
        self._server.kill()
        self._stopped.wait(self._random.uniform(0.1, 3.0))
        self._server.start()

    def _freeze(self) -> None:
        self._server.freeze()
        self._stopped.wait(self._random.uniform(0.1, 4.0))
        self._server.thaw()

    def _slow(self) -> None:
        for _ in range(20):
            self._server.freeze()
            time.sleep(0.1)
            self._server.thaw()
            time.sleep(0.01)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, Receiver]]:
    with ExitStack() as stack:
        found = {}
        for kind in KINDS:
            (folder := tmp_path / kind).mkdir()
            found[kind] = stack.enter_context(receiver(kind, folder))
        yield found


@pytest.mark.timeout(SECONDS + 300)
def test_nothing_is_lost_or_out_of_order_and_every_id_stays_the_same(
    servers: dict[str, Receiver], tmp_path: Path
) -> None:
    count = int(SECONDS * RATE)
    chaos = [Chaos(server, seed) for seed, server in enumerate(servers.values())]
    with DeliveryHarness(tmp_path / "state", max_count=100_000) as events:
        events.apply(**{kind: {**server.options, "timeout": "1s"} for kind, server in servers.items()})
        for one in chaos:
            one.start()
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            events.note(1, camera=("gate", "yard")[number % 2])
        for one in chaos:
            one.stop()
        eventually(lambda: all(one.pending == 0 for one in events.delivery.reports()), within=90.0)
        assert not any(events.dead(kind) for kind in servers)
    for kind, server in servers.items():
        delivered = server.delivered()
        ids = [one.event["id"] for one in delivered]
        print(f"{kind}: {count} events, {len(ids) - len(set(ids))} repeated")  # noqa: T201
        assert list(dict.fromkeys(ids)) == list(range(1, count + 1)), kind
        assert {one.key for one in delivered} == {f"yard-{number}" for number in range(1, count + 1)}, kind
    assert all(one.faults > SECONDS / 10 for one in chaos)
