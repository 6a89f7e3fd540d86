"""Reads and enrols photographs: each must show one face, of good quality, of the right person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Face, Gallery, Person, plain
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.face.matching.matcher import FaceSamples, Match, Matcher, Quality
from sightd.plugins.images.still import UPLOAD, StillError, read_still, still_of

_BACKGROUND = 0.5
"""A face whose eyes are less than this share as far apart as those of the largest face counts as background."""
_SAME_PICTURE = 0.98
"""Cosine of two copies of one image."""
_OTHER_PERSON = 1e-6
"""False match rate at which a face is taken for another person's: siblings reach 1e-5."""
_UNLIKE = 1e-2
"""False match rate: a face less similar to the person's others than this is taken for another person's."""
MOST_BYTES = UPLOAD.bytes


class Analyser(Protocol):
    """Interface of `plugins.face.analyser.FaceAnalyser`."""

    def looks(self, frames: Sequence[Frame]) -> list[FaceSamples]: ...


@dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """The outcome for one photograph. `known`: it was enrolled before, which is not an error."""

    photo: str
    taken: bool
    message: str
    known: bool = False


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
        """Enrols photographs with one good face that resembles the person's others and nobody else. `anyway` also
        accepts one that does not resemble them, or resembles somebody else. Raises GalleryError."""
        findings: list[PhotoOutcome] = []
        candidates: list[tuple[AnyPhoto, Face]] = []
        for photo in photos:
            (looks,) = self._analyser.looks([Frame.of(photo.image, still=True)])
            face, fault = self._face(photo, looks)
            if face is None:
                findings.append(PhotoOutcome(photo.name, False, fault))
            else:
                candidates.append((photo, face))
        taken = self._fitting(name, candidates, findings, anyway)
        person = self._gallery.add(name, taken) if taken else None
        order = {photo.name: place for place, photo in enumerate(photos)}
        return Enrolment(person, tuple(sorted(findings, key=lambda finding: order[finding.photo])))

    def _face(self, photo: AnyPhoto, looks: FaceSamples) -> tuple[Face | None, str]:
        """Returns the single face of a photograph, or the reason why there is none."""
        sizes = looks.quality.sizes
        if not len(looks):
            return None, "no face was found: use a photo in which the face is larger or turned away less"
        row = int(sizes.argmax())
        others = int(np.count_nonzero(sizes >= _BACKGROUND * sizes[row])) - 1
        if others:
            return None, f"{others + 1} faces: crop the photo so that it shows one person"
        if not looks.quality.upright[row]:
            return None, "the orientation of the face is unclear: rotate the photo upright"
        if looks.quality.totals[row] < self._min_quality:
            return None, f"the face is {_weakness(looks.quality, row)}: use a better photo"
        crop = looks.crops[row].copy() if self._crops else None
        quality = float(looks.quality.totals[row])
        return Face(self._model, looks.embeddings[row], quality, photo.name, crop), ""

    def _fitting(
        self, name: str, candidates: Sequence[tuple[AnyPhoto, Face]], findings: list[PhotoOutcome], anyway: bool
    ) -> list[Face]:
        """Returns the candidates that may be enrolled, and appends a finding for each candidate."""
        enrolled = self._gallery.enrolled(self._model)
        own_id = next((id_ for id_, known in enrolled.names.items() if plain(known) == plain(name)), -1)
        own = enrolled.embeddings[enrolled.owners == own_id]
        matcher, taken = Matcher(enrolled), list[Face]()
        outliers = self._outliers(own, np.array([face.embedding for _, face in candidates]))
        for (photo, face), outlier in zip(candidates, outliers, strict=True):
            known = np.concatenate((own, np.array([one.embedding for one in taken]).reshape(-1, own.shape[1])))
            (match,) = matcher.match(face.embedding[None])
            fault = outlier
            if match.person not in (None, own_id):
                fault = resemblance(match, enrolled.names, self._calibration) or outlier
            if len(known) and float((known @ face.embedding).max()) >= _SAME_PICTURE:
                findings.append(PhotoOutcome(photo.name, False, "is already enrolled", known=True))
            elif fault and not anyway:
                findings.append(PhotoOutcome(photo.name, False, fault))
            else:
                taken.append(face)
                findings.append(PhotoOutcome(photo.name, True, f"enrolled, quality {face.quality:.2f}"))
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
        f"too small (its eyes are {size:.0f} pixels apart, 40 are enough)": size / 40,
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
