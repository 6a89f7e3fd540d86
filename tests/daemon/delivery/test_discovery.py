"""Discovery messages are what Home Assistant requires, with ids that stay and names that cannot break out."""

from __future__ import annotations

import json
from dataclasses import replace

from sightd.daemon.delivery.discovery import (
    MOST_CLASSES,
    Discovery,
    Form,
    Remembered,
    camera_state,
    daemon_state,
    removals,
    slug,
)
from sightd.daemon.delivery.home_view import CameraView, DaemonView, LineView, Threshold
from tests.daemon.delivery.home_assistant_facts import require_valid

NOW = "2026-03-01T12:00:00.000Z"
GATE = CameraView(
    "gate", "Front gate", ("detector", "face", "zones"), True, False, True, ("camera.down", "zone.entered"), True,
    {"drive": {"person": 2}}, {"kerb": LineView({"in": 3, "out": 1}, {"person": {"in": 3, "out": 1}})},
    {"person": 3}, ("Ann",),
)  # fmt: skip
DAEMON = DaemonView("1.0", True, (), (GATE,), (Threshold("detector", "min_score", 0.4, 0.0, 1.0),), ("plugin.down",))
DISCOVERY = Discovery("homeassistant", "sightd/yard", "yard", commands=True)


def device(view: CameraView, discovery: Discovery = DISCOVERY) -> Form:
    return discovery.camera_device(view, Remembered().after(view, NOW), "1.0")


def test_the_devices_of_sightd_and_of_a_camera_are_what_home_assistant_requires() -> None:
    require_valid(DISCOVERY.camera_topics("gate")[0], device(GATE))
    require_valid(DISCOVERY.daemon_topics()[0], DISCOVERY.daemon_device(DAEMON))
    assert device(GATE)["device"]["via_device"] in DISCOVERY.daemon_device(DAEMON)["device"]["identifiers"]


def test_a_camera_has_entities_for_its_connection_zones_lines_objects_faces_events_and_analysis() -> None:
    components = device(GATE)["components"]
    assert list(components) == [
        "connection",
        "zone_drive",
        "zone_drive_count",
        "zone_drive_count_person",
        "line_kerb_in",
        "line_kerb_out",
        "objects",
        "last_face",
        "event",
        "snapshot",
        "analysis",
    ]
    assert (components["zone_drive"]["device_class"], components["line_kerb_in"]["state_class"]) == (
        "occupancy",
        "total_increasing",
    )
    assert components["zone_drive"]["unique_id"] == "sightd.yard.gate.zone_drive"


def test_without_commands_nothing_can_be_changed() -> None:
    reading = Discovery("homeassistant", "sightd/yard", "yard", commands=False)
    messages = json.dumps([device(GATE, reading), reading.daemon_device(DAEMON)])
    assert "command_topic" not in messages
    assert messages != json.dumps([device(GATE), DISCOVERY.daemon_device(DAEMON)])


def test_a_camera_that_cannot_be_paused_has_no_switch() -> None:
    assert "analysis" not in device(replace(GATE, paused=None))["components"]


def test_the_state_has_the_numbers_by_class_and_says_what_is_current() -> None:
    state = camera_state(GATE, Remembered().after(GATE, NOW))
    assert state["zones"] == {"drive": {"inside": 2, "classes": {"person": 2}}}
    assert state["lines"] == {"kerb": {"in": 3, "out": 1, "classes": {"person": {"in": 3, "out": 1}}}}
    assert (state["connected"], state["zones_current"], state["objects"]) == (True, True, 3)
    assert state["last_face"] == {"person": "Ann", "time": NOW}
    assert daemon_state(DAEMON)["thresholds"] == {"detector": {"min_score": 0.4}}


def test_entities_stay_while_there_are_no_current_numbers() -> None:
    known = Remembered().after(GATE, NOW)
    away = replace(GATE, connected=False, zones=None, lines=None, objects=None, persons=None)
    assert known.after(away, NOW) == known
    state = camera_state(away, known)
    assert (state["zones"]["drive"]["inside"], state["zones_current"], state["connected"]) == (0, False, False)


def test_a_removed_zone_goes_and_so_do_all_if_the_chain_changes() -> None:
    known = Remembered().after(GATE, NOW)
    assert known.after(replace(GATE, zones={}), NOW).zones == {}
    other = known.after(replace(GATE, chain=("detector",), zones=None, lines=None), NOW)
    assert (other.zones, other.lines) == ({}, {})
    assert other.last_face is not None


def test_classes_that_were_seen_keep_their_sensor() -> None:
    known = Remembered().after(GATE, NOW).after(replace(GATE, zones={"drive": {"car": 1}}), NOW)
    assert known.zones == {"drive": ("person", "car")}
    state = camera_state(replace(GATE, zones={"drive": {"car": 1}}), known)
    assert state["zones"]["drive"] == {"inside": 1, "classes": {"person": 0, "car": 1}}


def test_the_sensors_of_classes_are_bounded_and_the_sum_counts_all() -> None:
    view = replace(GATE, zones={"drive": {f"class {number}": 1 for number in range(30)}})
    known = Remembered().after(view, NOW)
    assert len(known.zones["drive"]) == MOST_CLASSES
    assert camera_state(view, known)["zones"]["drive"]["inside"] == 30


def test_a_retained_state_brings_back_what_was_known() -> None:
    known = Remembered().after(GATE, NOW)
    assert Remembered.of_state(json.dumps(camera_state(GATE, known)).encode()) == known
    for junk in (b"", b"[]", b'{"zones": 1}', b"\xff", b'{"zones": {"a": {}}, "lines": {}}'):
        assert Remembered.of_state(junk) == Remembered()


def test_names_and_class_names_cannot_break_out_of_a_template() -> None:
    name = 'drive"]}} {{ 7*7 }} {%'
    view = replace(GATE, zones={name: {'x"]}} {{ 7*7 }}': 1, "cell phone": 2}})
    components = device(view)["components"]
    assert Remembered().after(view, NOW).zones[name] == ("cell phone",), "others are only counted"
    template = components[f"zone_{slug(name)}"]["value_template"]
    assert json.dumps(name) in template


def test_different_names_have_different_slugs_that_stay() -> None:
    assert (slug("drive-way_2"), slug("Drive way")) == ("drive-way_2", "drive_way_bd368d0a")
    assert len({slug(name) for name in ("Drive way", "drive way", "Drive.way", "drive_way")}) == 4


def test_entities_that_are_gone_are_removed_by_their_platform() -> None:
    before, after = device(GATE), device(replace(GATE, zones={}))
    gone = removals(before, after)
    assert gone == {
        "zone_drive": {"platform": "binary_sensor"},
        "zone_drive_count": {"platform": "sensor"},
        "zone_drive_count_person": {"platform": "sensor"},
    }
    with_removals = {**after, "components": {**after["components"], **gone}}
    require_valid(DISCOVERY.camera_topics("gate")[0], with_removals)
    assert removals(with_removals, before) == {}, "a zone that is back is not removed"
