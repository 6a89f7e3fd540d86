"""Sightings: who was seen where and when, one row per visit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sightd.plugins.face.gallery.gallery import Gallery


@dataclass(frozen=True, slots=True)
class Sighting:
    """A visit at one camera. `person` is the person's id in the gallery, or `unknown` the number of an unknown person.

    Times in seconds since the epoch; similarity and margin as in `sightd.plugins.api.Faces`.
    """

    camera: str
    first_seen: float
    last_seen: float
    person: int | None
    unknown: int | None
    similarity: float | None
    margin: float | None
    reason: str


class Sightings:
    """Usable from any thread, one at a time; errors are GalleryErrors."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._database = gallery.database

    def add(self, sighting: Sighting) -> None:
        """Stores a sighting, unless its person has been deleted in the meantime."""
        with self._database.changing(persons=False) as run:
            run.execute(
                "INSERT INTO sightings (person, unknown, camera, first_seen, last_seen, similarity, margin, reason) "
                "SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE ? IS NULL OR EXISTS (SELECT 1 FROM persons WHERE id = ?)",
                (
                    sighting.person, sighting.unknown, sighting.camera, sighting.first_seen, sighting.last_seen,
                    sighting.similarity, sighting.margin, sighting.reason, sighting.person, sighting.person,
                ),
            )  # fmt: skip

    def latest(self, most: int = 50) -> Iterator[Sighting]:
        """Returns the latest sightings, newest first."""
        rows = self._database.rows(
            "SELECT camera, first_seen, last_seen, person, unknown, similarity, margin, reason FROM sightings "
            "ORDER BY last_seen DESC, id DESC LIMIT ?",
            most,
        )
        return (Sighting(*row) for row in rows)

    def newest(self) -> float | None:
        """Returns when somebody was last seen, in seconds since the epoch; None if there are no sightings."""
        found: float | None = self._database.rows("SELECT max(last_seen) FROM sightings")[0][0]
        return found

    def take_back(self, camera: str, first_seen: float) -> int | None:
        """Removes a visit that was recorded, while it went on, as one of an unknown person. Returns that person's
        number, or None if the record no longer exists."""
        with self._database.changing(persons=False) as run:
            rows = run.execute(
                "DELETE FROM sightings WHERE camera = ? AND first_seen = ? AND person IS NULL RETURNING unknown",
                (camera, first_seen),
            ).fetchall()
        return int(rows[0][0]) if rows and rows[0][0] is not None else None

    def forget_before(self, oldest: float) -> bool:
        """Removes visits that ended before `oldest` (seconds since the epoch); returns whether there were any."""
        found = bool(self._database.rows("SELECT 1 FROM sightings WHERE last_seen < ? LIMIT 1", oldest))
        if found:
            with self._database.changing(persons=False) as run:
                run.execute("DELETE FROM sightings WHERE last_seen < ?", (oldest,))
        return found
