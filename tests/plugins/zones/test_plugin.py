"""The plug-in: what it makes of tracks and faces, and what it reports."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import (
    AnyPlugin,
    Detections,
    Event,
    Events,
    Faces,
    Frame,
    JsonOptions,
    Plugin,
    PluginError,
    Results,
    Tracks,
)
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.testing import check_plugin
from sightd.plugins.testing.stubs import StubContext
from sightd.plugins.zones.config import CameraZones, ZonesConfig
from sightd.plugins.zones.plugin import Zones
from sightd.plugins.zones.result import ZoneCounts
from sightd.plugins.zones.store import ZoneStore

LABELS = ("person", "car")
SIZE = 100
LEFT_HALF = {"corners": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "min_dwell": 0, "leave_after": 0}
MIDDLE = {"points": [[0.5, 1], [0.5, 0]]}
CAMERA = {"zones": {"left": LEFT_HALF}, "lines": {"middle": MIDDLE}}


def opened(camera: dict[str, Any] | None = None, **options: Any) -> Zones:
    given = {"cameras": {"yard": CAMERA if camera is None else camera}, **options}
    plugin = Zones(ZonesConfig.model_validate(given))
    plugin.open(StubContext("zones"))
    return plugin


def frame(number: float, camera: str = "yard", size: int = SIZE) -> Frame:
    image = np.zeros((size, size, 3), np.uint8)
    return Frame.of(image, camera=camera, seq=round(number * 10), captured_at=100.0 + number, wall_time=1.7e9 + number)


def tracks(places: Sequence[tuple[int, float, float]], label: int = 0, *, observed: bool = True) -> Tracks:
    """Boxes of 10 x 20 px that stand at (track, x, y)."""
    boxes = np.array([(x - 5, y - 20, x + 5, y) for _, x, y in places], np.float32).reshape(-1, 4)
    ids = np.array([track for track, *_ in places], np.int64)
    count, none = len(places), np.zeros((len(places), 2), np.float32)
    rows = np.arange(count) if observed else np.full(count, -1)
    scores = np.full(count, 0.9, np.float32)
    return Tracks(boxes, scores, np.full(count, label), ids, np.full(count, 9, np.float32), none, rows, LABELS)


def faces(box: Sequence[float], name: str | None) -> Faces:
    one = np.ones(1, np.float32)
    return Faces(
        np.array([box], np.float32), one, np.zeros((1, 5, 2), np.float32), one, np.zeros(1, np.int64), (name,), one,
        one, ("",), np.zeros((1, 4), np.float32),
    )  # fmt: skip


def processed(plugin: Zones, at: float, *given: object) -> Results:
    [found] = plugin.process([frame(at)], [Results(*given)])
    return found


def events_of(found: Results) -> tuple[Event, ...]:
    events = found.get(Events)
    assert events is not None
    return events.items


def kinds(found: Results) -> list[str]:
    return [event.kind for event in events_of(found)]


def counts(found: Results) -> ZoneCounts:
    numbers = found.get(ZoneCounts)
    assert numbers is not None
    return numbers


def test_it_fulfils_the_contract() -> None:
    report = check_plugin(Zones, {"cameras": {"camera": CAMERA}})
    assert report.ok, report


def test_it_comes_after_a_tracker_and_a_face_recogniser() -> None:
    class Tracking(Plugin[Any]):
        produces = frozenset({Detections, Tracks})

    class Recognising(Plugin[Any]):
        produces = frozenset({Faces})

    classes: dict[str, type[AnyPlugin]] = {"tracker": Tracking, "face": Recognising, "zones": Zones}
    check_chain(["tracker", "face", "zones"], classes)
    for wrong in (["zones"], ["tracker", "zones", "face"]):
        with pytest.raises(PluginError, match=r"zones (requires Tracks|uses Faces)"):
            check_chain(wrong, classes)


def test_events_have_the_facts_and_counters_add_up() -> None:
    plugin, declarations = opened(), Declarations.of(Zones)
    found = [processed(plugin, at / 5, tracks([(7, 20 + 6 * at, 90)])) for at in range(11)]
    events = [event for one in found for event in declarations.events(one)]
    assert [event.kind for event in events] == [
        "zone.entered", "zone.occupied", "zone.left", "zone.empty", "line.crossed",
    ]  # fmt: skip
    assert events[0].facts == {"zone": "left", "class": "person", "track": 7}
    assert events[2].facts == {
        "zone": "left", "class": "person", "track": 7, "seconds": events[2].facts["seconds"], "reason": "outside",
    }  # fmt: skip
    assert events[4].facts == {"line": "middle", "direction": "in", "class": "person", "track": 7, "heading": 90}
    added = [
        (count.metric, count.value, count.number)
        for one in found
        for count in declarations.counts(one)[ZoneCounts]
        if count.number
    ]
    assert added == [("zone_entries", "person", 1), ("zone_exits", "person", 1), ("line_crossings", "in", 1)]


def test_each_zone_has_gauges_of_who_is_inside_and_for_how_long() -> None:
    plugin, declarations = opened(), Declarations.of(Zones)

    def measured(at: float, *objects: tuple[int, float, float]) -> dict[str, float]:
        values = declarations.measured(processed(plugin, at, tracks(list(objects))))
        assert {value.value for value in values} == {"left"}
        return {value.metric: round(value.number, 3) for value in values}

    assert measured(0.0) == {"zone_occupancy": 0, "zone_longest_stay_seconds": 0}
    measured(0.2, (1, 20, 90))
    assert measured(1.2, (1, 20, 90), (2, 30, 90)) == {"zone_occupancy": 2, "zone_longest_stay_seconds": 1}
    assert measured(1.4, (1, 90, 90), (2, 30, 90))["zone_occupancy"] == 1
    assert measured(1.6, (1, 90, 90), (2, 30, 90)) == {"zone_occupancy": 1, "zone_longest_stay_seconds": 0.4}


def test_the_json_form_has_all_numbers() -> None:
    plugin = opened({**CAMERA, "scale": {"points": [[0, 0], [1, 0]], "metres": 10}})
    for at in range(4):
        found = processed(
            plugin, at / 5, tracks([(7, 20 + 4 * at, 90)]), faces([15 + 4 * at, 71, 25 + 4 * at, 79], "Ada")
        )
    form = counts(found).to_json(found, JsonOptions())
    assert form["zones"] == {
        "left": {
            "active": True, "inside": 1, "entered": 1, "left": 0, "inside_by_class": {"person": 1},
            "entered_by_class": {"person": 1}, "persons": ("Ada",), "longest_stay": 0.6,
        }
    }  # fmt: skip
    assert form["lines"] == {"middle": {"active": True, "in": 0, "out": 0, "by_class": {}}}
    assert form["objects"] == [{"track": 7, "zones": ("left",), "speed_kmh": 7.2, "heading": 90}]


def test_a_face_names_the_person_who_has_it_and_no_other_object() -> None:
    plugin = opened()
    found = processed(plugin, 0, tracks([(1, 20, 90), (2, 40, 90)]), faces([37, 71, 43, 77], "Ada"))
    assert [(event.facts["track"], event.facts.get("person")) for event in events_of(found)[:2]] == [
        (1, None),
        (1, None),
    ]
    assert counts(found).zones[0].persons == ("Ada",)
    car = processed(opened(), 0, tracks([(1, 40, 90)], label=1), faces([37, 71, 43, 77], "Ada"))
    assert counts(car).zones[0].persons == ()


def test_more_than_sixteen_events_wait_for_the_next_frames_in_order() -> None:
    plugin = opened({"zones": {"left": LEFT_HALF}})
    crowd = tracks([(track, 1 + track, 90) for track in range(1, 40)])
    found = [processed(plugin, at / 10, crowd) for at in range(4)]
    assert [len(kinds(one)) for one in found] == [16, 16, 8, 0]
    seen = [event.facts["track"] for one in found for event in events_of(one) if event.kind == "zone.entered"]
    assert seen == list(range(1, 40))
    assert counts(found[0]).zones[0].entered == 39, "numbers do not wait"


def test_events_beyond_the_queue_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.plugins.zones.events._MOST_WAITING", 10)
    found = processed(
        opened({"zones": {"left": LEFT_HALF}}), 0, tracks([(track, 1 + track, 90) for track in range(1, 40)])
    )
    dropped = [count.number for count in counts(found).counts() if count.metric == "zone_events_dropped"]
    assert dropped == [40 - 16 - 10]


def test_predictions_show_the_last_numbers_and_change_nothing() -> None:
    plugin = opened()
    assert not len(plugin.predict(frame(0), Results()))
    processed(plugin, 0, tracks([(1, 20, 90)]))
    predicted = plugin.predict(frame(0.1), Results(tracks([(1, 80, 90)])))
    assert counts(predicted).zones[0].inside == 1
    assert counts(predicted).zones[0].flash
    assert not any(count.number for count in counts(predicted).counts())
    assert Events not in predicted
    assert not counts(plugin.predict(frame(5), Results())).zones[0].flash


def test_a_frame_without_tracks_and_a_photograph_change_nothing() -> None:
    plugin = opened()
    processed(plugin, 0, tracks([(1, 20, 90)]))
    assert counts(processed(plugin, 9)).zones[0].inside == 1, "the tracker failed: nothing is known"
    photograph = Frame.of(np.zeros((SIZE, SIZE, 3), np.uint8), camera="yard", captured_at=109, still=True)
    [found] = plugin.process([photograph], [Results(tracks([(2, 40, 50)]))])
    assert counts(found).zones[0].entered == 1


def test_a_camera_that_is_forgotten_or_changes_its_size_begins_again() -> None:
    plugin = opened()
    processed(plugin, 0, tracks([(1, 20, 90)]))
    plugin.forget("yard")
    assert not len(plugin.predict(frame(0), Results()))
    processed(plugin, 0, tracks([(1, 20, 90)]))
    [found] = plugin.process([frame(1, size=200)], [Results(tracks([]))])
    assert counts(found).zones[0].inside == 0


def test_stored_zones_apply_from_the_next_frame_on(tmp_path: Path) -> None:
    path = tmp_path / "zones.json"
    plugin = opened({"zones": {"left": LEFT_HALF}}, store=str(path))
    assert kinds(processed(plugin, 0, tracks([(1, 20, 90)]))) == ["zone.entered", "zone.occupied"]
    ZoneStore(path).save({"yard": CameraZones.model_validate({"zones": {"all": {**LEFT_HALF, "min_dwell": 0}}})})
    found = processed(plugin, 1, tracks([(1, 21, 90)]))
    assert {zone.name: zone.inside for zone in counts(found).zones} == {"all": 1, "left": 1}
    path.unlink()
    gone = processed(plugin, 2, tracks([(1, 22, 90)]))
    assert [zone.name for zone in counts(gone).zones] == ["left"]
    assert kinds(gone) == ["zone.left", "zone.empty"]


def test_a_damaged_file_is_logged_and_the_zones_read_last_apply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "zones.json"
    plugin = opened({}, store=str(path))
    ZoneStore(path).save({"yard": CameraZones.model_validate(CAMERA)})
    processed(plugin, 0, tracks([]))
    path.write_text("{")
    assert [zone.name for zone in counts(processed(plugin, 1, tracks([]))).zones] == ["left"]
    assert "correct the file, or remove it" in caplog.text


def test_schedules_use_the_time_of_the_frame_in_the_configured_zone() -> None:
    """Frame 0 is on Tuesday 14 November 2023, at 22:13 UTC: 07:13 on Wednesday in Tokyo."""
    for active, zone, inside in (
        ("tue 22:00-23:00", "UTC", 1),
        ("wed 07:00-08:00", "Asia/Tokyo", 1),
        ("wed", "UTC", 0),
    ):
        plugin = opened({"zones": {"left": {**LEFT_HALF, "active": active}}}, timezone=zone)
        assert counts(processed(plugin, 0, tracks([(1, 20, 90)]))).zones[0].inside == inside
    film = Frame.of(np.zeros((SIZE, SIZE, 3), np.uint8), camera="yard", captured_at=1)
    [found] = plugin.process([film], [Results(tracks([(1, 20, 90)]))])
    assert counts(found).zones[0].inside == 1, "a file has no time of day"


def test_results_can_be_sent_to_another_process() -> None:
    found = counts(processed(opened(), 0, tracks([(1, 20, 90)])))
    assert pickle.loads(pickle.dumps(found)) == found
