"""Reads and enrols photographs: the main face of each, of good quality, of the right person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Face, Gallery, Person, plain
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.face.matching.matcher import FaceSamples, Match, Matcher, Quality
from sightd.plugins.images.still import UPLOAD, StillError, read_still, still_of

MIN_QUALITY = 0.7
"""Quality that a photograph needs: more than a look of a video, because poor faces resemble each other."""
_BACKGROUND = 0.5
"""A face less than this share as high as the largest counts as background."""
_MAIN = 1.5
"""How much more prominent the main face must be than the next."""
_OFF_CENTRE = 0.5
"""Share of its prominence that a face loses whose distance from the middle is half of the picture's shorter side."""
_SAME_PICTURE = 0.98
"""Cosine of two copies of one image."""
_OTHER_PERSON = 1e-6
"""False match rate at which a face is taken for another person's: siblings reach 1e-5."""
_UNLIKE = 1e-2
"""False match rate: a face less similar to the person's others than this is taken for another person's."""
MOST_BYTES = UPLOAD.bytes


class Analyser(Protocol):
    """Interface of `plugins.face.analyser.FaceAnalyser`."""

    def photograph(self, frame: Frame) -> FaceSamples: ...


@dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """The outcome for one photograph. `known`: it was enrolled before, which is not an error; `faces`: how many it
    shows, of which the main one is enrolled."""

    photo: str
    taken: bool
    message: str
    known: bool = False
    faces: int = 0


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`person` is None if no photograph was accepted."""

    person: Person | None
    findings: tuple[PhotoOutcome, ...]


class AnyPhoto(Protocol):
    """Interface of `Photo`. `image` may be decoded on each access; if that raises GalleryError, nothing is enrolled."""

    @property
    def name(self) -> str: ...

    @property
    def image(self) -> Image: ...


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph. `name` identifies it in messages and is stored as the face's source."""

    name: str
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """The main face of a photograph, and how many it shows."""

    photo: str
    face: Face
    faces: int


class Enroller:
    """Enrols into one gallery. Not thread-safe."""

    def __init__(
        self,
        gallery: Gallery,
        analyser: Analyser,
        model: str,
        calibration: Calibration,
        *,
        min_quality: float,
        crops: bool = True,
    ) -> None:
        """`model` is the recogniser's name; `crops`: also store the cropped faces."""
        self._gallery, self._analyser, self._model = gallery, analyser, model
        self._calibration, self._min_quality, self._crops = calibration, min_quality, crops

    def enrol(self, name: str, photos: Sequence[AnyPhoto], *, anyway: bool = False) -> Enrolment:
        """Enrols photographs whose main face is good and resembles the person's others and nobody else. `anyway` also
        accepts one that does not resemble them, or resembles somebody else. Raises GalleryError."""
        findings: list[PhotoOutcome] = []
        candidates: list[_Candidate] = []
        for photo in photos:
            frame = Frame.of(photo.image, still=True)
            looks = self._analyser.photograph(frame)
            face, fault = self._face(photo, looks, (frame.width, frame.height))
            if face is None:
                findings.append(PhotoOutcome(photo.name, False, fault, faces=len(looks)))
            else:
                candidates.append(_Candidate(photo.name, face, len(looks)))
        taken = self._fitting(name, candidates, findings, anyway)
        person = self._gallery.add(name, taken) if taken else None
        order = {photo.name: place for place, photo in enumerate(photos)}
        return Enrolment(person, tuple(sorted(findings, key=lambda finding: order[finding.photo])))

    def _face(self, photo: AnyPhoto, looks: FaceSamples, size: tuple[int, int]) -> tuple[Face | None, str]:
        """Returns the main face of a photograph of `size` (width, height), or the reason why there is none."""
        if not len(looks):
            return None, "no face was found: use a photo in which the face is larger or turned away less"
        row = main_face(looks.boxes, size)
        if row is None:
            return None, f"{len(looks)} faces, none of them clearly the main one: crop the photo so that it shows one"
        if not looks.quality.upright[row]:
            return None, "the orientation of the face is unclear: rotate the photo upright"
        if looks.quality.totals[row] < self._min_quality:
            return None, f"the face is {_weakness(looks.quality, row)}: use a better photo"
        crop = looks.crops[row].copy() if self._crops else None
        quality = float(looks.quality.totals[row])
        return Face(self._model, looks.embeddings[row], quality, photo.name, crop), ""

    def _fitting(
        self, name: str, candidates: Sequence[_Candidate], findings: list[PhotoOutcome], anyway: bool
    ) -> list[Face]:
        """Returns the candidates that may be enrolled, and appends a finding for each candidate."""
        enrolled = self._gallery.enrolled(self._model)
        own_id = next((id_ for id_, known in enrolled.names.items() if plain(known) == plain(name)), -1)
        own = enrolled.embeddings[enrolled.owners == own_id]
        matcher, taken = Matcher(enrolled), list[Face]()
        outliers = self._outliers(own, np.array([one.face.embedding for one in candidates]))
        for candidate, outlier in zip(candidates, outliers, strict=True):
            face, outcome = candidate.face, partial(PhotoOutcome, candidate.photo, faces=candidate.faces)
            known = np.concatenate((own, np.array([one.embedding for one in taken]).reshape(-1, own.shape[1])))
            (match,) = matcher.match(face.embedding[None])
            fault = outlier
            if match.person not in (None, own_id):
                fault = resemblance(match, enrolled.names, self._calibration) or outlier
            if len(known) and float((known @ face.embedding).max()) >= _SAME_PICTURE:
                findings.append(outcome(False, "is already enrolled", known=True))
            elif fault and not anyway:
                findings.append(outcome(False, fault))
            else:
                taken.append(face)
                among = f", the main one of {candidate.faces} faces" if candidate.faces > 1 else ""
                findings.append(outcome(True, f"enrolled, quality {face.quality:.2f}{among}"))
        return taken

    def _outliers(self, own: FloatArray, new: FloatArray) -> list[str]:
        """Returns for each new face why it does not belong to these, or an empty string. The majority decides: if one
        face is enrolled, it is that person; with only two new faces it is undecidable."""
        faces = np.concatenate((own, new.reshape(-1, own.shape[1])))
        if len(faces) < 2:
            return [""] * len(new)
        alike = faces @ faces.T
        np.fill_diagonal(alike, np.nan)
        typical = np.nanmedian(alike, axis=1)[len(own) :]
        asked = self._calibration.cosine(_UNLIKE)
        told = []
        for cosine in typical.tolist():
            among = f"the {len(own)} enrolled" if len(own) else "the other photos"
            far = f"does not look like {among} ({cosine:.2f}, required: {asked:.2f}): another person?"
            told.append(far if cosine < asked else "")
        return told


def main_face(boxes: FloatArray, size: tuple[int, int]) -> int | None:
    """Returns which of the faces xyxy float32 [n, 4] of a photograph of `size` (width, height) is the main one: clearly
    larger and nearer the middle than the others. None if it is not clear, or there is none."""
    heights = boxes[:, 3] - boxes[:, 1]
    rows = np.flatnonzero(heights >= _BACKGROUND * heights.max(initial=0))
    away = np.linalg.norm((boxes[rows, :2] + boxes[rows, 2:]) / 2 - np.array(size) / 2, axis=1) / (min(size) / 2)
    prominence = heights[rows] * (1 - _OFF_CENTRE * np.minimum(away, 1))
    order = np.argsort(-prominence)
    if not len(rows) or (len(rows) > 1 and prominence[order[0]] < _MAIN * prominence[order[1]]):
        return None
    return int(rows[order[0]])


def resemblance(match: Match, names: Mapping[int, str], calibration: Calibration) -> str:
    """Returns a message if the best match suggests that a face is enrolled under another name, else an empty string."""
    if match.person is None or not match.similarity >= calibration.cosine(_OTHER_PERSON):
        return ""
    other = names[match.person]
    return f'looks like "{other}" ({match.similarity:.2f}), who is enrolled: the same person under two names?'


def _weakness(quality: Quality, row: int) -> str:
    """Describes the worst property of a face."""
    size = float(quality.sizes[row])
    parts = {
        f"too small (its eyes are {size:.0f} pixels apart, 18 are enough)": size / 18,
        "blurred": float(quality.sharpness[row]),
        "turned away": float(quality.frontality[row]),
    }
    return min(parts, key=lambda part: parts[part])


def read_photo(path: Path) -> Image:
    """Like `plugins.images.still.read_still`, with the limits of an upload. Raises GalleryError."""
    try:
        return read_still(path, UPLOAD)
    except StillError as error:
        raise GalleryError(str(error)) from error


def photo_of(data: bytes, name: str) -> Image:
    """Like `plugins.images.still.still_of`. Raises GalleryError."""
    try:
        return still_of(data, name, UPLOAD)
    except StillError as error:
        raise GalleryError(str(error)) from error
