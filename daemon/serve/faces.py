"""The gallery over HTTP: what `sightd faces` does, for programs and pages. Names and faces are more than pictures: a
token that views does not reach them, and only an administrator's takes persons away or out of the machine."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import cv2
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from daemon.faces.desk import FaceDesk
from daemon.serve.access.access import Access
from daemon.serve.access.door import at_least
from daemon.serve.access.roles import Role
from engines.errors import EngineError
from plugins.face.gallery.enrol import Photo
from plugins.face.gallery.errors import GalleryError, NameTakenError, UnknownPersonError, UnwritableError
from plugins.face.gallery.exchange import exported, imported
from plugins.face.gallery.gallery import Person
from plugins.face.gallery.photos import MOST_BYTES, photo_of

_MOST_IMPORT = 512 * 1024 * 1024


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)


class Into(BaseModel):
    model_config = ConfigDict(extra="forbid")

    into: str = Field(max_length=200)


class Pair(BaseModel):
    """Two photographs, each a picture file in base64."""

    model_config = ConfigDict(extra="forbid")

    a: str
    b: str


def add_faces(app: FastAPI, desk: FaceDesk, access: Access) -> None:
    """Adds the routes."""
    app.add_exception_handler(GalleryError, _refused)
    app.add_exception_handler(EngineError, _unavailable)
    for role, add in ((Role.OPERATE, _add_work), (Role.ADMIN, _add_administration)):
        router = APIRouter(prefix="/api", tags=["faces"], route_class=at_least(role, access))
        add(router, desk)
        app.include_router(router)


def _add_work(router: APIRouter, desk: FaceDesk) -> None:
    _add_persons(router, desk)
    _add_unknown(router, desk)
    _add_comparison(router, desk)


def _add_persons(router: APIRouter, desk: FaceDesk) -> None:
    gallery = desk.gallery

    @router.get("/faces", summary="All persons")
    def persons() -> list[dict[str, Any]]:
        return [_person(one) for one in gallery.persons()]

    @router.get("/faces/{name}", summary="A person, their faces, and when they were seen")
    def person(name: str) -> dict[str, Any]:
        found = gallery.person(name)
        faces = [{"model": f.model, "quality": f.quality, "source": f.source} for f in gallery.faces(found)]
        seen = [
            {"camera": s.camera, "first_seen": s.first_seen, "last_seen": s.last_seen, "similarity": s.similarity,
             "margin": s.margin, "reason": s.reason}
            for s in desk.sightings.latest(1000) if s.person == found.id
        ]  # fmt: skip
        return _person(found) | {"photos": faces, "seen": seen}

    @router.post("/faces/{name}/photos", summary="Enrol a photograph: the body is the picture file", status_code=201,
                 max_body_size=MOST_BYTES)  # fmt: skip
    async def enrol(name: str, request: Request, source: str = "upload", anyway: bool = False) -> Response:
        data = await request.body()
        return await run_in_threadpool(_enrolled, desk, name, source, data, anyway)

    @router.patch("/faces/{name}", summary="Rename a person")
    def rename(name: str, new: Named) -> dict[str, Any]:
        return _person(gallery.rename(name, new.name))

    @router.post("/faces/{name}/merge", summary="Give a person's faces to another, who is the same")
    def merge(name: str, other: Into) -> dict[str, Any]:
        return _person(gallery.merge(name, other.into))


def _add_unknown(router: APIRouter, desk: FaceDesk) -> None:
    store = desk.unknown

    @router.get("/unknown-faces", summary="Persons who came by and were not known")
    def unknown() -> list[dict[str, Any]]:
        return [
            {"id": one.number, "visits": one.visits, "first_seen": one.first_seen, "last_seen": one.last_seen}
            for one in store.load().persons
        ]

    @router.get("/unknown-faces/{number}.png", response_class=Response, summary="The best look at one")
    def picture(number: int) -> Response:
        crop = store.crop(store.find(number).number)
        if crop is None:
            raise HTTPException(404, "No picture is kept of them: `crops` is off.")
        return Response(cv2.imencode(".png", crop)[1].tobytes(), media_type="image/png")

    @router.post("/unknown-faces/{number}/name", summary="Enrol one of them")
    def name(number: int, named: Named, anyway: bool = False) -> dict[str, Any]:
        return _person(desk.name_unknown(number, named.name, anyway=anyway))


def _add_comparison(router: APIRouter, desk: FaceDesk) -> None:
    @router.post("/compare-faces", summary="Whether two photographs show one person", max_body_size=3 * MOST_BYTES)
    def compare(pair: Pair) -> dict[str, Any]:
        found = desk.compare(
            *(Photo(which, photo_of(_decoded(data), which)) for which, data in (("a", pair.a), ("b", pair.b)))
        )
        return {
            "similarity": found.similarity,
            "threshold": found.threshold,
            "same": found.same,
            "strangers": found.strangers,
        }


def _add_administration(router: APIRouter, desk: FaceDesk) -> None:
    @router.delete("/faces/{name}", summary="Forget a person: nothing is left in any file", status_code=204)
    def forget(name: str) -> None:
        desk.gallery.forget(name)

    @router.delete("/unknown-faces/{number}", summary="Forget an unknown person", status_code=204)
    def forget_unknown(number: int) -> None:
        desk.unknown.forget([desk.unknown.find(number).number])
        desk.gallery.database.scrub()

    @router.post("/calibrate-faces", summary="Fit the thresholds to the gallery")
    def calibrate(apply: bool = False) -> dict[str, Any]:
        found = desk.refine(apply=apply)
        names = {person.id: person.name for person in desk.gallery.persons()}
        return {
            "persons": found.persons,
            "impostor_pairs": found.impostor_pairs,
            "genuine_pairs": found.genuine_pairs,
            "shift": found.shift,
            "missed": found.missed,
            "applied": apply,
            "alike": [[names[one], names[other], cosine] for one, other, cosine in found.alike],
            "unlike": [[names[one], cosine] for one, cosine in found.unlike],
        }

    @router.get("/export-faces", response_class=Response, summary="All persons in one file")
    def export() -> Response:
        return Response(exported(desk.gallery), media_type="application/json")

    @router.post("/import-faces", summary="Add the persons of an exported file", max_body_size=_MOST_IMPORT)
    async def import_(request: Request) -> dict[str, int]:
        data = await request.body()
        persons, faces = await run_in_threadpool(lambda: imported(desk.gallery, data.decode("utf-8", "replace")))
        return {"persons": persons, "faces": faces}


def _enrolled(desk: FaceDesk, name: str, source: str, data: bytes, anyway: bool) -> Response:
    enrolment = desk.enrol(name, [Photo(source, photo_of(data, source))], anyway=anyway)
    (finding,) = enrolment.findings
    content = {"taken": finding.taken, "message": finding.message}
    if enrolment.person is None:
        return JSONResponse(content, status_code=422)
    return JSONResponse(content | {"person": _person(enrolment.person)}, status_code=201)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, "a and b are picture files in base64.") from error


def _person(person: Person) -> dict[str, Any]:
    return {"name": person.name, "added_at": person.added_at, "faces": person.faces}


async def _refused(_request: Request, error: Exception) -> Response:
    statuses = {UnknownPersonError: 404, NameTakenError: 409, UnwritableError: 507}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 422)
    return JSONResponse({"error": str(error)}, status_code=status)


async def _unavailable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=503)
