"""Who was seen: visits, one row each, and the unknown persons among the visitors, in the gallery's file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sightd.plugins.api import FloatArray, Image
from sightd.plugins.face.gallery.database import ALL_NUMBERS, drop_unknown
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Face, Gallery, Person, decoded, encoded
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.face.matching.unknown import UnknownPerson, Unknowns


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


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best sample of an unknown person: quality 0-1 and the aligned face, if crops are stored."""

    quality: float
    crop: Image | None


class UnknownStore:
    """The unknown persons of one recogniser. Usable from any thread, one at a time; errors are GalleryErrors."""

    def __init__(self, gallery: Gallery, model: str, clock: Callable[[], float] = time.time) -> None:
        self._gallery, self._model, self._clock = gallery, model, clock
        self._database = gallery.database

    def load(self) -> Unknowns:
        """Loads all unknown persons. Raises UnwritableError if the gallery is damaged."""
        self._database.require_whole()
        rows = self._database.rows(
            "SELECT number, mean, weight, first_seen, last_seen, visits, joined FROM unknown WHERE model = ? "
            "ORDER BY number",
            self._model,
        )
        opened = self._database.cipher.open
        persons = [
            UnknownPerson(
                number, np.frombuffer(opened(mean), "<f4").astype(np.float32), weight, first, last, visits,
                tuple(json.loads(joined)),
            )
            for number, mean, weight, first, last, visits, joined in rows
        ]  # fmt: skip
        next_number = self._database.rows("SELECT value FROM meta WHERE key = 'next_unknown'")[0][0]
        return Unknowns(tuple(persons), int(next_number))

    def with_visit(
        self, mean: FloatArray, weight: float, at: float, best: Best, calibration: Calibration, most: int
    ) -> int | None:
        """Adds a visit, whose best sample is `best`, to its person, and returns their number; see
        `Unknowns.with_visit`. Atomic with respect to other writers. Returns None if the person was dropped at once
        because of `most`."""
        with self._database.changing(persons=False) as run:
            before = self.load()
            after, number = before.with_visit(mean, weight, at, calibration, most)
            run.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'next_unknown'", (after.next_number,))
            person = after.find(number)
            if person is not None:
                self._write(run, person, best)
            gone = {one.number for one in before.persons} - {one.number for one in after.persons}
            merged = gone & set(() if person is None else person.joined)
            run.executemany("DELETE FROM unknown WHERE number = ?", [(one,) for one in merged])
            drop_unknown(run, sorted(gone - merged))  # beyond `most`: their sightings go with them
        return None if person is None else person.number

    def find(self, number: int) -> UnknownPerson:
        """Raises GalleryError if there is no unknown person of that number."""
        person = self.load().find(number)
        if person is None:
            raise GalleryError(f"there is no unknown person {number}: see `sightd faces unknown list`")
        return person

    def crop(self, number: int) -> Image | None:
        """Returns the face of the best sample, if it is stored."""
        rows = self._database.rows("SELECT crop FROM unknown WHERE number = ?", number)
        return None if not rows or rows[0][0] is None else decoded(self._database.cipher.open(rows[0][0]))

    def name(self, number: int, name: str) -> Person:
        """Enrols an unknown person with the mean embedding of everything seen of them."""
        with self._database.changing() as run:
            person = self.find(number)
            ((quality,),) = run.execute("SELECT quality FROM unknown WHERE number = ?", (person.number,)).fetchall()
            source = f"unknown {person.number}"
            face = Face(self._model, person.mean, quality, source, self.crop(person.number))
            named = self._gallery.add_within(run, name, [face])
            run.execute(
                f"UPDATE sightings SET person = ?, unknown = NULL WHERE unknown IN ({ALL_NUMBERS})",
                (named, person.number, person.number),
            )
            drop_unknown(run, [person.number])
        return self._gallery.person(name)

    def forget(self, numbers: Sequence[int]) -> None:
        """Deletes them and their sightings; `Database.scrub` then wipes the freed space."""
        with self._database.changing(persons=False, wipes=True) as run:
            drop_unknown(run, numbers)

    def forget_single(self, number: int) -> None:
        """Deletes a person seen only once, if that visit turned out to be of an enrolled person."""
        with self._database.changing(persons=False) as run:
            if run.execute("SELECT 1 FROM unknown WHERE number = ? AND visits = 1", (number,)).fetchone():
                drop_unknown(run, [number])

    def forget_before(self, oldest: float) -> bool:
        """Deletes those not seen since `oldest` (seconds since the epoch); returns whether there were any."""
        rows = self._database.rows("SELECT number FROM unknown WHERE last_seen < ?", oldest)
        if rows:
            with self._database.changing(persons=False) as run:
                drop_unknown(run, [number for (number,) in rows])
        return bool(rows)

    def _write(self, run: sqlite3.Connection, person: UnknownPerson, best: Best) -> None:
        """Writes a person with the best sample of all: of this visit, of earlier ones, and of merged persons."""
        seal = self._database.cipher.seal
        kept = run.execute(
            "SELECT quality, crop FROM unknown WHERE number = ? OR number IN (SELECT value FROM json_each(?)) "
            "ORDER BY quality DESC LIMIT 1",
            (person.number, json.dumps(person.joined)),
        ).fetchone()
        quality, crop = best.quality, None if best.crop is None else seal(encoded(best.crop))
        if kept is not None and kept[0] > quality:
            quality, crop = kept
        run.execute(
            "INSERT OR REPLACE INTO unknown VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                person.number, self._model, seal(person.mean.astype("<f4").tobytes()), person.weight,
                person.first_seen, person.last_seen, person.visits, json.dumps(person.joined), quality, crop,
            ),
        )  # fmt: skip
