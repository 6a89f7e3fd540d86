"""Counters, gauges and kinds of events are checked when they are declared."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.daemon.events.event import EventKind
from sightd.plugins.api import (
    MAX_VALUES,
    RESERVED_KINDS,
    CounterSpec,
    Event,
    Events,
    EventSpec,
    Frame,
    GaugeSpec,
    PrivacyMask,
    Results,
)
from tests.daemon.pipeline.plugins import found


@pytest.mark.parametrize(
    ("name", "text", "label", "values", "told"),
    [
        ("", "Help.", None, None, "name"),
        ("Seen", "Help.", None, None, "name"),
        ("seen things", "Help.", None, None, "name"),
        ("sightd_seen", "Help.", None, None, "without the prefix"),
        ("seen_total", "Help.", None, None, "suffix _total"),
        ("seen", " ", None, None, "help is empty"),
        ("seen", "Help.", "camera", None, "label 'camera'"),
        ("seen", "Help.", "9", None, "label '9'"),
        ("seen", "Help.", None, ("a",), "values"),
        ("seen", "Help.", "kind", (), "values"),
        ("seen", "Help.", "kind", tuple(map(str, range(MAX_VALUES + 1))), "list 1 to 100 values"),
        ("seen", "Help.", "kind", ("\udcff",), "surrogates not allowed"),
    ],
)
def test_an_invalid_counter_is_refused(
    name: str, text: str, label: str | None, values: tuple[str, ...] | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        CounterSpec(name, text, label, values)


@pytest.mark.parametrize(
    ("name", "text", "label", "values", "told"),
    [
        ("Seated", "Help.", None, None, "name"),
        ("sightd_seated", "Help.", None, None, "without the prefix"),
        ("seated_total", "Help.", None, None, "suffixes _total"),
        ("seated_bucket", "Help.", None, None, "suffixes _total"),
        ("seated", " ", None, None, "say in a sentence what is measured"),
        ("seated", "Help.", "camera", None, "GaugeSpec seated: label 'camera'"),
        ("seated", "Help.", "table", (), "GaugeSpec seated: values"),
    ],
)
def test_an_invalid_gauge_is_refused(
    name: str, text: str, label: str | None, values: tuple[str, ...] | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        GaugeSpec(name, text, label, values)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("dwell", "Help.", "joined by dots"),
        ("Dwell.long", "Help.", "joined by dots"),
        ("dwell.long stay", "Help.", "joined by dots"),
        ("dwell." + "x" * 58, "Help.", "63 characters at most"),
        ("camera.seen", "Help.", "reserved for sightd"),
        ("dwell.long", "", "help is empty"),
    ],
)
def test_an_invalid_kind_of_event_is_refused(kind: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EventSpec(kind, text)


def test_the_prefixes_of_sightd_s_own_events_are_reserved() -> None:
    assert {kind.partition(".")[0] for kind in EventKind} == set(RESERVED_KINDS)


def test_valid_ones_are_accepted() -> None:
    assert CounterSpec("seen", "Help.", "till_side", ("left",)).values == ("left",)
    assert GaugeSpec("seated", "Help.", "table").metric == "sightd_seated"
    assert EventSpec("zone.person_entered", "Help.").kind == "zone.person_entered"


def test_facts_of_an_event_are_declared_by_a_tuple() -> None:
    assert EventSpec("zone.left", "Help.", facts=("zone", "seconds")).facts == ("zone", "seconds")
    with pytest.raises(ValueError, match="facts is str, expected a tuple of names"):
        EventSpec("zone.left", "Help.", facts=("zone"))  # type: ignore[arg-type]


def test_events_of_several_plug_ins_are_joined_and_other_results_replaced() -> None:
    one, two, three = (Event(f"dwell.{name}") for name in ("one", "two", "three"))
    first, second = Results(Events((one, two)), found(1)), Results(Events((three,)), found(2))
    both = first.merged(second)
    events, detections = both.get(Events), both.get(type(found(0)))
    assert events is not None
    assert events.items == (one, two, three)
    assert detections is not None
    assert len(detections) == 2
    assert first.merged(Results()).get(Events) == Events((one, two))


def test_what_one_plug_in_redacts_stays_redacted_after_another() -> None:
    first = PrivacyMask(np.array([[0, 0, 10, 10]], np.float32))
    second = PrivacyMask(np.array([[20, 20, 30, 30]], np.float32))
    for earlier, later, expected in (
        (Results(first), Results(second), [[0, 0, 10, 10], [20, 20, 30, 30]]),
        (Results(first), Results(), [[0, 0, 10, 10]]),
        (Results(), Results(second), [[20, 20, 30, 30]]),
    ):
        mask = earlier.merged(later).get(PrivacyMask)
        assert mask is not None
        assert mask.boxes.tolist() == expected


def test_the_whole_frame_is_redacted_if_no_region_is_given() -> None:
    frame = Frame.of(np.zeros((4, 8, 3), np.uint8))
    for results, expected in ((Results(), [[0, 0, 8, 4]]), (Results(PrivacyMask(np.zeros((0, 4), np.float32))), [])):
        mask = results.redacted(frame).get(PrivacyMask)
        assert mask is not None
        assert mask.boxes.tolist() == expected
