"""What a plug-in counts, measures and says happened is checked against what its class declares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from sightd.daemon.isolation.protocol import NonsenseError
from sightd.daemon.pipeline.supervisor import AnswerCheck, PluginSupervisor
from sightd.plugins.api import (
    Count,
    CounterSpec,
    Detections,
    Event,
    Events,
    EventSpec,
    GaugeSpec,
    GaugeValue,
    MetricSpec,
    Plugin,
    PluginConfig,
    PluginError,
    Results,
)
from tests.daemon.pipeline.plugins import Finder, Observations, found, frame


@dataclass(frozen=True)
class Queue:
    """A result that counts what it was given."""

    counted: Any

    def counts(self) -> Iterable[Count]:
        return self.counted  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Room:
    """A result that measures what it was given."""

    measured: Any

    def gauges(self) -> Iterable[GaugeValue]:
        return self.measured  # type: ignore[no-any-return]


class Counter(Plugin[PluginConfig]):
    """Declares a counter without a label, one of fixed values, one of class names, gauges alike, and two kinds of
    events."""

    produces: ClassVar[frozenset[type]] = frozenset({Queue, Room, Events, Detections})
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        GaugeSpec("temperature_celsius", "Temperature."),
        GaugeSpec("waiting", "Waiting customers.", "till", ("left", "right")),
        GaugeSpec("seated", "Guests at a table.", "table"),
        CounterSpec("queues", "Queues."),
        CounterSpec("served", "Served customers.", "till", ("left", "right")),
        CounterSpec("goods", "Goods.", "class"),
    )
    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("queue.long", "Long."), EventSpec("queue.short", "Short."))


CHECK = AnswerCheck(Counter(PluginConfig()))


def counted(*counts: Any) -> Results:
    return Results(Queue(counts))


def measured(*values: Any) -> Results:
    return Results(Room(values))


def happened(*events: Any) -> Results:
    return Results(Events(events))


def test_what_is_declared_is_counted() -> None:
    counts = (Count("queues"), Count("served", "left", 3), Count("goods", "bread", 0))
    [answer] = CHECK.process([counted(*counts)], 1)
    assert answer.counts == {Queue: counts}
    assert answer.events == ()


def test_what_is_declared_is_measured() -> None:
    values = (
        GaugeValue("temperature_celsius", number=-3.5),
        GaugeValue("waiting", "left", 3),
        GaugeValue("seated", "7"),
    )
    [answer] = CHECK.process([Results(Room(values))], 1)
    assert answer.gauges == values


def test_a_standard_result_counts_without_a_declaration_of_its_own() -> None:
    [answer] = AnswerCheck(Finder()).process([Results(found(3))], 1)
    assert answer.counts == {Detections: (Count("detections", "x", 3),)}


@pytest.mark.parametrize(
    ("results", "told"),
    [
        (counted("queues"), r"Queue\.counts: returned str, expected Count"),
        (counted(Count("others")), "the counter 'others' is not declared in `metrics`"),
        (counted(Count("queues", "left")), "queues: value 'left' is not declared"),
        (counted(Count("served")), "served: value None is not declared"),
        (counted(Count("served", "middle")), "served: value 'middle' is not declared"),
        (counted(Count("goods", "\udcff")), r"goods: value '\\udcff' is not declared"),
        (counted(Count("queues", None, -1)), "number is -1, expected a whole number from 0"),
        (counted(Count("queues", None, 0.5)), "number is 0.5"),  # type: ignore[arg-type]
        (measured("seated"), r"Room\.gauges: returned str, expected GaugeValue"),
        (measured(GaugeValue("queues")), "the gauge 'queues' is not declared in `metrics`"),
        (measured(GaugeValue("waiting", "middle", 1)), "waiting: value 'middle' is not declared"),
        (measured(GaugeValue("seated", None, 1)), "seated: value None is not declared"),
        (measured(GaugeValue("seated", "7", float("nan"))), "seated: number is nan, expected a finite number"),
        (measured(*[GaugeValue("seated", str(n)) for n in range(101)]), "seated has 101 values; at most 100"),
        (happened("queue.long"), "Events holds str, expected Event"),
        (happened(Event("queue.lost")), "the event kind 'queue.lost' is not declared in `events`"),
        (happened(Event("queue.long", [1])), "queue.long: facts is list, expected a mapping"),  # type: ignore[arg-type]
        (happened(Event("queue.long", {"of": {1, 2}})), "cannot be written as JSON"),  # type: ignore[dict-item]
        (happened(Event("queue.long", {"of": float("nan")})), "cannot be written as JSON"),
        (happened(Event("queue.long", {"of": "\udcff"})), "cannot be written as JSON"),
        (happened(Event("queue.long", {"of": "é" * 2048})), "facts take 4106 bytes as JSON; at most 4096"),
        (happened(*[Event("queue.long")] * 17), "17 events for a frame; at most 16"),
    ],
)
def test_what_is_not_declared_is_a_fault_of_the_plug_in(results: Results, told: str) -> None:
    with pytest.raises(NonsenseError, match=told):
        CHECK.process([results], 1)


def test_events_keep_their_facts_even_if_the_plug_in_changes_them_later() -> None:
    facts: dict[str, Any] = {"length": 7, "tills": ["left"]}
    [answer] = CHECK.process([happened(*[Event("queue.long", facts)] * 16)], 1)
    facts["tills"].append("right")
    assert answer.events == (Event("queue.long", {"length": 7, "tills": ["left"]}),) * 16


def test_a_prediction_has_no_events_and_counts_nothing() -> None:
    assert Queue in CHECK.predict(counted("never asked"))
    with pytest.raises(NonsenseError, match="predict returned Events"):
        CHECK.predict(happened(Event("queue.long")))


def test_a_fault_of_what_it_counts_is_the_plug_in_s_and_the_frame_goes_on() -> None:
    class Wrong(Counter):
        def process(self, frames: Any, results: Any) -> list[Results]:
            return [counted(Count("others"))]

    observations = Observations()
    supervisor = PluginSupervisor("wrong", Wrong(PluginConfig()), observations)
    assert supervisor.process([frame()], [Results()]) is None
    assert observations.faults == ["invalid"]
    assert "'others' is not declared" in supervisor.last_fault


def test_wrong_declarations_are_reported_before_the_plug_in_runs() -> None:
    class Twice(Counter):
        metrics = (CounterSpec("queues", "Queues."), GaugeSpec("queues", "Queues."))

    with pytest.raises(PluginError, match="declares the metric 'queues' twice, differently"):
        AnswerCheck(Twice(PluginConfig()))
