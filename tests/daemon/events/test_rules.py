"""Which events of plug-ins are stored: conditions, cool-downs, kinds that no rule names, updates and ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sightd.daemon.config.rules import Condition, EventRule
from sightd.daemon.events import rules as module
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.rules import EventRules, EventTime
from sightd.plugins.api import EventRef, Phase

FACTS = {"zone": "yard", "track": 7, "score": 0.8, "seconds": 61}
MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


class Suppressions:
    """Counts what is held back, as metrics do."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.counted: list[tuple[str, str]] = []

    def rules(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def suppressed(self, rule: str, reason: str) -> None:
        self.counted.append((rule, reason))


def rule(**options: Any) -> EventRule:
    return EventRule.model_validate({"kinds": ["zone.*"], **options})


def rules(*by_rule: str, **given: EventRule) -> EventRules:
    made = EventRules(Suppressions())
    made.apply(given, by_rule)
    return made


def event(
    kind: str = "zone.entered",
    at: float = MONDAY_NOON,
    camera: str = "gate",
    label: str = "person",
    **facts: Any,
) -> PendingEvent:
    return PendingEvent(kind, at, camera, "zones", {**FACTS, "class": label, **facts})


def unmet(options: EventRule, one: PendingEvent) -> tuple[str, ...]:
    return tuple(map(str, rules(r=options).decide(one).held_back.get("r", ())))


@pytest.mark.parametrize(
    ("options", "facts", "expected"),
    [
        ({}, {}, ()),
        ({"cameras": ["gate", "hall"]}, {}, ()),
        ({"cameras": ["hall"]}, {}, ("cameras",)),
        ({"zones": ["yard"]}, {}, ()),
        ({"zones": ["hall"]}, {}, ("zones",)),
        ({"lines": ["fence"]}, {"line": "fence"}, ()),
        ({"lines": ["fence"]}, {}, ("lines",)),
        ({"classes": ["dog", "person"]}, {}, ()),
        ({"classes": ["dog"]}, {}, ("classes",)),
        ({"classes": ["dog"]}, {"class": None}, ("classes",)),
        ({"persons": ["anna  lee"]}, {"person": "Anna Lee"}, ()),
        ({"persons": ["anna"]}, {"person": "Ben"}, ("persons",)),
        ({"persons": ["anna"]}, {}, ("persons",)),
        ({"persons": ["anna", "unknown"]}, {}, ()),
        ({"persons": ["unknown"]}, {"person": None}, ()),
        ({"persons": ["unknown"]}, {"person": "Ben"}, ("persons",)),
        ({"min_score": 0.8}, {}, ()),
        ({"min_score": 0.81}, {}, ("min_score",)),
        ({"min_score": 0}, {"score": None}, ("min_score",)),
        ({"at_least": {"seconds": 61}}, {}, ()),
        ({"at_least": {"seconds": 61, "speed_kmh": 5}}, {}, ("at_least",)),
        ({"at_least": {"seconds": 0}}, {"seconds": True}, ("at_least",)),
        ({"at_least": {"seconds": 0}}, {"seconds": "61"}, ("at_least",)),
        ({"active": "mon 11:00-13:00", "timezone": "UTC"}, {}, ()),
        ({"active": "mon 18:00-07:00", "timezone": "UTC"}, {}, ("active",)),
        ({"active": "mon 12:30-14:00", "timezone": "Europe/Berlin"}, {}, ()),  # 13:00 there
        ({"classes": ["dog"], "zones": ["hall"], "min_score": 1}, {}, ("zones", "classes", "min_score")),
    ],
)
def test_a_rule_names_the_conditions_that_an_event_does_not_meet(
    options: dict[str, Any], facts: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert unmet(rule(**options), event(**facts)) == expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("2026-03-28T21:59:00+00:00", ("active",)),  # Saturday, 22:59 in Berlin
        ("2026-03-28T22:00:00+00:00", ()),
        ("2026-03-29T00:59:00+00:00", ()),  # Sunday, 01:59: the last minute of winter time
        ("2026-03-29T01:00:00+00:00", ("active",)),  # 03:00, as the hour from 02:00 to 03:00 is skipped
    ],
)
def test_a_schedule_goes_over_midnight_and_a_change_of_the_clock(clock: str, expected: tuple[str, ...]) -> None:
    night = rule(active="sat 23:00-03:00", timezone="Europe/Berlin")
    assert unmet(night, event(at=datetime.fromisoformat(clock).timestamp())) == expected


@pytest.mark.parametrize(
    ("kind", "facts", "stored"),
    [
        ("zone.entered", {}, True),
        ("zone.entered", {"class": "dog"}, False),  # named by a rule that does not select it
        ("line.crossed", {}, True),  # no rule names it
        ("object.new", {}, False),  # stored only by a rule, and there is none
        ("face.recognised", {"person": "Anna"}, True),
        ("face.recognised", {"person": "Ben"}, False),
    ],
)
def test_an_event_is_stored_if_a_rule_selects_it_or_if_no_rule_is_about_its_kind(
    kind: str, facts: dict[str, Any], stored: bool
) -> None:
    made = rules(
        "object.new",
        "face.recognised",
        people=rule(classes=["person"]),
        anna=rule(kinds=["face.*"], persons=["anna"]),
    )
    assert (made.admit(event(kind, **facts)) is not None) is stored


def test_the_event_says_which_rules_selected_it() -> None:
    made = rules(night=rule(active="mon 18:00-07:00", timezone="UTC"), yard=rule(zones=["yard"]), all=rule())
    admitted = made.admit(event())
    assert admitted == replace(event(), rules=("yard", "all"))
    assert made.admit(event("line.crossed")) == event("line.crossed")


def test_what_is_held_back_is_counted_by_rule_and_first_reason() -> None:
    counts = Suppressions()
    made = EventRules(counts)
    made.apply({"dogs": rule(classes=["dog"], min_score=1), "hall": rule(cameras=["hall"])}, [])
    assert counts.names == ["dogs", "hall"]
    assert made.admit(event()) is None
    assert counts.counted == [("dogs", Condition.CLASSES), ("hall", Condition.CAMERAS)]
    assert made.admit(event(camera="hall")) is not None
    assert len(counts.counted) == 2


class TestCooldown:
    def test_it_begins_with_an_event_that_was_selected_and_is_not_prolonged(self) -> None:
        made = rules(r=rule(cooldown="30s", classes=["person"]))
        times = [(0, "dog"), (1, "person"), (20, "person"), (30.9, "person"), (31, "person"), (60, "person")]
        stored = [at for at, label in times if made.admit(event(at=at, label=label))]
        assert stored == [1, 31]

    @pytest.mark.parametrize(
        ("per", "stored"),
        [
            ("camera", ["a", "other camera"]),
            ("zone", ["a", "other camera", "other zone"]),
            ("track", ["a", "other camera", "other track"]),
            ("class", ["a", "other camera", "other class"]),
            ("person", ["a", "other camera", "somebody"]),
        ],
    )
    def test_there_is_one_for_each_value_of_a_fact_of_each_camera(self, per: str, stored: list[str]) -> None:
        made = rules(r=rule(cooldown="30s", per=per))
        events = {
            "a": event(),
            "again": event(),
            "other camera": event(camera="hall"),
            "other zone": event(zone="lawn"),
            "other track": event(track=8),
            "other class": event(label="dog"),
            "somebody": event(person="Anna"),
        }
        assert [name for name, one in events.items() if made.admit(one)] == stored

    def test_each_rule_has_its_own(self) -> None:
        made = rules(short=rule(cooldown="10s"), long=rule(cooldown="1h"))
        found = [made.admit(event(at=at)) for at in (0, 5, 15)]
        assert [one and one.rules for one in found] == [("short", "long"), None, ("short",)]

    def test_a_clock_that_is_set_back_does_not_silence_a_rule(self) -> None:
        made = rules(r=rule(cooldown="30s"))
        assert [made.admit(event(at=at)) is not None for at in (7200, 7190, 3600, 3610)] == [True, False, True, False]

    def test_a_reload_keeps_it_unless_the_rule_has_changed(self) -> None:
        made = rules(same=rule(cooldown="1h"), other=rule(cooldown="1h"))
        assert made.admit(event())
        made.apply({"same": rule(cooldown="1h"), "other": rule(cooldown="2h")}, [])
        admitted = made.admit(event(at=MONDAY_NOON + 60))
        assert admitted is not None
        assert admitted.rules == ("other",)

    def test_their_number_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_COOLDOWNS", 2)
        made = rules(r=rule(cooldown="1h", per="track"))
        tracks = [(0, 1), (1, 2), (3600, 1), (3600, 3), (3600, 1), (3600, 2)]  # 3 takes the place of 2
        stored = [made.admit(event(at=at, track=track)) is not None for at, track in tracks]
        assert stored == [True, True, True, True, False, True]


def began(at: float = MONDAY_NOON, **facts: Any) -> PendingEvent:
    return replace(event(at=at, **facts), phase=Phase.BEGAN)


def follows(beginning: PendingEvent, kind: str = "zone.left", phase: Phase = Phase.ENDED, **facts: Any) -> PendingEvent:
    about = EventRef(beginning.kind, beginning.at, beginning.facts)
    return replace(event(kind, beginning.at + 90, **facts), phase=phase, about=about)


class TestUpdatesAndEnds:
    def test_they_follow_their_beginning(self) -> None:
        made = rules(people=rule(classes=["person"], active="mon 11:00-12:01", timezone="UTC"))
        person, dog = began(), began(label="dog")
        assert made.admit(person)
        assert not made.admit(dog)
        update, end = follows(person, phase=Phase.UPDATED), follows(person)
        assert made.admit(update) == replace(update, rules=("people",))  # although the schedule is over
        assert made.admit(end) == replace(end, rules=("people",))
        assert not made.admit(follows(dog, label="dog"))

    def test_the_end_of_what_a_cool_down_held_back_is_not_stored(self) -> None:
        made = rules(r=rule(cooldown="60s"))
        first, second = began(), began(MONDAY_NOON + 1, track=8)
        assert [made.admit(one) is not None for one in (first, second, follows(second), follows(first))] == [
            True,
            False,
            False,
            True,
        ]
        assert made.decide(follows(second)).held_back == {"r": (Condition.BEGINNING,)}

    def test_the_end_of_what_began_while_the_schedule_was_off_is_not_stored(self) -> None:
        made = rules(r=rule(active="mon 12:01-13:00", timezone="UTC"))
        beginning = began()
        assert not made.admit(beginning)
        assert not made.admit(follows(beginning))

    def test_a_rule_decides_again_by_what_is_only_known_at_the_end(self) -> None:
        made = rules(anna=rule(persons=["anna"]), long=rule(at_least={"seconds": 60}))
        beginning = replace(began(), facts={"zone": "yard"})
        assert not made.admit(beginning)
        assert not made.admit(follows(beginning, seconds=59))
        end = made.admit(follows(beginning, seconds=60, person="Anna"))
        assert end is not None
        assert end.rules == ("anna", "long")

    def test_a_rule_that_names_only_the_end_decides_about_the_end(self) -> None:
        made = rules(night=rule(kinds=["zone.entered"], active="sat", timezone="UTC"),
                     long_stay=rule(kinds=["zone.left"], at_least={"seconds": 60}))  # fmt: skip
        beginning = began()
        assert not made.admit(beginning)
        assert not made.admit(follows(beginning, seconds=59))
        end = made.admit(follows(beginning, seconds=60))
        assert end is not None
        assert end.rules == ("long_stay",)

    def test_an_end_is_stored_with_its_beginning_whatever_a_rule_about_ends_says(self) -> None:
        made = rules(long_stay=rule(kinds=["zone.left"], at_least={"seconds": 60}))
        short, long = began(), began(track=8)
        assert made.admit(short) == short
        assert made.admit(long) == long
        assert made.admit(follows(short, seconds=5)) == follows(short, seconds=5)
        end = made.admit(follows(long))
        assert end is not None
        assert end.rules == ("long_stay",)

    def test_they_follow_it_even_if_a_reload_changes_the_rules_meanwhile(self) -> None:
        made = rules()
        beginning = began()
        assert made.admit(beginning)
        made.apply({"dogs": rule(classes=["dog"])}, [])
        assert made.admit(follows(beginning)) == follows(beginning)
        assert not made.admit(follows(beginning)), "the end was the last that belongs to it"

    def test_after_a_restart_the_kind_of_the_beginning_decides(self) -> None:
        assert rules().admit(follows(began())) == follows(began())
        ends, beginnings = rule(kinds=["zone.left"], classes=["dog"]), rule(kinds=["zone.entered"])
        assert rules(r=ends).admit(follows(began())) == follows(began())
        assert rules(r=beginnings).admit(follows(began())) is None

    def test_a_rule_that_a_reload_changes_is_named_once(self) -> None:
        made = rules(r=rule())
        beginning = began()
        assert made.admit(beginning)
        made.apply({"r": rule(kinds=["zone.left"])}, [])
        assert made.admit(follows(beginning)) == replace(follows(beginning), rules=("r",))

    def test_those_of_other_cameras_have_their_own_beginning(self) -> None:
        made = rules(gate=rule(cameras=["gate"]), hall=rule(cameras=["hall"]))
        gate, hall = began(), replace(began(), camera="hall")
        assert made.admit(gate)
        assert made.admit(hall)
        for beginning in (gate, hall):
            end = made.admit(replace(follows(beginning), camera=beginning.camera))
            assert end is not None
            assert end.rules == (beginning.camera,)

    def test_a_bounded_number_of_beginnings_is_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_BEGINNINGS", 2)
        made = rules(r=rule())
        beginnings = [began(track=track) for track in range(3)]
        assert all(made.admit(one) for one in beginnings)
        assert [made.admit(follows(one)) is not None for one in beginnings] == [False, True, True]


def test_an_event_without_a_time_of_day_meets_every_schedule() -> None:
    made = rules(night=rule(active="mon 18:00-07:00", timezone="UTC", cooldown="30s"))
    film = [made.decide(event(at=0.0), EventTime(at, time_of_day=False)).stored for at in (0.0, 10.0, 30.0)]
    assert film == [True, False, True]
