"""Persons, photos, comparisons and calibrations as JSON: what the API returns and `sightd faces --json` prints."""

from __future__ import annotations

from typing import Any

from sightd.daemon.faces.service import Comparison, FaceService
from sightd.plugins.face.gallery.enrol import Enrolment
from sightd.plugins.face.gallery.gallery import Person
from sightd.plugins.face.matching.calibration import Refinement
from sightd.plugins.face.matching.unknown import UnknownPerson

Form = dict[str, Any]
_SIGHTINGS = 1000
"""The newest sightings of all persons, among which those of one person are searched."""


def person(found: Person, face_service: FaceService) -> Form:
    """`faces` counts the person's faces by recogniser, `usable` those of the one in use."""
    return {
        "name": found.name,
        "added_at": found.added_at,
        "faces": found.faces,
        "usable": found.faces.get(face_service.model, 0),
    }


def person_in_full(found: Person, face_service: FaceService) -> Form:
    """Adds each photo (`crop`: whether its face crop is stored) and the latest sightings, newest first."""
    photos = [
        {"model": face.model, "quality": face.quality, "source": face.source, "crop": face.crop is not None}
        for face in face_service.gallery.faces(found)
    ]
    seen = [
        {"camera": one.camera, "first_seen": one.first_seen, "last_seen": one.last_seen, "similarity": one.similarity,
         "margin": one.margin, "reason": one.reason}
        for one in face_service.sightings.latest(_SIGHTINGS) if one.person == found.id
    ]  # fmt: skip
    return person(found, face_service) | {"photos": photos, "seen": seen}


def enrolment(found: Enrolment, face_service: FaceService) -> Form:
    """Returns the finding for each photo (`known`: enrolled before), and the person if a photo was accepted. `taken`
    and `message` sum up all photos: for a single one they are its own."""
    photos = [
        {"source": one.photo, "taken": one.taken, "known": one.known, "message": one.message} for one in found.findings
    ]
    form: Form = {
        "taken": found.person is not None,
        "message": "; ".join(dict.fromkeys(one.message for one in found.findings)),
        "photos": photos,
    }
    return form if found.person is None else form | {"person": person(found.person, face_service)}


def unknown_person(found: UnknownPerson) -> Form:
    return {
        "id": found.number,
        "visits": found.visits,
        "first_seen": found.first_seen,
        "last_seen": found.last_seen,
    }


def comparison(found: Comparison) -> Form:
    return {
        "similarity": found.similarity,
        "threshold": found.threshold,
        "same": found.same,
        "strangers": found.strangers,
    }


def calibration(found: Refinement, face_service: FaceService, *, applied: bool) -> Form:
    """`alike` are pairs of names with their cosine similarity, `unlike` names with that of their own photos."""
    names = {one.id: one.name for one in face_service.gallery.persons()}
    return {
        "persons": found.persons,
        "impostor_pairs": found.impostor_pairs,
        "genuine_pairs": found.genuine_pairs,
        "shift": found.shift,
        "missed": found.missed,
        "applied": applied,
        "alike": [[names[one], names[other], cosine] for one, other, cosine in found.alike],
        "unlike": [[names[one], cosine] for one, cosine in found.unlike],
    }
