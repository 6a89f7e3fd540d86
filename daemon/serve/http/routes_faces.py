"""HTTP API of the face gallery, the counterpart of `sightd faces`. Names and faces are more sensitive than video: the
viewer role cannot access them, and only administrators may delete or export people."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any

import cv2
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from sightd.daemon.faces import forms
from sightd.daemon.faces.service import FaceService, NoFacesError
from sightd.daemon.serve.access.access import Access
from sightd.daemon.serve.access.principals import Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import require_values
from sightd.engines.errors import EngineError
from sightd.plugins.api import Image
from sightd.plugins.face.gallery.enrol import MOST_BYTES, Photo, photo_of
from sightd.plugins.face.gallery.errors import GalleryError, NameTakenError, UnknownPersonError, UnwritableError
from sightd.plugins.face.gallery.exchange import exported, imported

MOST_IMPORT = 512 * 1024 * 1024
"""Maximum size in bytes of an imported file."""
_MOST_IMPORTED_VALUES = 2_000_000
MOST_PHOTOS = 100
"""Per enrolment."""
_UPLOAD = ("upload",)

FaceServiceSource = Callable[[str | None], FaceService]
PluginName = Annotated[str | None, Query(max_length=63, description="The face plug-in, if several have galleries")]
Sources = Annotated[Sequence[str], Query(max_length=MOST_PHOTOS)]
Sizes = Annotated[Sequence[Annotated[int, Field(ge=1)]], Query(max_length=MOST_PHOTOS)]
Numbers = Annotated[Sequence[int], Query(max_length=1000)]


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


def add_faces(app: FastAPI, face_service: FaceServiceSource, access: Access) -> None:
    """Adds the routes. `face_service` returns the current face service of a plug-in, or of the only one (None), for
    each request; it may raise NoFacesError."""

    def chosen(plugin: PluginName = None) -> FaceService:
        return face_service(plugin)

    app.add_exception_handler(GalleryError, _refused)
    app.add_exception_handler(EngineError, _unavailable)
    for role, add in ((Role.OPERATE, _add_work), (Role.ADMIN, _add_administration)):
        router = APIRouter(prefix="/api", tags=["faces"], route_class=at_least(role, access))
        add(router, Depends(chosen))
        app.include_router(router)


def _add_work(router: APIRouter, chosen: Any) -> None:
    _add_persons(router, chosen)
    _add_unknown(router, chosen)
    _add_comparison(router, chosen)


def _add_persons(router: APIRouter, chosen: Any) -> None:
    @router.get("/faces", summary="All persons")
    def persons(face_service: FaceService = chosen) -> list[forms.Form]:
        return [forms.person(one, face_service) for one in face_service.gallery.persons()]

    @router.get("/faces/{name}", summary="A person with their faces and sightings")
    def person(name: str, face_service: FaceService = chosen) -> forms.Form:
        return forms.person_in_full(face_service.gallery.person(name), face_service)

    @router.post("/faces/{name}/photos", summary="Enrol photos: one image file, or several with `size` and `source`",
                 status_code=201,
                 max_body_size=MOST_BYTES)  # fmt: skip
    async def enrol(
        name: str,
        request: Request,
        source: Sources = _UPLOAD,
        size: Sizes = (),
        anyway: bool = False,
        face_service: FaceService = chosen,
    ) -> Response:
        photos = _photos(await request.body(), source, size)
        return await run_in_threadpool(_enrolled, face_service, name, photos, anyway)

    @router.patch("/faces/{name}", summary="Rename a person")
    def rename(name: str, new: Named, face_service: FaceService = chosen) -> forms.Form:
        return forms.person(face_service.gallery.rename(name, new.name), face_service)

    @router.post("/faces/{name}/merge", summary="Merge a person into another, who is the same")
    def merge(name: str, other: Into, face_service: FaceService = chosen) -> forms.Form:
        return forms.person(face_service.gallery.merge(name, other.into), face_service)


def _add_unknown(router: APIRouter, chosen: Any) -> None:
    @router.get("/unknown-faces", summary="Unknown persons who were seen")
    def unknown(face_service: FaceService = chosen) -> list[forms.Form]:
        return [forms.unknown_person(one) for one in face_service.unknown.load().persons]

    @router.get("/unknown-faces/{number}.png", response_class=Response, summary="Best image of an unknown person")
    def picture(number: int, face_service: FaceService = chosen) -> Response:
        store = face_service.unknown
        crop = store.crop(store.find(number).number)
        if crop is None:
            raise HTTPException(404, f"There is no image of unknown person {number}: `crops` is off.")
        return Response(cv2.imencode(".png", crop)[1].tobytes(), media_type="image/png")

    @router.post("/unknown-faces/{number}/name", summary="Enrol an unknown person")
    def name(number: int, named: Named, anyway: bool = False, face_service: FaceService = chosen) -> forms.Form:
        return forms.person(face_service.name_unknown(number, named.name, anyway=anyway), face_service)


def _add_comparison(router: APIRouter, chosen: Any) -> None:
    @router.post(
        "/compare-faces", summary="Check whether two photos show the same person", max_body_size=3 * MOST_BYTES
    )
    def compare(pair: Pair, face_service: FaceService = chosen) -> forms.Form:
        photos = ((pair.source_a, pair.a), (pair.source_b, pair.b))
        found = face_service.compare(*(Photo(source, photo_of(_decoded(data), source)) for source, data in photos))
        return forms.comparison(found)


def _add_administration(router: APIRouter, chosen: Any) -> None:
    @router.delete("/faces/{name}", summary="Forget a person; `wipe` erases all traces", status_code=204)  # fmt: skip
    def forget(name: str, wipe: bool = True, face_service: FaceService = chosen) -> None:
        if wipe:
            face_service.gallery.forget(name)
        else:
            face_service.gallery.remove(name)

    @router.delete("/unknown-faces/{number}", summary="Forget an unknown person", status_code=204)
    def forget_unknown(number: int, face_service: FaceService = chosen) -> None:
        face_service.forget_unknown([number])

    @router.delete("/unknown-faces", summary="Forget unknown persons: those with the given `id`s, or `all`")
    def forget_several(
        id: Numbers = (),  # noqa: A002 — its name in the query
        all: bool = False,  # noqa: A002
        face_service: FaceService = chosen,
    ) -> dict[str, int]:
        if bool(id) == all:
            raise HTTPException(422, "Specify at least one `id`, or all=true.")
        return {"forgotten": face_service.forget_unknown(None if all else id)}

    @router.post("/calibrate-faces", summary="Calibrate the thresholds to the gallery")
    def calibrate(apply: bool = False, face_service: FaceService = chosen) -> forms.Form:
        return forms.calibration(face_service.refine(apply=apply), face_service, applied=apply)

    @router.post("/reembed-faces", summary="Recompute the embeddings of kept faces with the current recogniser")
    def reembed(face_service: FaceService = chosen) -> dict[str, Any]:
        taken, without = face_service.see_again()
        return {"model": face_service.model, "taken": taken, "without_crop": without}

    @router.get("/export-faces", response_class=Response, summary="Export all persons")
    def export(face_service: FaceService = chosen) -> Response:
        return Response(exported(face_service.gallery), media_type="application/json")

    @router.post("/import-faces", summary="Import the persons of an exported file", max_body_size=MOST_IMPORT)
    async def import_(request: Request, face_service: FaceService = chosen) -> dict[str, int]:
        data = await request.body()
        return await run_in_threadpool(_imported, face_service, data)


@dataclass(frozen=True, slots=True)
class _Upload:
    """A photo that is decoded when it is used: even a hundred small files may decode to large images."""

    name: str
    data: bytes

    @property
    def image(self) -> Image:
        return photo_of(self.data, self.name)


def _photos(data: bytes, sources: Sequence[str], sizes: Sequence[int]) -> list[_Upload]:
    """Splits a body into its image files. Raises HTTPException 422 if the sizes do not add up."""
    if not sizes and len(sources) == 1:
        return [_Upload(sources[0], data)]
    if len(sizes) != len(sources) or sum(sizes) != len(data):
        raise HTTPException(
            422, "Several image files need a `size` and a `source` each; the sizes must add up to the body."
        )
    ends = list(accumulate(sizes))
    return [_Upload(source, data[end - size : end]) for source, size, end in zip(sources, sizes, ends, strict=True)]


def _enrolled(face_service: FaceService, name: str, photos: Sequence[_Upload], anyway: bool) -> Response:
    found = face_service.enrol(name, photos, anyway=anyway)
    return JSONResponse(forms.enrolment(found, face_service), status_code=422 if found.person is None else 201)


def _imported(face_service: FaceService, data: bytes) -> dict[str, int]:
    require_values(data, _MOST_IMPORTED_VALUES)
    persons, faces = imported(face_service.gallery, data.decode("utf-8", "replace"))
    return {"persons": persons, "faces": faces}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, "a and b must be base64-encoded image files.") from error


async def _refused(_request: Request, error: Exception) -> Response:
    statuses = {UnknownPersonError: 404, NameTakenError: 409, NoFacesError: 409, UnwritableError: 507}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 422)
    return JSONResponse({"error": str(error)}, status_code=status)


async def _unavailable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=503)
