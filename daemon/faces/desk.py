"""All that can be done with a gallery, for people and for programs; networks are loaded when one is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.calibration import Calibration
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.enrol import AnyPhoto, Enroller, Enrolment, Photo, resemblance
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery, Person, plain
from sightd.plugins.face.gallery.matcher import Matcher
from sightd.plugins.face.gallery.sightings import Sightings
from sightd.plugins.face.gallery.unknown_store import UnknownStore
from sightd.plugins.face.gallery.version import keep_versions_apart
from sightd.plugins.face.looks import Looks
from sightd.plugins.face.refinement import Refinement, refinement
from sightd.plugins.types import FloatArray, Frame


class NoFacesError(GalleryError):
    """No face plug-in runs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of two photographs: their cosine, the one that is asked, and the share of strangers who are as alike (FMR)."""

    similarity: float
    threshold: float
    strangers: float

    @property
    def same(self) -> bool:
        return self.similarity >= self.threshold


class FaceDesk:
    """Any thread. `close` closes the gallery and the networks."""

    def __init__(
        self,
        gallery: Gallery,
        config: FaceConfig,
        calibration: Calibration,
        load_analyser: Callable[[ExitStack], FaceAnalyser],
    ) -> None:
        """The gallery becomes the desk's own. `load_analyser` leaves with the stack what is to be closed in the end."""
        self.gallery = gallery
        keep_versions_apart(gallery, config.recogniser)
        self.unknown = UnknownStore(gallery, config.recogniser)
        self.sightings = Sightings(gallery)
        self._config, self._calibration = config, calibration
        self._load_analyser = load_analyser
        self._analyser: FaceAnalyser | None = None
        self._networks = ExitStack()
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        """The recogniser's name."""
        return self._config.recogniser

    def enrol(self, name: str, photos: Sequence[AnyPhoto], *, anyway: bool = False) -> Enrolment:
        """See `Enroller.enrol`."""
        enroller = Enroller(
            self.gallery,
            self.analyser(),
            self.model,
            self._calibration,
            min_quality=self._config.min_quality,
            crops=self._config.crops,
        )
        return enroller.enrol(name, photos, anyway=anyway)

    def name_unknown(self, number: int, name: str, *, anyway: bool = False) -> Person:
        """Enrols an unknown person. GalleryError where they look like somebody of another name; `anyway` does it."""
        enrolled = self.gallery.enrolled(self.model)
        (match,) = Matcher(enrolled).match(self.unknown.find(number).mean[None])
        other = match.person is not None and plain(enrolled.names[match.person]) != plain(name)
        if other and not anyway and (fault := resemblance(match, enrolled.names, self._calibration)):
            raise GalleryError(f"unknown person {number} {fault} `anyway` names them all the same")
        return self.unknown.name(number, name)

    def forget_unknown(self, numbers: Sequence[int] | None) -> int:
        """Forgets unknown persons, None for all of them, and wipes where they stood. Returns how many. GalleryError,
        and none is forgotten, if a number is nobody's."""
        if numbers is None:
            numbers = [one.number for one in self.unknown.load().persons]
        else:
            numbers = [self.unknown.find(number).number for number in numbers]
        self.unknown.forget(numbers)
        self.gallery.database.scrub()
        return len(numbers)

    def compare(self, one: Photo, other: Photo) -> Comparison:
        """The largest face of each. GalleryError where one has none."""
        first, second = (self._largest(photo) for photo in (one, other))
        similarity = float(first @ second)
        asked = self._calibration.threshold(self._config.false_identification, 1, 1)
        return Comparison(similarity, asked, self._calibration.fmr(similarity))

    def refine(self, *, apply: bool) -> Refinement:
        """What the gallery says of the thresholds; with `apply` they hold from now on."""
        enrolled = self.gallery.enrolled(self.model)
        found = refinement(self._calibration, enrolled.embeddings, enrolled.owners, self._config.false_identification)
        if apply:
            self.gallery.set_shift(self.model, found.shift)
        return found

    def see_again(self) -> tuple[int, int]:
        """Embeds kept crops of those whom this network has not seen: how many it were, and how many have no crop."""
        taken = without = 0
        for person in self.gallery.persons():
            faces = self.gallery.faces(person)
            if any(face.model == self.model for face in faces):
                continue
            for face in faces:
                if face.crop is None:
                    without += 1
                    continue
                embedding = self.analyser().embedded(face.crop)
                self.gallery.add(person.name, [replace(face, model=self.model, embedding=embedding)])
                taken += 1
        return taken, without

    def analyser(self) -> FaceAnalyser:
        with self._lock:
            if self._analyser is None:
                self._analyser = self._load_analyser(self._networks)
            return self._analyser

    def close(self) -> None:
        self._networks.close()
        self.gallery.close()

    def _largest(self, photo: Photo) -> FloatArray:
        looks: Looks = self.analyser().looks([Frame.of(photo.image, still=True)])[0]
        if not len(looks):
            raise GalleryError(f"{photo.name}: no face was found")
        row = int(looks.quality.sizes.argmax())
        if not looks.quality.upright[row]:
            raise GalleryError(f"{photo.name}: it is not clear which way up the face is: turn the picture upright")
        embedding: FloatArray = looks.embeddings[row]
        return embedding
