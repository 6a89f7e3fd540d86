"""Unknown persons in the gallery's file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Face, Gallery, Person, decoded, encoded
from sightd.plugins.face.gallery.unknown_rows import ALL_NUMBERS, drop
from sightd.plugins.face.unknown import UnknownPerson, Unknowns
from sightd.plugins.types import FloatArray, Image


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best look at an unknown person: quality 0-1 and the aligned face, where crops are kept."""

    quality: float
    crop: Image | None


class UnknownStore:
    """Of one recogniser. Any thread, one at a time; errors are GalleryErrors."""

    def __init__(self, gallery: Gallery, model: str, clock: Callable[[], float] = time.time) -> None:
        self._gallery, self._model, self._clock = gallery, model, clock
        self._database = gallery.database

    def load(self) -> Unknowns:
        """All of them, as they stand in the file. UnwritableError if the gallery is damaged."""
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
        """Adds a visit, whose best look was `best`, to the person it is of, and gives their number; see
        `Unknowns.with_visit`. All at once: whoever else writes does it before or after."""
        with self._database.changing(persons=False) as run:
            before = self.load()
            after, number = before.with_visit(mean, weight, at, calibration, most)
            run.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'next_unknown'", (after.next_number,))
            person = after.find(number)
            if person is not None:
                self._write(run, person, best)
            gone = {one.number for one in before.persons} - {one.number for one in after.persons}
            run.executemany("DELETE FROM unknown WHERE number = ?", [(one,) for one in gone])
        return None if person is None else person.number

    def find(self, number: int) -> UnknownPerson:
        """GalleryError where there is none of that number."""
        person = self.load().find(number)
        if person is None:
            raise GalleryError(f"there is no unknown person {number}: see `sightd faces unknown list`")
        return person

    def crop(self, number: int) -> Image | None:
        """The best look's face, where it is kept."""
        rows = self._database.rows("SELECT crop FROM unknown WHERE number = ?", number)
        return None if not rows or rows[0][0] is None else decoded(self._database.cipher.open(rows[0][0]))

    def name(self, number: int, name: str) -> Person:
        """Enrols an unknown person by the mean of all that was seen of them."""
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
            drop(run, [person.number])
        return self._gallery.person(name)

    def forget(self, numbers: Sequence[int]) -> None:
        """Removes them, and when they were seen; `Database.scrub` wipes where that stood."""
        with self._database.changing(persons=False, wipes=True) as run:
            drop(run, numbers)

    def forget_single(self, number: int) -> None:
        """Removes one who was seen once, by a visit that turned out to be somebody's."""
        with self._database.changing(persons=False) as run:
            if run.execute("SELECT 1 FROM unknown WHERE number = ? AND visits = 1", (number,)).fetchone():
                drop(run, [number])

    def forget_before(self, oldest: float) -> bool:
        """Removes those who were not seen since then (seconds since the epoch); whether there were any."""
        rows = self._database.rows("SELECT number FROM unknown WHERE last_seen < ?", oldest)
        if rows:
            with self._database.changing(persons=False) as run:
                drop(run, [number for (number,) in rows])
        return bool(rows)

    def _write(self, run: sqlite3.Connection, person: UnknownPerson, best: Best) -> None:
        """With the best of all looks, of this visit and before, at them and at whom they were joined with."""
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
