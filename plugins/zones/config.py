"""The options of the zones plug-in. Zones and lines that come through the API are validated by the same models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sightd.plugins.api import Duration, PluginConfig, Span
from sightd.plugins.schedule.weekly import ScheduleText, TimeZoneName
from sightd.plugins.zones.geometry import Point, crossing_edges

MOST_SHAPES = 32
"""Zones, and lines, of a camera."""
MOST_CORNERS = 32
EVERY_CAMERA = "*"
"""Key of the zones of cameras, and of files, that have none of their own in the configuration."""


def _written(seconds: float | None) -> str | None:
    """Writes a duration as it is written in the configuration."""
    return None if seconds is None else f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


Seconds = Annotated[Duration, PlainSerializer(_written)]
Period = Annotated[Span, PlainSerializer(_written)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=80)]
ShapeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$")]
"""Up to 40 letters, digits, spaces, "_", "." and "-": it becomes part of an address."""


def _as_pair(given: object) -> object:
    """Takes a list for a tuple: files have no tuples, and what a validator has seen before is not read as JSON."""
    return tuple(given) if isinstance(given, list) else given


_Pair = BeforeValidator(_as_pair)
Coordinates = Annotated[tuple[float, float], _Pair]
_Metres = Annotated[float, Field(ge=-1e6, le=1e6)]
FrameSize = Annotated[tuple[Annotated[int, Field(ge=1, le=32768)], Annotated[int, Field(ge=1, le=32768)]], _Pair]


class Part(BaseModel):
    """Unknown keys are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _in_frame(points: Sequence[Coordinates], size: FrameSize | None) -> None:
    """Raises ValueError if a point is outside the frame."""
    across, down = size or (1, 1)
    for x, y in points:
        if 0 <= x <= across and 0 <= y <= down:
            continue
        if size is None:
            raise ValueError(
                f"[{x:g}, {y:g}] is outside 0 to 1: write fractions of the frame's width and height, or state "
                "`size: [width, height]` for pixels"
            )
        raise ValueError(f"[{x:g}, {y:g}] is outside the frame of {across} x {down} pixels")


def _as_fractions(points: Sequence[Coordinates], size: FrameSize | None) -> tuple[Point, ...]:
    across, down = size or (1, 1)
    return tuple((x / across, y / down) for x, y in points)


class Shape(Part):
    """What zones and lines have in common."""

    size: FrameSize | None = Field(
        None,
        description="Frame size [width, height] that coordinates in pixels refer to. Without it, they are fractions of "
        "the frame's width and height.",
        examples=[[1920, 1080]],
    )
    classes: list[ClassName] | None = Field(
        None, min_length=1, max_length=100, description="Classes that count; by default all.", examples=[["person"]]
    )
    active: ScheduleText | None = Field(
        None,
        description="When it counts, in local time: days and times, parts separated by semicolons; by default always.",
        examples=["mon-fri 18:00-07:00; sat,sun"],
    )


class Zone(Shape):
    """A polygon on the ground. An object is where the middle of its box's lower edge is."""

    corners: list[Coordinates] = Field(
        min_length=3,
        max_length=MOST_CORNERS,
        description="Corners [x, y] in order, from the top left of the frame.",
        examples=[[[0.1, 0.4], [0.6, 0.4], [0.7, 1], [0, 1]]],
    )
    min_dwell: Seconds = Field(
        0.5, description="An object has entered once it has been inside for this long.", examples=["500ms"]
    )
    leave_after: Seconds = Field(
        1.0, description="An object has left once it has been outside for this long.", examples=["1s"]
    )
    loiter_after: Period | None = Field(
        None, description="Report object.loitering for an object that stays this long; by default never."
    )
    left_behind_after: Period | None = Field(
        None,
        description="Report object.left_behind for one of `objects` that rests for this long with nobody near it; by "
        "default never.",
        examples=["60s"],
    )
    removed_after: Period | None = Field(
        None,
        description="Report object.removed for one of `objects` that rested and then is not seen at its place for this "
        "long; by default never. Longer than it is usually hidden by those who pass.",
        examples=["10s"],
    )
    objects: list[ClassName] = Field(
        ["backpack", "handbag", "suitcase"],
        min_length=1,
        max_length=100,
        description="Classes of things that can be left behind or removed.",
    )
    crowd: int | None = Field(
        None, ge=2, le=10_000, description="Report zone.crowded at this many objects; by default never."
    )

    @field_validator("corners")
    @classmethod
    def _is_simple(cls, corners: list[Coordinates], info: ValidationInfo) -> list[Coordinates]:
        _in_frame(corners, info.data.get("size"))
        if (edges := crossing_edges(corners)) is not None:
            raise ValueError(f"edges {edges[0]} and {edges[1]} cross or touch: list the corners in order around it")
        return corners

    @property
    def fractions(self) -> tuple[Point, ...]:
        return _as_fractions(self.corners, self.size)


class Line(Shape):
    """A directed line on the ground. Objects that cross it from left to right, as one looks from its first point to its
    second, go "in", others "out"."""

    points: list[Coordinates] = Field(
        min_length=2,
        max_length=2,
        description="Start and end, [x, y] each. Crossing from left to right, as one looks from start to end, is in.",
        examples=[[[0.1, 0.6], [0.9, 0.6]]],
    )

    @field_validator("points")
    @classmethod
    def _has_a_length(cls, points: list[Coordinates], info: ValidationInfo) -> list[Coordinates]:
        return _apart(points, info.data.get("size"))

    @property
    def fractions(self) -> tuple[Point, ...]:
        return _as_fractions(self.points, self.size)


def _apart(points: list[Coordinates], size: FrameSize | None) -> list[Coordinates]:
    _in_frame(points, size)
    if points[0] == points[1]:
        raise ValueError("both points are the same")
    return points


class Scale(Part):
    """A length on the ground that is known: the same scale everywhere in the frame."""

    size: FrameSize | None = Field(None, description="As for zones.")
    points: list[Coordinates] = Field(min_length=2, max_length=2, description="Its ends, [x, y] each.")
    metres: float = Field(gt=0, le=1e6, description="Its length in metres.")

    @field_validator("points")
    @classmethod
    def _has_a_length(cls, points: list[Coordinates], info: ValidationInfo) -> list[Coordinates]:
        return _apart(points, info.data.get("size"))

    @property
    def fractions(self) -> tuple[Point, ...]:
        return _as_fractions(self.points, self.size)


class Plane(Part):
    """Four points on the ground whose places are known, such as the corners of a rectangle: for a camera that looks
    along a street."""

    size: FrameSize | None = Field(None, description="As for zones.")
    corners: list[Coordinates] = Field(min_length=4, max_length=4, description="The points in the frame, [x, y] each.")
    metres: list[Annotated[tuple[_Metres, _Metres], _Pair]] = Field(
        min_length=4,
        max_length=4,
        description="The same points on the ground, in metres.",
        examples=[[[0, 0], [3.5, 0], [3.5, 20], [0, 20]]],
    )

    @field_validator("corners")
    @classmethod
    def _is_convex(cls, corners: list[Coordinates], info: ValidationInfo) -> list[Coordinates]:
        _in_frame(corners, info.data.get("size"))
        return _convex(corners)

    @field_validator("metres")
    @classmethod
    def _is_convex_too(cls, metres: list[Coordinates]) -> list[Coordinates]:
        return _convex(metres)

    @property
    def fractions(self) -> tuple[Point, ...]:
        return _as_fractions(self.corners, self.size)


def _convex(corners: list[Coordinates]) -> list[Coordinates]:
    turns = []
    for (ax, ay), (bx, by), (cx, cy) in zip(corners, corners[1:] + corners[:1], corners[2:] + corners[:2], strict=True):
        area = (bx - ax) * (cy - by) - (by - ay) * (cx - bx)
        turns.append(0 if abs(area) < 1e-9 else 1 if area > 0 else -1)
    if len(set(turns)) != 1 or 0 in turns:
        raise ValueError("list the corners in order around a quadrilateral without an inward corner")
    return corners


class CameraZones(Part):
    """Zones, lines and ground of one camera."""

    size: FrameSize | None = Field(
        None,
        description="Frame size [width, height] for all coordinates of this camera that state none of their own.",
        examples=[[1920, 1080]],
    )
    zones: dict[ShapeName, Zone] = Field({}, max_length=MOST_SHAPES, description="Polygons, by name.")
    lines: dict[ShapeName, Line] = Field({}, max_length=MOST_SHAPES, description="Directed lines, by name.")
    scale: Scale | None = Field(None, description="A known length on the ground, for speeds.")
    plane: Plane | None = Field(None, description="Four known points on the ground, for speeds.")

    @model_validator(mode="before")
    @classmethod
    def _states_the_size(cls, given: Any) -> Any:
        """Adds `size` to the parts that state none."""
        if not isinstance(given, dict) or given.get("size") is None:
            return given
        found = {key: _sized(given[key], given["size"]) for key in ("scale", "plane") if key in given}
        for key in ("zones", "lines"):
            if isinstance(given.get(key), dict):
                found[key] = {name: _sized(part, given["size"]) for name, part in given[key].items()}
        return {**given, **found}

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if twice := sorted(self.zones.keys() & self.lines.keys()):
            raise ValueError(f'"{twice[0]}" is a zone and a line; give one of them another name')
        if self.scale is not None and self.plane is not None:
            raise ValueError("has scale and plane; remove one of them")
        return self

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self.zones, *self.lines))


def _sized(part: Any, size: Any) -> Any:
    return {"size": size, **part} if isinstance(part, dict) else part


class ZonesConfig(PluginConfig):
    """Zones and lines of each camera. Further ones can be added through the API."""

    cameras: dict[Annotated[str, StringConstraints(min_length=1, max_length=255)], CameraZones] = Field(
        {},
        description='Zones and lines by camera. "*" are those of cameras, and of files given to `sightd analyze`, that '
        "have no entry of their own.",
    )
    lost_after: Period = Field(
        2.0,
        description="An object that is not seen for this long has left, unless another track continues it. Longer than "
        "the `max_lost` of the tracker.",
        examples=["2s"],
    )
    timezone: TimeZoneName | None = Field(
        None, description="Time zone of `active`; by default that of this machine.", examples=["Europe/Berlin"]
    )
    store: Path | None = Field(
        None,
        description="File with the zones that come through the API. By default zones.json in the state directory.",
    )
    draw: bool = Field(True, description="Draw zones and lines into the video.")

    def fact_values(self, camera: str) -> Mapping[str, Collection[str]]:
        options = self.of_camera(camera)
        return {"zone": options.zones, "line": options.lines}

    def of_camera(self, camera: str) -> CameraZones:
        """Returns what the configuration says about a camera."""
        return self.cameras.get(camera) or self.cameras.get(EVERY_CAMERA) or CameraZones()
