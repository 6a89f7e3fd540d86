"""The face gallery in the daemon's API, the counterpart of `sightd faces`. Names and faces are more sensitive than
video: the viewer role cannot access them, and only administrators may delete or export people."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any

import cv2
from pydantic import BaseModel, ConfigDict, Field

from sightd.plugins.api import Answer, Image, InvalidRequestError, Route
from sightd.plugins.face.gallery.enrol import MOST_BYTES, Enrolment, Photo, photo_of
from sightd.plugins.face.gallery.exchange import exported, imported
from sightd.plugins.face.gallery.gallery import Person
from sightd.plugins.face.service import FaceService

MOST_IMPORT = 512 * 1024 * 1024
"""Maximum size in bytes of an imported file."""
_MOST_IMPORTED_VALUES = 2_000_000
MOST_PHOTOS = 100
"""Per enrolment."""
_UPLOAD = "upload"
_SIGHTINGS = 1000
"""The newest sightings of all persons, among which those of one person are searched."""

Form = dict[str, Any]
"""JSON of the API, which `sightd faces --json` prints, too."""


class Photos(BaseModel):
    """The image files in a body, one after the other: their names in messages, and their lengths."""

    source: Sequence[str] = Field((_UPLOAD,), max_length=MOST_PHOTOS)
    size: Sequence[Annotated[int, Field(ge=1)]] = Field((), max_length=MOST_PHOTOS)
    anyway: bool = False


class Anyway(BaseModel):
    anyway: bool = False


class Wipe(BaseModel):
    wipe: bool = True


class Which(BaseModel):
    id: Sequence[int] = Field((), max_length=1000)
    all: bool = False


class Apply(BaseModel):
    apply: bool = False


class Limit(BaseModel):
    limit: int = Field(10, ge=1, le=100)


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)


class Into(BaseModel):
    model_config = ConfigDict(extra="forbid")

    into: str = Field(max_length=200)


class Pair(BaseModel):
    """Two photos, each an image file in base64, and the names that messages use for them."""

    model_config = ConfigDict(extra="forbid")

    a: str
    b: str
    source_a: str = Field("a", max_length=200)
    source_b: str = Field("b", max_length=200)


def persons(service: FaceService) -> list[Form]:
    return [_person(one, service) for one in service.gallery.persons()]


def person(service: FaceService, name: str) -> Form:
    """Adds each photo (`crop`: whether its face crop is stored) and the latest sightings, newest first."""
    found = service.gallery.person(name)
    photos = [
        {"model": face.model, "quality": face.quality, "source": face.source, "crop": face.crop is not None}
        for face in service.gallery.faces(found)
    ]
    seen = [
        {"camera": one.camera, "first_seen": one.first_seen, "last_seen": one.last_seen, "similarity": one.similarity,
         "margin": one.margin, "reason": one.reason}
        for one in service.sightings.latest(_SIGHTINGS) if one.person == found.id
    ]  # fmt: skip
    return _person(found, service) | {"photos": photos, "seen": seen}


def enrol(service: FaceService, name: str, query: Photos, body: bytes) -> Answer:
    found = service.enrol(name, _photos(body, query.source, query.size), anyway=query.anyway)
    return Answer(_enrolment(found, service), status=422 if found.person is None else 201)


def rename(service: FaceService, name: str, body: Named) -> Form:
    return _person(service.gallery.rename(name, body.name), service)


def merge(service: FaceService, name: str, body: Into) -> Form:
    return _person(service.gallery.merge(name, body.into), service)


def forget(service: FaceService, name: str, query: Wipe) -> None:
    if query.wipe:
        service.gallery.forget(name)
    else:
        service.gallery.remove(name)


def unknown(service: FaceService) -> list[Form]:
    return [
        {"id": one.number, "visits": one.visits, "first_seen": one.first_seen, "last_seen": one.last_seen}
        for one in service.unknown.load().persons
    ]


def nearest(service: FaceService, number: int, query: Limit) -> list[Form]:
    """`similarity` is a cosine; `strangers` the share of strangers who are this similar."""
    return [
        {"id": one.number, "similarity": cosine, "strangers": strangers, "visits": one.visits,
         "first_seen": one.first_seen, "last_seen": one.last_seen}
        for one, cosine, strangers in service.nearest_unknown(number, query.limit)
    ]  # fmt: skip


def picture(service: FaceService, number: int) -> Answer:
    store = service.unknown
    crop = store.crop(store.find(number).number)
    if crop is None:
        return Answer({"detail": f"There is no image of unknown person {number}: `crops` is off."}, status=404)
    return Answer(cv2.imencode(".png", crop)[1].tobytes(), "image/png")


def name_unknown(service: FaceService, number: int, query: Anyway, body: Named) -> Form:
    return _person(service.name_unknown(number, body.name, anyway=query.anyway), service)


def forget_unknown(service: FaceService, number: int) -> None:
    service.forget_unknown([number])


def forget_several(service: FaceService, query: Which) -> dict[str, int]:
    if bool(query.id) == query.all:
        raise InvalidRequestError("Specify at least one `id`, or all=true.")
    return {"forgotten": service.forget_unknown(None if query.all else query.id)}


def compare(service: FaceService, body: Pair) -> Form:
    photos = ((body.source_a, body.a), (body.source_b, body.b))
    found = service.compare(*(Photo(source, photo_of(_decoded(data), source)) for source, data in photos))
    return {
        "similarity": found.similarity,
        "threshold": found.threshold,
        "same": found.same,
        "strangers": found.strangers,
    }


def calibrate(service: FaceService, query: Apply) -> Form:
    """`alike` are pairs of names with their cosine similarity, `unlike` names with that of their own photos."""
    found = service.refine(apply=query.apply)
    names = {one.id: one.name for one in service.gallery.persons()}
    return {
        "persons": found.persons,
        "impostor_pairs": found.impostor_pairs,
        "genuine_pairs": found.genuine_pairs,
        "shift": found.shift,
        "missed": found.missed,
        "applied": query.apply,
        "alike": [[names[one], names[other], cosine] for one, other, cosine in found.alike],
        "unlike": [[names[one], cosine] for one, cosine in found.unlike],
    }


def reembed(service: FaceService) -> Form:
    taken, without = service.see_again()
    return {"model": service.model, "taken": taken, "without_crop": without}


def export(service: FaceService) -> Answer:
    return Answer(exported(service.gallery).encode())


def import_(service: FaceService, body: bytes) -> dict[str, int]:
    persons, faces = imported(service.gallery, body.decode("utf-8", "replace"))
    return {"persons": persons, "faces": faces}


ROUTES = (
    Route("GET", "/faces", "operate", "All persons", persons),
    Route("GET", "/faces/{name}", "operate", "A person with their faces and sightings", person),
    Route("POST", "/faces/{name}/photos", "operate",
          "Enrol photos: one image file, or several with `size` and `source`", enrol, status=201, max_body=MOST_BYTES,
          prepare=FaceService.analyser),
    Route("PATCH", "/faces/{name}", "operate", "Rename a person", rename),
    Route("POST", "/faces/{name}/merge", "operate", "Merge a person into another, who is the same", merge),
    Route("GET", "/unknown-faces", "operate", "Unknown persons who were seen", unknown),
    Route("GET", "/unknown-faces/{number}.png", "operate", "Best image of an unknown person", picture),
    Route("GET", "/unknown-faces/{number}/nearest", "operate", "Unknown persons who look most like this one", nearest),
    Route("POST", "/unknown-faces/{number}/name", "operate", "Enrol an unknown person", name_unknown),
    Route("POST", "/compare-faces", "operate", "Check whether two photos show the same person", compare,
          max_body=3 * MOST_BYTES, prepare=FaceService.analyser),
    Route("DELETE", "/faces/{name}", "admin", "Forget a person; `wipe` erases all traces", forget, status=204),
    Route("DELETE", "/unknown-faces/{number}", "admin", "Forget an unknown person", forget_unknown, status=204),
    Route("DELETE", "/unknown-faces", "admin", "Forget unknown persons: those with the given `id`s, or `all`",
          forget_several),
    Route("POST", "/calibrate-faces", "admin", "Calibrate the thresholds to the gallery", calibrate),
    Route("POST", "/reembed-faces", "admin", "Recompute the embeddings of kept faces with the current recogniser",
          reembed),
    Route("GET", "/export-faces", "admin", "Export all persons", export),
    Route("POST", "/import-faces", "admin", "Import the persons of an exported file", import_, max_body=MOST_IMPORT,
          max_values=_MOST_IMPORTED_VALUES),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Upload:
    """A photo that is decoded when it is used: even a hundred small files may decode to large images."""

    name: str
    data: bytes

    @property
    def image(self) -> Image:
        return photo_of(self.data, self.name)


def _photos(data: bytes, sources: Sequence[str], sizes: Sequence[int]) -> list[_Upload]:
    """Splits a body into its image files. Raises InvalidRequestError if the sizes do not add up."""
    if not sizes and len(sources) == 1:
        return [_Upload(sources[0], data)]
    if len(sizes) != len(sources) or sum(sizes) != len(data):
        raise InvalidRequestError(
            "Several image files need a `size` and a `source` each; the sizes must add up to the body."
        )
    ends = list(accumulate(sizes))
    return [_Upload(source, data[end - size : end]) for source, size, end in zip(sources, sizes, ends, strict=True)]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("a and b must be base64-encoded image files.") from error


def _person(found: Person, service: FaceService) -> Form:
    """`faces` counts the person's faces by recogniser, `usable` those of the one in use."""
    return {
        "name": found.name,
        "added_at": found.added_at,
        "faces": found.faces,
        "usable": found.faces.get(service.model, 0),
    }


def _enrolment(found: Enrolment, service: FaceService) -> Form:
    """Returns the finding for each photo (`known`: enrolled before; `faces`: how many it shows), and the person if a
    photo was accepted. `taken` and `message` sum up all photos: for a single one they are its own."""
    photos = [
        {"source": one.photo, "taken": one.taken, "known": one.known, "message": one.message, "faces": one.faces}
        for one in found.findings
    ]
    form: Form = {
        "taken": found.person is not None,
        "message": "; ".join(dict.fromkeys(one.message for one in found.findings)),
        "photos": photos,
    }
    return form if found.person is None else form | {"person": _person(found.person, service)}
