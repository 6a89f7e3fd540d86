"""Options of `events.rules`: which events of plug-ins are stored."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sightd.daemon.config.section import KindPattern, Name, Section
from sightd.plugins.api import Span
from sightd.plugins.schedule.weekly import ScheduleText, TimeZoneName

Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
FactName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]

UNKNOWN = "unknown"
"""In `persons`: an event that names no person."""
Per = Literal["camera", "zone", "line", "track", "person", "class"]


class EventRule(Section):
    """Selects events of plug-ins. All conditions must hold; one about a fact that the event does not have does not."""

    kinds: list[KindPattern] = Field(
        min_length=1,
        description="Kinds of events that the rule is about; `*` stands for any text. Events of these kinds are only "
        "stored if a rule that names them selects them.",
        examples=[["zone.entered", "face.*"]],
    )
    cameras: list[Name] | None = Field(None, min_length=1, description="Only events of these cameras.")
    zones: list[Text] | None = Field(None, min_length=1, description="Only events in these zones.")
    lines: list[Text] | None = Field(None, min_length=1, description="Only events at these lines.")
    classes: list[Text] | None = Field(
        None, min_length=1, description="Only events of objects of these classes.", examples=[["person"]]
    )
    persons: list[Text] | None = Field(
        None,
        min_length=1,
        description="Only events of these persons, in upper or lower case; `unknown` stands for events that name no "
        "person.",
        examples=[["Anna", UNKNOWN]],
    )
    active: ScheduleText | None = Field(
        None,
        description="Only events at these times: days and times, parts separated by semicolons, in local time.",
        examples=["mon-fri 18:00-07:00; sat,sun"],
    )
    timezone: TimeZoneName | None = Field(
        None, description="Time zone of `active`; by default that of this machine.", examples=["Europe/Berlin"]
    )
    min_score: float | None = Field(None, ge=0, le=1, description="Only events whose score is at least this.")
    at_least: dict[FactName, float] = Field(
        default_factory=dict,
        description="Only events in which these facts are numbers, and at least as large.",
        examples=[{"seconds": 60}],
    )
    cooldown: Span | None = Field(
        None,
        description="After an event that the rule selected, it selects no other one for this long.",
        examples=["30s"],
    )
    per: Per = Field(
        "camera",
        description="What has a cool-down of its own: each camera or, of each camera, each zone, line, track, person "
        "or class.",
    )


class Condition(StrEnum):
    """Why a rule does not select an event: the option that does not hold, or `BEGINNING`."""

    CAMERAS = "cameras"
    ZONES = "zones"
    LINES = "lines"
    CLASSES = "classes"
    PERSONS = "persons"
    MIN_SCORE = "min_score"
    AT_LEAST = "at_least"
    ACTIVE = "active"
    COOLDOWN = "cooldown"
    BEGINNING = "beginning"
    """The schedule or a cool-down kept it from selecting the event with which this one began."""
