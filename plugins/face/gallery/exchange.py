"""Exports and imports a gallery as one file, for backup or another machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from sightd.engines.text import printable
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Face, Gallery, checked_name, decoded, encoded, plain
from sightd.plugins.face.matching.matcher import DIMENSIONS

_FORM = "sightd faces 1"
_LATEST = 253402300800.0
"""The year 10000, in seconds since the epoch: later times cannot be formatted."""
_LONGEST_MODEL = 200
"""Most characters in the name of a face's recogniser."""
_QUOTED = 100
"""Most characters of a refused file that a message quotes."""


def exported(gallery: Gallery) -> str:
    """Returns all persons and faces as unencrypted JSON; every text in it is printable."""
    persons = [
        {
            "name": printable(person.name),
            "added_at": person.added_at,
            "faces": [_written(face) for face in gallery.faces(person)],
        }
        for person in gallery.persons()
    ]
    return json.dumps({"form": _FORM, "persons": persons}, ensure_ascii=False, indent=1)


def imported(gallery: Gallery, text: str) -> tuple[int, int]:
    """Adds everything that `exported` wrote, or nothing; persons who are already enrolled get the faces they lack.
    Returns how many persons and faces were added. Raises GalleryError if the text is not a valid export."""
    everybody = list(_read(text))
    faces_added = persons_added = 0
    with gallery.database.changing() as run:
        known = {plain(person.name): (person.id, gallery.faces(person)) for person in gallery.persons()}
        for name, faces in everybody:
            id_, there = known.get(plain(name), (None, []))
            new = [face for face in faces if not any(_same(face, other) for other in there)]
            if new:
                persons_added, faces_added = persons_added + (id_ is None), faces_added + len(new)
                id_ = gallery.add_within(run, name, new, id_ or gallery.new_within(run, name))
                known[plain(name)] = id_, [*there, *new]
    return persons_added, faces_added


def _written(face: Face) -> dict[str, Any]:
    return {
        "model": printable(face.model),
        "quality": round(face.quality, 4),
        "source": printable(face.source),
        "added_at": face.added_at,
        "embedding": base64.b64encode(face.embedding.astype("<f4").tobytes()).decode(),
        "crop": None if face.crop is None else base64.b64encode(encoded(face.crop)).decode(),
    }


def _read(text: str) -> Iterator[tuple[str, list[Face]]]:
    try:
        document = json.loads(text)
        if document["form"] != _FORM:
            form = repr(document["form"])[:_QUOTED]
            raise GalleryError(f"the file has the format {form}, but this version reads {_FORM!r}: update sightd")
        for person in document["persons"]:
            yield checked_name(_text(person["name"])), [_face(entry) for entry in person["faces"]]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        told = _words(error)
        told = told if len(told) <= 2 * _QUOTED else f"{told[: 2 * _QUOTED]}…"
        raise GalleryError(f"not a file written by `sightd faces export`, or damaged: {told}") from error


def _words(error: Exception) -> str:
    """Says what is wrong with the file, without the name of an exception."""
    match error:
        case json.JSONDecodeError():
            return f"line {error.lineno}, column {error.colno}: {error.msg}"
        case KeyError():
            return f"the entry {error.args[0]!r} is missing"
        case RecursionError():
            return "its values are nested too deeply"
        case TypeError() | AttributeError():
            return "a value has the wrong type"
    return str(error)


def _face(entry: dict[str, Any]) -> Face:
    embedding = np.frombuffer(base64.b64decode(entry["embedding"], validate=True), "<f4").astype(np.float32)
    length = float(np.linalg.norm(embedding))
    if embedding.shape != (DIMENSIONS,) or not 0.99 < length < 1.01:
        raise ValueError(
            f"an embedding must have {DIMENSIONS} numbers and length 1, not {embedding.shape}, {length:.2f}"
        )
    quality, added_at = float(entry["quality"]), float(entry["added_at"])
    if not (0 <= quality <= 1 and 0 <= added_at < _LATEST):
        raise ValueError(f"quality must be 0 to 1 and added_at in seconds since 1970, not {quality} and {added_at}")
    crop = None if entry["crop"] is None else decoded(base64.b64decode(entry["crop"], validate=True))
    model = _text(entry["model"])
    if len(model) > _LONGEST_MODEL:
        raise ValueError(f"the name of a recogniser must have at most {_LONGEST_MODEL} characters, not {len(model)}")
    return Face(model, embedding, quality, _text(entry["source"]), crop, added_at)


def _text(value: object) -> str:
    """Returns a text escaped as `exported` and `Gallery.add` do; earlier versions exported unprintable text."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, not {value!r}")
    return printable(value)


def _same(one: Face, other: Face) -> bool:
    return one.model == other.model and bool(np.allclose(one.embedding, other.embedding, atol=1e-6))
