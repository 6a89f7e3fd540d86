"""A real broker has the devices and states for Home Assistant, whatever is restarted, and nothing that is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make setup")

from paho.mqtt import publish

from sightd.daemon.config.delivery import MqttOptions
from sightd.daemon.delivery.mqtt import Mqtt
from sightd.daemon.delivery.sink import UnavailableError
from sightd.daemon.events.event import Event
from tests.daemon.delivery.home_assistant_facts import require_valid
from tests.daemon.delivery.stub_home import GATE, StubHome
from tests.support.mosquitto import Broker, Subscriber
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

DEVICE, STATE = "homeassistant/device/sightd_yard/gate/config", "sightd/yard/cameras/gate"
EVENT = Event(812, "camera.down", 1.0, "gate", None, {"reason": "timeout"})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as one:
        yield one


def mqtt(broker: Broker, home: StubHome, home_assistant: object = True, **others: Any) -> Mqtt:
    options = {"type": "mqtt", "host": "127.0.0.1", "port": broker.port, "home_assistant": home_assistant, **others}
    return Mqtt("home", MqttOptions.model_validate(options), "yard", home)


def refreshed(sink: Mqtt) -> None:
    """Has the sink compare again, without waiting for its turn."""
    assert sink._link is not None
    sink._link._due = 0.0
    sink.keep_alive()


def _fails(sink: Mqtt) -> bool:
    try:
        sink.keep_alive()
    except UnavailableError:
        return True
    return False


def retained(broker: Broker) -> dict[str, Any]:
    """Returns what a new subscriber gets at once."""
    found: dict[str, Any] = {}
    with Subscriber(broker.port) as one:
        publish.single("end", b"", qos=1, port=broker.port)
        one.wait_for(lambda: any(message.topic == "end" for message in one.messages))
        for message in one.messages:
            if message.retained:
                found[message.topic] = json.loads(message.payload) if message.payload[:1] == b"{" else message.payload
    return found


def test_devices_and_states_are_retained_right_after_the_start(broker: Broker) -> None:
    sink = mqtt(broker, StubHome())
    sink.keep_alive()
    found = retained(broker)
    assert set(found) == {
        DEVICE,
        "homeassistant/device/sightd_yard/_instance/config",
        STATE,
        "sightd/yard/state",
        "sightd/yard/status",
    }
    for topic in (DEVICE, "homeassistant/device/sightd_yard/_instance/config"):
        require_valid(topic, found[topic])
    assert found[STATE]["zones"] == {"drive": {"inside": 1, "classes": {"person": 1}}}
    assert found["sightd/yard/status"] == b"online"
    sink.close()


def test_a_broker_that_forgot_everything_gets_it_again(broker: Broker) -> None:
    sink = mqtt(broker, StubHome())
    sink.keep_alive()
    before = retained(broker)
    broker.kill()
    broker.start()
    eventually(lambda: _fails(sink), what="the sink notices that the connection was lost")
    sink.keep_alive()
    assert retained(broker) == before
    sink.close()


def test_only_what_has_changed_is_published(broker: Broker) -> None:
    home = StubHome()
    sink = mqtt(broker, home)
    sink.keep_alive()
    with Subscriber(broker.port) as subscriber:
        home.cameras = [replace(GATE, zones={"drive": {}})]
        refreshed(sink)
        refreshed(sink)
        sink.send(EVENT)
        subscriber.wait_for(lambda: any("/events/" in one.topic for one in subscriber.messages))
        new = [one for one in subscriber.messages if not one.retained]
    assert [one.topic for one in new] == [STATE, "sightd/yard/events/camera.down"]
    assert json.loads(new[0].payload)["zones"]["drive"]["inside"] == 0
    sink.close()


def test_a_zone_and_a_camera_that_are_removed_go_from_the_broker(broker: Broker) -> None:
    home = StubHome([GATE, replace(GATE, name="yard")])
    sink = mqtt(broker, home)
    sink.keep_alive()
    home.cameras = [replace(GATE, zones={})]
    refreshed(sink)
    found = retained(broker)
    assert not any("yard/config" in topic or topic.endswith("cameras/yard") for topic in found)
    assert found[DEVICE]["components"]["zone_drive"] == {"platform": "binary_sensor"}
    sink.close()


def test_what_was_removed_while_sightd_did_not_run_goes_too_and_what_is_not_known_yet_stays(broker: Broker) -> None:
    sink = mqtt(broker, StubHome([GATE, replace(GATE, name="yard"), replace(GATE, name="lane")]))
    sink.keep_alive()
    sink.close()
    starting = replace(GATE, connected=False, zones=None, lines=None)
    sink = mqtt(broker, StubHome([starting, replace(GATE, name="lane", zones={})]))
    sink.keep_alive()
    found = retained(broker)
    assert "homeassistant/device/sightd_yard/yard/config" not in found
    assert "sightd/yard/cameras/yard" not in found
    assert found[DEVICE]["components"]["zone_drive"]["device_class"] == "occupancy"
    lane = found["homeassistant/device/sightd_yard/lane/config"]
    assert lane["components"]["zone_drive"] == {"platform": "binary_sensor"}
    sink.close()


def test_a_sink_of_some_cameras_shows_and_changes_only_these(broker: Broker) -> None:
    home = StubHome([GATE, replace(GATE, name="yard")])
    sink = mqtt(broker, home, {"commands": True}, cameras=["gate"])
    sink.keep_alive()
    assert not any("yard/config" in topic or topic.endswith("cameras/yard") for topic in retained(broker))
    for camera in ("yard", "gate"):
        publish.single(f"sightd/yard/set/cameras/{camera}/analysis", b"OFF", qos=1, port=broker.port)
    eventually(lambda: not _fails(sink) and bool(home.paused), what="the command is carried out")
    assert home.paused == [("gate", True)]
    sink.close()


def test_the_snapshot_of_the_last_event_is_published_once_it_is_there_and_not_retained(broker: Broker) -> None:
    home = StubHome()
    sink = mqtt(broker, home)
    sink.send(replace(EVENT, snapshot=True))
    refreshed(sink)
    home.pictures = {812: b"jpeg"}
    with Subscriber(broker.port) as subscriber:
        refreshed(sink)
        refreshed(sink)
        sink.send(EVENT)
        subscriber.wait_for(lambda: any("/events/" in one.topic for one in subscriber.messages))
        pictures = [one for one in subscriber.messages if one.topic == "sightd/yard/pictures/gate"]
    assert [(one.payload, one.retained) for one in pictures] == [(b"jpeg", False)]
    assert "sightd/yard/pictures/gate" not in retained(broker)
    sink.close()


def test_commands_arrive_only_if_they_are_permitted_and_old_ones_never(broker: Broker) -> None:
    home, cautious = StubHome(), StubHome()
    publish.single("sightd/yard/set/cameras/gate/analysis", b"OFF", qos=1, retain=True, port=broker.port)
    without = mqtt(broker, cautious)
    without.keep_alive()
    without.close()
    sink = mqtt(broker, home, {"commands": True})
    sink.keep_alive()
    refreshed(sink)
    assert home.paused == []
    publish.single("sightd/yard/set/cameras/gate/analysis", b"ON", qos=1, port=broker.port)
    eventually(lambda: not _fails(sink) and bool(home.paused), what="the command is carried out")
    assert (home.paused, cautious.paused) == ([("gate", False)], [])
    sink.close()


def test_events_are_delivered_if_the_broker_permits_nothing_else_or_the_view_fails(tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic readwrite sightd/+/status\ntopic readwrite sightd/+/events/#\n")
    rights.chmod(0o600)
    with Broker(tmp_path, f"allow_anonymous true\nacl_file {rights}") as broker:
        home = StubHome()
        sink = mqtt(broker, home, {"commands": True})
        sink.send(EVENT)
        home.broken = True
        refreshed(sink)
        acknowledged: list[int] = []
        sink.send_many([replace(EVENT, id=813)], acknowledged.extend)
        assert acknowledged == [813]
        sink.close()
