"""Options of `events.snapshots`: which events get pictures."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from sightd.daemon.config.section import KindPattern, Name, Section
from sightd.plugins.api import Size, Span


class Snapshots(Section):
    """Pictures of events of plug-ins: one as viewers see it and one without annotations, both redacted if the camera's
    chain redacts."""

    kinds: list[KindPattern] = Field(
        min_length=1,
        description="Kinds of events that get snapshots (`sightd events` lists them); `*` stands for any text. An "
        "event that ends one of these gets its best snapshot.",
        examples=[["zone.entered", "face.*"]],
    )
    cameras: list[Name] | None = Field(
        None, min_length=1, description="Only events of these cameras; by default of all.", examples=[["gate"]]
    )
    quality: int = Field(85, ge=10, le=100, description="JPEG quality.")
    max_width: int | None = Field(
        None, ge=160, description="Scale wider snapshots down to this width in pixels; by default never."
    )
    path: Path | None = Field(None, description="Folder of the snapshots. By default snapshots in the state directory.")
    max_size: Size = Field(
        2 * 10**9, description="Maximum size of all snapshots; beyond this, the oldest are deleted.", examples=["2GB"]
    )
    retention: Span = Field(30 * 86400.0, description="Older snapshots are deleted.", examples=["30d"])
    min_free: Size = Field(
        500 * 10**6,
        description="Free space to leave on the disk of the snapshots: if there is less, the oldest are deleted.",
        examples=["500MB"],
    )

    def selects(self, kind: str) -> bool:
        """Returns whether events of a kind get snapshots."""
        return any(fnmatchcase(kind, pattern) for pattern in self.kinds)

    def includes(self, camera: str) -> bool:
        """Returns whether events of a camera get snapshots."""
        return self.cameras is None or camera in self.cameras
