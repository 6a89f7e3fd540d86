"""Query parameters of the routes of events, and the filter that they make."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from sightd.daemon.events.query import HIGHEST, Filter, InvalidQueryError
from sightd.plugins.api import Phase

_MOST_KINDS = 20
_LONGEST = 200
"""Characters of a name or text."""
_KIND_PATTERN = r"^[a-z0-9_.*?]{1,63}$"

Id = Annotated[int | None, Query(ge=0, le=HIGHEST)]
Camera = Annotated[str | None, Query(max_length=63)]
Kinds = Annotated[
    list[Annotated[str, Query(pattern=_KIND_PATTERN)]] | None,
    Query(alias="kind", max_length=_MOST_KINDS, description="Kinds or patterns such as zone.*; one must match"),
]
Name = Annotated[str | None, Query(max_length=_LONGEST)]
ClassName = Annotated[str | None, Query(alias="class", max_length=_LONGEST)]
Time = Annotated[float | None, Query(ge=0, le=1e11, description="Seconds since the epoch")]


def event_filter(
    camera: Camera = None,
    kind: Kinds = None,
    zone: Name = None,
    line: Name = None,
    object_class: ClassName = None,
    track: Annotated[int | None, Query(ge=-HIGHEST, le=HIGHEST)] = None,
    person: Name = None,
    phase: Phase | None = None,
    began: Id = None,
    rule: Name = None,
) -> Filter:
    """Returns the filter of the parameters that every route has."""
    return Filter(
        camera=camera, kinds=tuple(kind or ()), zone=zone, line=line, object_class=object_class, track=track,
        person=person, phase=phase, began=began, rule=rule,
    )  # fmt: skip


def require_order(since: float | None, until: float | None) -> None:
    """Raises InvalidQueryError if no event can be in the time range."""
    if since is not None and until is not None and since >= until:
        raise InvalidQueryError("since is not before until")
