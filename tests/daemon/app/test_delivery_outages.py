"""While receivers are killed, frozen and slowed and the daemon is killed, no event is lost, changed or overtaken."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make setup")
pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed: make setup")
pytest.importorskip("nats", reason="nats-py is not installed: make setup")

from bench.delivery import outages

pytestmark = [pytest.mark.slow, pytest.mark.waiting, pytest.mark.timeout(300)]


@pytest.mark.parametrize("sinks", [("mqtt", "webhook"), ("kafka", "nats")], ids="-".join)
def test_every_event_that_is_in_the_journal_arrives_in_order_and_looks_like_new_once(
    sinks: tuple[str, ...], tmp_path: Path
) -> None:
    found = outages.run(24.0, tmp_path, sinks=sinks, kill_every=8.0, rounds=3)
    assert found.kills >= 1
    assert found.outages == {"killed": 1, "frozen": 1, "slow": 1}
    assert found.stored > 100
    assert found.lost_after_reading == 0
    for sink in found.sinks.values():
        assert (sink.missing, sink.changed, sink.out_of_order) == (0, 0, 0)
