"""The gallery as a service, for `sightd faces` and the API; models are loaded when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import FloatArray, Frame, Mode, PluginService, ServiceContext, Storage
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import Search
from sightd.plugins.face.gallery.enrol import MIN_QUALITY, AnyPhoto, Enroller, Enrolment, Photo, main_face, resemblance
from sightd.plugins.face.gallery.file import GalleryError, default_gallery
from sightd.plugins.face.gallery.gallery import Gallery, Person, keep_versions_apart, plain
from sightd.plugins.face.gallery.sightings import Sightings, UnknownStore
from sightd.plugins.face.matching.calibration import Calibration, Refinement, calibration_of, refinement
from sightd.plugins.face.matching.matcher import Matcher
from sightd.plugins.face.matching.unknown import UnknownPerson

_PHOTO_SIZE = 1024
"""Longest side in pixels in which photos are searched for faces: there is time for it, and portraits are large."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two photos compared: their cosine similarity, the threshold for it, and the share of strangers who are as similar
    (FMR)."""

    similarity: float
    threshold: float
    strangers: float

    @property
    def same(self) -> bool:
        return self.similarity >= self.threshold


class FaceService(PluginService):
    """Gallery operations, for any thread. `close` closes the gallery and the models."""

    def __init__(
        self,
        gallery: Gallery,
        config: FaceConfig,
        calibration: Calibration,
        load_analyser: Callable[[ExitStack], FaceAnalyser],
    ) -> None:
        """Takes ownership of the gallery. `load_analyser` leaves on the stack whatever must be closed in the end."""
        self.gallery = gallery
        keep_versions_apart(gallery, config.recogniser)
        self.unknown = UnknownStore(gallery, config.recogniser)
        self.sightings = Sightings(gallery)
        self._config, self._calibration = config, calibration
        self._load_analyser = load_analyser
        self._analyser: FaceAnalyser | None = None
        self._networks = ExitStack()
        self._closed = False
        self._loading = threading.Lock()
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
            min_quality=max(self._config.min_quality, MIN_QUALITY),
            crops=self._config.crops,
        )
        return enroller.enrol(name, photos, anyway=anyway)

    def name_unknown(self, number: int, name: str, *, anyway: bool = False) -> Person:
        """Enrols an unknown person. Raises GalleryError if they look like somebody with another name, unless `anyway`
        is set."""
        enrolled = self.gallery.enrolled(self.model)
        (match,) = Matcher(enrolled).match(self.unknown.find(number).mean[None])
        other = match.person is not None and plain(enrolled.names[match.person]) != plain(name)
        if other and not anyway and (fault := resemblance(match, enrolled.names, self._calibration)):
            raise GalleryError(f"unknown person {number} {fault} Use `anyway` to name them regardless")
        return self.unknown.name(number, name)

    def nearest_unknown(self, number: int, most: int) -> list[tuple[UnknownPerson, float, float]]:
        """Returns at most `most` other unknown persons, most similar first: each with the cosine of their mean to that
        of unknown person `number`, and the share of strangers who are this similar. Raises GalleryError."""
        near = self.unknown.load().nearest(self.unknown.find(number), most)
        return [(other, cosine, self._calibration.fmr(cosine)) for other, cosine in near]

    def forget_unknown(self, numbers: Sequence[int] | None) -> int:
        """Deletes unknown persons (None: all of them) and wipes their data from the file. Returns how many. Raises
        GalleryError, and deletes none, if a number does not exist."""
        if numbers is None:
            numbers = [one.number for one in self.unknown.load().persons]
        else:
            numbers = [self.unknown.find(number).number for number in numbers]
        self.unknown.forget(numbers)
        self.gallery.database.scrub()
        return len(numbers)

    def compare(self, one: Photo, other: Photo) -> Comparison:
        """Compares the main face of each photo. Raises GalleryError if a photo has none, or it is unclear which one
        that is or which way up."""
        first, second = (self._main_embedding(photo) for photo in (one, other))
        similarity = float(first @ second)
        asked = self._calibration.threshold(self._config.false_identification, 1, 1)
        return Comparison(similarity, asked, self._calibration.fmr(similarity))

    def refine(self, *, apply: bool) -> Refinement:
        """Returns the thresholds that the gallery suggests; `apply` puts them into effect."""
        enrolled = self.gallery.enrolled(self.model)
        found = refinement(self._calibration, enrolled.embeddings, enrolled.owners, self._config.false_identification)
        if apply:
            self.gallery.set_shift(self.model, found.shift)
        return found

    def see_again(self) -> tuple[int, int]:
        """Re-embeds the stored crops of persons without an embedding by the current model. Returns how many faces it
        embedded, and how many have no crop."""
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
        """Returns the models, loaded by the first call. Raises GalleryError after `close`."""
        with self._loading:
            with self._lock:
                if self._analyser is not None:
                    return self._analyser
                self._check_open()
            with ExitStack() as networks:
                analyser = self._load_analyser(networks)
                with self._lock:  # `close` does not wait for models that are loading
                    self._check_open()
                    self._analyser, self._networks = analyser, networks.pop_all()
            return analyser

    def storage(self) -> Storage:
        database = self.gallery.database
        return Storage(database.path, database.fault, "gallery", "faces", "faces cannot be enrolled")

    def recover(self) -> str | None:
        return self.gallery.database.recover()

    def close(self) -> None:
        with self._lock:
            self._closed, self._analyser = True, None
            networks, self._networks = self._networks, ExitStack()
        networks.close()
        self.gallery.close()

    def _check_open(self) -> None:
        if self._closed:
            raise GalleryError(f"gallery {self.gallery.database.path} was closed")

    def _main_embedding(self, photo: Photo) -> FloatArray:
        frame = Frame.of(photo.image, still=True)
        looks = self.analyser().photograph(frame)
        if not len(looks):
            raise GalleryError(f"{photo.name}: no face found")
        row = main_face(looks.boxes, (frame.width, frame.height))
        if row is None:
            raise GalleryError(f"{photo.name}: {len(looks)} faces, none of them clearly the main one: crop the photo")
        if not looks.quality.upright[row]:
            raise GalleryError(
                f"{photo.name}: the orientation of the face is ambiguous: rotate the image so that the face is upright"
            )
        embedding: FloatArray = looks.embeddings[row]
        return embedding


def open_face_service(config: FaceConfig, context: ServiceContext, mode: Mode) -> FaceService:
    """Opens or creates the gallery; models are loaded when first needed. Raises GalleryError if that fails."""
    calibration = calibration_of(config.recogniser)
    if calibration is None:
        raise GalleryError(f"the recogniser {config.recogniser!r} has no calibration: use sface")
    key = None if config.key is None else config.key.get_secret_value()
    path = config.gallery or default_gallery(context.environ)
    gallery = Gallery(path, key, may_stand_in=mode is not Mode.WRITE, create=mode is not Mode.READ)

    def load(closing: ExitStack) -> FaceAnalyser:
        detector = Catalog.load().get(config.detector)
        for_photos = replace(detector, input=replace(detector.input, width=_PHOTO_SIZE, height=_PHOTO_SIZE))
        finds = context.load_engine([for_photos])
        closing.callback(finds.close)
        recognises = context.load_engine([config.recogniser])
        closing.callback(recognises.close)
        search = Search(min_score=config.min_score, min_size=0, size=_PHOTO_SIZE)
        analyser = FaceAnalyser.of(finds, recognises, search)
        closing.callback(analyser.close)
        return analyser

    return FaceService(gallery, config, calibration, load)
