"""What a plug-in reports about frames besides results: counters, gauges, events and a JSON form, and how it declares
them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What can be written as JSON: text, finite numbers, true, false, null, and lists and objects of these."""

MAX_VALUES = 100
"""Maximum number of label values of a counter; of class names, those beyond it are counted as "other". Also of those
that one result gives to a gauge."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SUFFIXES_OF_OTHERS = ("_total", "_created", "_count", "_sum", "_bucket", "_info")
"""By these, Prometheus tells other types of metrics."""


@dataclass(frozen=True, slots=True)
class JsonOptions:
    """What the JSON form of results includes."""

    embeddings: bool = False
    """Whether to include embeddings, which are long."""


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """Declares the metric `sightd_NAME_total` with the labels `camera` and, unless it is None, `label`.

    `name` and `label` are lower-case words joined by underscores. `values` lists the label's values, 100 at most, so
    that the number of time series is bounded. None means class names of a model: the first 100 are labels, all others
    are counted as "other". Raises ValueError for anything else.
    """

    name: str
    help: str
    label: str | None = None
    values: tuple[str, ...] | None = None

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return f"sightd_{self.name}_total"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.startswith("sightd_") or self.name.endswith("_total"):
            raise ValueError(
                f"CounterSpec: name {self.name!r}: write lower-case words joined by underscores, without the prefix "
                "sightd_ and the suffix _total"
            )
        _check_spec(self, "counted")


@dataclass(frozen=True, slots=True)
class Count:
    """Adds `number` (0 or more) to the counter named `metric`, for one value of its label; `value` is None if it has no
    label."""

    metric: str
    value: str | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class GaugeSpec:
    """Declares the metric `sightd_NAME`, whose value goes up and down, with the labels `camera` and, unless it is None,
    `label`.

    `name` and `label` are lower-case words joined by underscores; a name that has a unit ends with it, such as
    "_seconds". `values` lists the label's values, 100 at most. None means names that the plug-in knows, such as those
    of zones; one result may give values for 100 at most. Raises ValueError for anything else.
    """

    name: str
    help: str
    label: str | None = None
    values: tuple[str, ...] | None = None

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return f"sightd_{self.name}"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.startswith("sightd_") or self.name.endswith(_SUFFIXES_OF_OTHERS):
            raise ValueError(
                f"GaugeSpec: name {self.name!r}: write lower-case words joined by underscores, without the prefix "
                f"sightd_ and the suffixes {', '.join(_SUFFIXES_OF_OTHERS)}"
            )
        _check_spec(self, "measured")


@dataclass(frozen=True, slots=True)
class GaugeValue:
    """Sets the gauge named `metric` to `number`, for one value of its label; `value` is None if it has no label.
    `number` is finite."""

    metric: str
    value: str | None = None
    number: float = 0.0


MetricSpec: TypeAlias = CounterSpec | GaugeSpec


def _check_spec(spec: MetricSpec, verb: str) -> None:
    """Raises ValueError if help, label or values are not allowed."""
    what = f"{type(spec).__name__} {spec.name}"
    if not spec.help.strip():
        raise ValueError(f"{what}: help is empty; say in a sentence what is {verb}")
    if spec.label is not None and (not _NAME.fullmatch(spec.label) or spec.label == "camera"):
        raise ValueError(f'{what}: label {spec.label!r}: write a lower-case word, not "camera"')
    if spec.values is not None and (spec.label is None or not 0 < len(spec.values) <= MAX_VALUES):
        raise ValueError(f"{what}: values: list 1 to {MAX_VALUES} values of a label, or none")
    "".join((spec.help, *(spec.values or ()))).encode()  # raises ValueError for what is no Unicode text


MAX_EVENTS = 16
"""Maximum number of events of one plug-in on one frame."""
MAX_FACTS = 4096
"""Maximum size of an event's facts, in bytes of JSON."""
RESERVED_KINDS = ("camera", "plugin", "config", "daemon", "events")
"""Prefixes of sightd's own kinds of events, which no plug-in may use, except for `SHARED_KINDS`."""
SHARED_KINDS = ("camera.tampered",)
"""Kinds of plug-ins that people look for among sightd's own: that a camera was covered or moved belongs to camera.down
and camera.late, but only the picture shows it, so a plug-in reports it."""

_KIND = re.compile(rf"{_NAME.pattern}(\.{_NAME.pattern})+")
_LONGEST_KIND = 63


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Declares a kind of event, such as "dwell.long": lower-case words joined by dots, of which the first is not one of
    `RESERVED_KINDS`; 63 characters at most. `help` says when it happens. `by_rule`: it is so frequent that events of
    this kind are stored only if one of the configured `events.rules` selects them. `facts` are the names of all facts
    that its events may have, so that a rule that asks for others is refused; None if they are not known. Raises
    ValueError for anything else."""

    kind: str
    help: str
    by_rule: bool = False
    facts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind) or len(self.kind) > _LONGEST_KIND:
            raise ValueError(
                f'EventSpec: kind {self.kind!r}: write lower-case words joined by dots, such as "dwell.long", '
                f"{_LONGEST_KIND} characters at most"
            )
        if self.kind.partition(".")[0] in RESERVED_KINDS and self.kind not in SHARED_KINDS:
            raise ValueError(
                f"EventSpec: kind {self.kind!r}: the prefixes {', '.join(RESERVED_KINDS)} are reserved for sightd"
            )
        if not self.help.strip():
            raise ValueError(f"EventSpec {self.kind}: help is empty; say in a sentence when it happens")
        if self.facts is not None and not isinstance(self.facts, tuple):
            raise ValueError(f"EventSpec {self.kind}: facts is {type(self.facts).__name__}, expected a tuple of names")


@dataclass(frozen=True, slots=True)
class EventRef:
    """Names an earlier event of the same camera: its kind, the `wall_time` of its frame, and its facts. Its id is not
    known to plug-ins, because the journal assigns it when it stores the event."""

    kind: str
    at: float
    facts: Mapping[str, JsonValue] = field(default_factory=dict)


class Phase(StrEnum):
    """What an event says about something that lasts."""

    ONCE = "once"
    """It does not last, or its end is not reported."""
    BEGAN = "began"
    UPDATED = "updated"
    """More is known about what began earlier, and it goes on."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on a frame. The daemon adds camera, plug-in and the time of the frame's capture.

    `kind` is one that the plug-in's class declares. `facts` can be written as JSON, in 4 KiB at most, and contain no
    secret. The facts `zone`, `line`, `class` and `person` (text), `track` (an integer) and `score` (a number) become
    fields of the event, by which it can be found.

    If the event adds to an earlier one, `about` names that: the daemon then adds its id to the facts, as `event`; null
    if the journal does not have it any more. An event of the phases UPDATED and ENDED names the one that BEGAN, whose
    kind may differ; its id becomes the field `began` of the event and is not added to the facts.
    """

    kind: str
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    about: EventRef | None = None
    phase: Phase = Phase.ONCE
