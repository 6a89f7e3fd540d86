"""Persons and their faces, persistent across restarts; faces of another version of a model are kept apart."""

from __future__ import annotations

import json
import logging
import sqlite3
import struct
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sightd.engines.models.catalog import Catalog
from sightd.engines.text import printable
from sightd.plugins.api import FloatArray, Image
from sightd.plugins.face.gallery.database import Database, drop_unknown
from sightd.plugins.face.gallery.file import (
    Cipher,
    DamagedError,
    GalleryError,
    NameTakenError,
    UnknownPersonError,
    UnwritableError,
    WrongKeyError,
)
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.matching.matcher import CROP, DIMENSIONS, Enrolled

log = logging.getLogger(__name__)

_LONGEST_NAME = 80
_LONGEST_SOURCE = 255
_CROP_HEADER = (
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", CROP, CROP, 8, 2, 0, 0, 0)
)
"""How a PNG image starts, with its header first (ISO/IEC 15948): CROP pixels on each side, 8-bit RGB."""
_LONGEST_CROP = 2 * CROP * CROP * 3
_MAY_BE = 1e-3
"""False match rate at which an unknown person is forgotten together with an enrolled person they resemble."""


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person. `faces`: number of embeddings by model; times in seconds since the epoch."""

    id: int
    name: str
    added_at: float
    faces: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One embedding float32 [DIMENSIONS] of unit length, computed by `model`.

    `source` is the file name of the photograph, stored escaped and truncated to 255 characters; `crop` is the aligned
    face, uint8 [112, 112, 3] BGR, if it is stored.
    """

    model: str
    embedding: FloatArray
    quality: float
    source: str
    crop: Image | None = None
    added_at: float = 0.0
    id: int = 0


class Gallery:
    """Usable from any thread, one at a time, and by several programs at once. All errors are GalleryErrors.

    Names are compared case-insensitively.
    """

    def __init__(
        self,
        path: Path,
        key: str | None = None,
        clock: Callable[[], float] = time.time,
        *,
        may_stand_in: bool = False,
        create: bool = True,
    ) -> None:
        """Opens or creates the gallery at `path`; `key` encrypts it; for `may_stand_in` and `create` see `Database`."""
        check = _require_sense if may_stand_in else _nothing
        self.database = Database(path, key, may_stand_in=may_stand_in, create=create, check=check)
        self._clock = clock

    @property
    def _cipher(self) -> Cipher:
        return self.database.cipher

    @property
    def generation(self) -> int:
        """Rises with each change of persons and faces, by any program."""
        return self.database.generation

    def persons(self) -> list[Person]:
        """Returns all persons, sorted by name. Raises UnwritableError if the gallery is damaged."""
        self.database.require_whole()
        counts: dict[int, dict[str, int]] = {}
        for person, model, count in self.database.rows(
            "SELECT person, model, count(*) FROM embeddings GROUP BY person, model"
        ):
            counts.setdefault(person, {})[model] = count
        rows = self.database.rows("SELECT id, name, added_at FROM persons")
        found = [Person(id_, self._text(name), added_at, counts.get(id_, {})) for id_, name, added_at in rows]
        return sorted(found, key=lambda person: person.name.casefold())

    def person(self, name: str) -> Person:
        """Raises UnknownPersonError if nobody has that name."""
        found = next((one for one in self.persons() if plain(one.name) == plain(name)), None)
        if found is None:
            raise UnknownPersonError(f'nobody is enrolled as "{name}": see `sightd faces list`')
        return found

    def faces(self, person: Person) -> list[Face]:
        """Returns the person's faces, oldest first."""
        rows = self.database.rows(
            "SELECT id, model, vector, quality, source, crop, added_at FROM embeddings WHERE person = ? ORDER BY id",
            person.id,
        )
        return [
            Face(model, self._vector(vector), quality, self._text(source), self._crop(crop), added_at, id_)
            for id_, model, vector, quality, source, crop, added_at in rows
        ]

    def enrolled(self, model: str) -> Enrolled:
        """Returns all faces embedded by `model`."""
        generation = self.generation
        rows = self.database.rows("SELECT person, vector FROM embeddings WHERE model = ? ORDER BY person, id", model)
        names = {id_: self._text(name) for id_, name in self.database.rows("SELECT id, name FROM persons")}
        vectors = [self._vector(vector) for _, vector in rows]
        embeddings = np.array(vectors, np.float32).reshape(-1, DIMENSIONS)
        return Enrolled(embeddings, np.array([person for person, _ in rows], np.int64), names, generation)

    def add(self, name: str, faces: Sequence[Face]) -> Person:
        """Enrols faces under a new or existing name."""
        with self.database.changing() as run:
            self.add_within(run, name, faces)
        return self.person(name)

    def add_within(self, run: sqlite3.Connection, name: str, faces: Sequence[Face], known: int | None = None) -> int:
        """Like `add`, within a transaction; returns the person's id, which is `known` if the caller knows it."""
        name = checked_name(name)
        known = known or self._id_of(run, name) or self.new_within(run, name)
        for face in faces:
            self._insert(run, known, face)
        return known

    def new_within(self, run: sqlite3.Connection, name: str) -> int:
        """Inserts a new person within a transaction and returns their id."""
        values = self._sealed(checked_name(name)), self._clock()
        number = run.execute("INSERT INTO persons (name, added_at) VALUES (?, ?)", values).lastrowid
        assert number is not None
        return number

    def rename(self, old: str, new: str) -> Person:
        """Renames a person. Raises NameTakenError if another person has the new name."""
        person, new = self.person(old), checked_name(new)
        with self.database.changing() as run:
            if self._id_of(run, new) not in (None, person.id):
                raise NameTakenError(
                    f'there already is a person "{new}": `sightd faces merge "{old}" "{new}"` merges the two'
                )
            run.execute("UPDATE persons SET name = ? WHERE id = ?", (self._sealed(new), person.id))
        return self.person(new)

    def merge(self, source: str, into: str) -> Person:
        """Moves all faces and sightings of `source` to `into`, and deletes `source`."""
        gone, stays = self.person(source), self.person(into)
        if gone.id == stays.id:
            raise GalleryError(f'"{source}" and "{into}" are already the same person')
        with self.database.changing() as run:
            run.execute("UPDATE embeddings SET person = ? WHERE person = ?", (stays.id, gone.id))
            run.execute("UPDATE sightings SET person = ? WHERE person = ?", (stays.id, gone.id))
            run.execute("DELETE FROM persons WHERE id = ?", (gone.id,))
        return self.person(into)

    def remove(self, name: str) -> Person:
        """Deletes the person, their faces and sightings. Unlike `forget`, does not wipe the freed space."""
        person = self.person(name)
        with self.database.changing() as run:
            run.execute("DELETE FROM persons WHERE id = ?", (person.id,))
        return person

    def forget(self, name: str) -> Person:
        """Deletes the person and unknown persons who resemble them, and wipes all traces from the files. If the wipe
        failed, calling it again completes it, but still raises UnknownPersonError."""
        try:
            person = self.person(name)
        except UnknownPersonError:
            if self.database.to_be_wiped:
                self.database.scrub()
            raise
        alike = self._unknown_like(self.faces(person))
        with self.database.changing(wipes=True) as run:
            run.execute("DELETE FROM persons WHERE id = ?", (person.id,))
            drop_unknown(run, alike)
        self.database.scrub()
        return person

    def remove_face(self, face: Face) -> None:
        with self.database.changing() as run:
            run.execute("DELETE FROM embeddings WHERE id = ?", (face.id,))

    def keep_apart(self, model: str, version: str) -> int:
        """Records the current version (hash of the published weights) of `model`. Faces embedded by another version are
        reassigned to "model (old version)" and are no longer compared; returns how many. If no version was recorded
        yet, existing faces are assumed to be of this version."""
        key = f"version {model}"
        with self.database.changing(persons=False) as run:
            known = run.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            if known is not None and known[0] == version:
                return 0
            run.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, version))
            if known is None:
                return 0
            older = f"{model} ({known[0][:8]})"
            run.execute("UPDATE unknown SET model = ? WHERE model = ?", (older, model))
            run.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
            return run.execute("UPDATE embeddings SET model = ? WHERE model = ?", (older, model)).rowcount

    def shift(self, model: str) -> float:
        """Returns what is added to the thresholds of a model's calibration; see
        `plugins.face.matching.calibration.refinement`."""
        rows = self.database.rows("SELECT value FROM meta WHERE key = ?", f"shift {model}")
        return float(rows[0][0]) if rows else 0.0

    def set_shift(self, model: str, shift: float) -> None:
        with self.database.changing() as run:
            run.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"shift {model}", shift))

    def close(self) -> None:
        self.database.close()

    def _unknown_like(self, faces: Sequence[Face]) -> list[int]:
        """Returns the numbers of unknown persons who may be the person with these faces."""
        found = []
        for number, model, mean in self.database.rows("SELECT number, model, mean FROM unknown"):
            table, own = calibration_of(model), [face.embedding for face in faces if face.model == model]
            if table is not None and own and max(one @ self._vector(mean) for one in own) >= table.cosine(_MAY_BE):
                found.append(number)
        return found

    def _insert(self, run: sqlite3.Connection, person: int, face: Face) -> None:
        crop = None if face.crop is None else self._cipher.seal(encoded(face.crop))
        vector = self._cipher.seal(face.embedding.astype("<f4").tobytes())
        run.execute(
            "INSERT INTO embeddings (person, model, vector, quality, source, added_at, crop) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (person, face.model, vector, face.quality, self._sealed(_source(face.source)),
             face.added_at or self._clock(), crop),
        )  # fmt: skip

    def _id_of(self, run: sqlite3.Connection, name: str) -> int | None:
        """Finds a person by name. Names are encrypted with nonces, so the database cannot compare them."""
        for id_, sealed in run.execute("SELECT id, name FROM persons"):
            if plain(self._text(sealed)) == plain(name):
                return int(id_)
        return None

    def _sealed(self, text: str) -> bytes:
        return self._cipher.seal(text.encode())

    def _text(self, sealed: bytes) -> str:
        try:
            return self._cipher.open(sealed).decode()
        except UnicodeDecodeError as error:
            raise DamagedError(self.database.path, "a text in it is damaged") from error

    def _vector(self, sealed: bytes) -> FloatArray:
        data = self._cipher.open(sealed)
        if len(data) != 4 * DIMENSIONS:
            raise DamagedError(self.database.path, "a face in it is damaged")
        return np.frombuffer(data, "<f4").astype(np.float32)

    def _crop(self, sealed: bytes | None) -> Image | None:
        return None if sealed is None else decoded(self._cipher.open(sealed))


def _nothing(_: Database) -> None:
    """Checks nothing: a gallery that is used once reports damage when the data is read."""


def _require_sense(database: Database) -> None:
    """Raises DamagedError if a person, a face or an unknown person cannot be read."""
    opened = database.cipher.open
    vectors = database.rows("SELECT vector FROM embeddings UNION ALL SELECT mean FROM unknown")
    try:
        for (name,) in database.rows("SELECT name FROM persons"):
            opened(name).decode()
        if any(len(opened(vector)) != 4 * DIMENSIONS for (vector,) in vectors):
            raise DamagedError(database.path, "a face in it is damaged")
        for (joined,) in database.rows("SELECT joined FROM unknown"):
            tuple(int(number) for number in json.loads(joined))
    except (WrongKeyError, TypeError, ValueError) as error:
        raise DamagedError(database.path, "part of it is damaged") from error


def plain(name: str) -> str:
    """Normalises a name for comparison: ignores case, extra blanks, and how accents are encoded."""
    return unicodedata.normalize("NFC", " ".join(name.split())).casefold()


def checked_name(name: str) -> str:
    """Returns the name with single blanks. Raises GalleryError if it is empty, too long, unprintable or has a "/"."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or "/" in name:
        told = repr(name) if len(name) <= 2 * _LONGEST_NAME else f"{name[:_LONGEST_NAME]!r}…"
        raise GalleryError(f"a name must have 1 to {_LONGEST_NAME} printable characters and no /, not {told}")
    return name


def _source(text: str) -> str:
    """Returns the text as it is stored: printable and of limited length."""
    text = printable(text)
    return text if len(text) <= _LONGEST_SOURCE else f"{text[: _LONGEST_SOURCE - 1]}…"


def encoded(crop: Image) -> bytes:
    """Encodes a crop as PNG: lossless, so that another model sees exactly what this one saw."""
    _, data = cv2.imencode(".png", crop)
    return data.tobytes()


def decoded(data: bytes) -> Image:
    """Decodes what `encoded` returned. Raises GalleryError for other data, before decoding: imports are untrusted."""
    image = None
    if len(data) <= _LONGEST_CROP and data.startswith(_CROP_HEADER):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape != (CROP, CROP, 3):
        raise GalleryError(
            f"a stored face crop is damaged or not a PNG image of {CROP}x{CROP} pixels: restore the gallery from an "
            "export or a backup"
        )
    return np.asarray(image, np.uint8)


def warn_of_other_models(gallery: Gallery, recogniser: str) -> None:
    """Warns if people are enrolled whose faces were all embedded by other models: they are not recognised."""
    if gallery.database.fault is not None:
        return
    others = [one for one in gallery.persons() if one.faces and recogniser not in one.faces]
    if others:
        models = sorted({model for one in others for model in one.faces})
        log.warning(
            "gallery %s: %d people were enrolled with %s and are not recognised by %s, because embeddings of different "
            "models cannot be compared: `sightd faces see-again` embeds their stored faces again",
            gallery.database.path,
            len(others),
            " and ".join(models),
            recogniser,
        )


def keep_versions_apart(gallery: Gallery, recogniser: str) -> None:
    """Records the version (weights hash) of a catalogue model in the gallery; warns if faces are of another version."""
    model = Catalog.load().models.get(recogniser)
    if model is None or not model.sources or not model.sources[0].sha256:
        return
    try:
        others = gallery.keep_apart(recogniser, model.sources[0].sha256)
    except UnwritableError as error:
        log.error("assuming that all enrolled faces were embedded by this version of %s: %s", recogniser, error)
        return
    if others:
        log.warning(
            "%d enrolled faces were embedded by another version of %s and are no longer compared: `sightd faces "
            "see-again` embeds those with a stored crop again",
            others,
            recogniser,
        )
