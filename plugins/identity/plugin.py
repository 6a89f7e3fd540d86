"""The identity plug-in: one gallery per group of cameras, and the identities of the tracks on each frame."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import (
    Appearances,
    ConfigProblem,
    Duration,
    Frame,
    Identities,
    Plugin,
    PluginConfig,
    Results,
    Tracks,
    label_of,
)
from sightd.plugins.identity.gallery import Gallery, SeenTrack

log = logging.getLogger(__name__)

_ALL = "all"


class IdentityConfig(PluginConfig):
    """Gives objects the same number on several cameras. Every option has a default: `identity: {}` works."""

    groups: dict[str, Annotated[list[str], Field(min_length=1)]] | None = Field(
        None,
        min_length=1,
        description="Cameras whose objects have common identities, by the name of the group. By default all cameras "
        "whose chain has this plug-in.",
        examples=[{"site": ["gate", "yard"]}],
    )
    remember: Duration = Field(600.0, description="Forget an object that no camera of its group saw for this long.")
    max_objects: int = Field(
        500, ge=1, le=10_000, description="Maximum number of objects to remember per group; older ones are forgotten."
    )
    certainty: float = Field(
        3.0,
        gt=0,
        le=20,
        description="How much more alike than different objects two tracks must look to be the same object, in "
        "standard deviations. Higher values join fewer, and fewer wrong ones.",
    )

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns cameras that are in several groups."""
        group_of: dict[str, str] = {}
        found = []
        for group, cameras in (self.groups or {}).items():
            for camera in cameras:
                if group_of.setdefault(camera, group) != group:
                    message = f'camera "{camera}" is in the groups "{group_of[camera]}" and "{group}"'
                    found.append(ConfigProblem(("groups", group), message, "list each camera in one group"))
        return found


class IdentityKeeper(Plugin[IdentityConfig]):
    """Recognises objects on other cameras of a group, and when they return, by how they look.

    Produces `Identities`. Galleries stay in memory. Threads: what is known of a camera is replaced whole, so that
    `predict` reads it without a lock; `process` and `forget` exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = IdentityConfig
    requires: ClassVar[frozenset[type]] = frozenset({Tracks, Appearances})
    produces: ClassVar[frozenset[type]] = frozenset({Identities})

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__(config)
        groups = {_ALL: None} if config.groups is None else config.groups
        self._galleries = {name: Gallery(config.remember, config.max_objects, config.certainty) for name in groups}
        self._group_of = {camera: name for name, cameras in (config.groups or {}).items() for camera in cameras}
        self._numbers: dict[str, Mapping[int, int]] = {}
        self._ungrouped: set[str] = set()
        self._turn = threading.Lock()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [self._identified(frame, found) for frame, found in zip(frames, results, strict=True)]

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the identities of the tracks that the tracker predicts."""
        return self._known(frame.camera, results.get(Tracks))

    def forget(self, camera: str) -> None:
        with self._turn:
            self._numbers.pop(camera, None)
            group = self._group(camera)
            if group is not None:
                self._galleries[group].forget(camera)

    def _identified(self, frame: Frame, results: Results) -> Results:
        tracks, looks, group = results.get(Tracks), results.get(Appearances), self._group(frame.camera)
        if tracks is None or looks is None or group is None or frame.still:
            return Results()
        with self._turn:
            seen = _seen(tracks, looks)
            numbers = self._galleries[group].update(frame.camera, seen, frame.captured_at, looks.model)
            self._numbers[frame.camera] = numbers
        return self._known(frame.camera, tracks)

    def _known(self, camera: str, tracks: Tracks | None) -> Results:
        group, numbers = self._group(camera), self._numbers.get(camera, {})
        if tracks is None or group is None:
            return Results()
        ids = [track for track in tracks.ids.tolist() if track in numbers]
        return Results(
            Identities(np.array(ids, np.int64), np.array([numbers[track] for track in ids], np.int64), group)
        )

    def _group(self, camera: str) -> str | None:
        """Returns the group of a camera; None, and a warning once, if it is in none."""
        group = _ALL if self.config.groups is None else self._group_of.get(camera)
        if group is None and camera not in self._ungrouped:
            self._ungrouped.add(camera)
            log.warning("identity: camera %s is in none of the groups, so its objects have no identities", camera)
        return group


def _seen(tracks: Tracks, looks: Appearances) -> list[SeenTrack]:
    """Returns the tracks that were detected on this frame, with the vectors of those that were embedded."""
    vector_of = dict(zip(looks.detection.tolist(), looks.vectors, strict=True))
    rows = zip(tracks.ids.tolist(), tracks.class_ids.tolist(), tracks.detection.tolist(), strict=True)
    return [
        SeenTrack(track, label_of(tracks.labels, class_id), vector_of.get(row))
        for track, class_id, row in rows
        if row >= 0
    ]
