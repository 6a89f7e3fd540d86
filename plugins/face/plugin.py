"""The face plug-in: finds, tracks, identifies, draws and redacts faces."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.plugins.activity.scene import is_cut, view_of
from sightd.plugins.api import (
    BoolArray,
    Canvas,
    Context,
    Detections,
    Events,
    EventSpec,
    Faces,
    FloatArray,
    Frame,
    IntArray,
    Mode,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
    Route,
    ServiceContext,
    Tracks,
)
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import DetectedFaces, FaceDetector, Search, face_detector_for, sure
from sightd.plugins.face.embedder import EmbeddedFaces, FaceEmbedder, face_embedder_for
from sightd.plugins.face.events import SPECS, ReportedVisits, SeenFace, tracks_of_faces
from sightd.plugins.face.gallery.file import default_gallery
from sightd.plugins.face.gallery.gallery import Gallery, keep_versions_apart, warn_of_other_models
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.quality import quality_of, size_factor
from sightd.plugins.face.recogniser import FaceSample, Recogniser
from sightd.plugins.face.routes import ROUTES
from sightd.plugins.face.search import FaceSearch
from sightd.plugins.face.service import FaceService, open_face_service
from sightd.plugins.face.tracks import CameraFaces, FaceTracks, TrackIdentity, absolute, relative
from sightd.plugins.face.upright import UprightFaces, upright
from sightd.plugins.face.visits import Keeping, VisitBook

log = logging.getLogger(__name__)

_KNOWN, _UNKNOWN = (110, 220, 120), (190, 190, 190)
"""BGR."""
_REDACTED_MARGIN = (0.25, 0.35)
"""Margin redacted around a face's box, as shares of its width and height: hair and chin are revealing."""
_PERSON = "person"
_MAY_BE = 0.3
"""Least score of a possible face, which is looked at more closely, and redacted: recognisable faces in bad light score
this low."""


def draw_faces(canvas: Canvas, faces: Faces, *, names: bool) -> None:
    """Draws a box around each face, with the name if it is known."""
    for row in range(len(faces)):
        identity = faces.identities[row]
        label = (identity or "") if names else ""
        canvas.box(faces.boxes[row], _KNOWN if identity else _UNKNOWN, label)


def regions_to_redact(
    faces: Faces, whose: Literal["all", "unknown", "known", "none"], undecided: BoolArray, others: FloatArray
) -> FloatArray:
    """Returns the regions to redact, boxes xyxy float32 [n, 4] px, somewhat larger than the faces: the faces selected
    by `whose`, those `undecided` (bool [n]) and unnamed unless `whose` is "none", and all `others` (float32 [m, 4])."""
    known = np.array([identity is not None for identity in faces.identities], np.bool_)
    chosen = {"all": np.ones_like(known), "unknown": ~known, "known": known, "none": np.zeros_like(known)}[whose]
    if whose != "none":
        chosen = chosen | (undecided & ~known)
    boxes = np.concatenate((faces.boxes[chosen], others))
    around = (boxes[:, 2:] - boxes[:, :2]) * np.array(_REDACTED_MARGIN, np.float32)
    wider: FloatArray = np.concatenate((boxes[:, :2] - around, boxes[:, 2:] + around), axis=1).astype(np.float32)
    return wider


class FaceRecogniser(Plugin[FaceConfig]):
    """Detects, recognises and redacts faces.

    Produces `Faces` and `Events`, and `PrivacyMask` if faces are to be hidden.

    Threads: only one `process` call runs at a time; `predict` and `draw` read a camera's state, which is replaced
    whole.
    """

    Config: ClassVar[type[PluginConfig]] = FaceConfig
    produces: ClassVar[frozenset[type]] = frozenset({Faces, PrivacyMask, Events})
    events: ClassVar[tuple[EventSpec, ...]] = SPECS
    routes: ClassVar[Sequence[Route]] = ROUTES

    @classmethod
    def open_service(cls, config: FaceConfig, context: ServiceContext, mode: Mode) -> FaceService:
        return open_face_service(config, context, mode)

    def __init__(self, config: FaceConfig) -> None:
        super().__init__(config)
        self._cameras: dict[str, CameraFaces] = {}
        self._visits: dict[str, ReportedVisits] = {}
        self._turn = threading.Lock()
        self._first_id = 1
        """First id of a new camera: above the ids of all forgotten cameras, because it may be one of them."""
        self._face_detector: FaceDetector | None = None
        self._face_search: FaceSearch | None = None
        self._face_embedder: FaceEmbedder | None = None
        self._gallery: Gallery | None = None
        self._books_gallery: Gallery | None = None
        self._book: VisitBook | None = None
        self._recogniser: Recogniser | None = None

    @property
    def redacts(self) -> bool:
        return self.config.blur != "none"

    def open(self, context: Context) -> None:
        """Opens the gallery and both models."""
        config = self.config
        recogniser = context.engine([config.recogniser])
        calibration = calibration_of(config.recogniser)
        if calibration is None:
            raise PluginError(
                f"recogniser {config.recogniser!r} is not calibrated, so false_identification has no effect: use sface"
            )
        self._face_embedder = face_embedder_for(recogniser)
        search = search_of(config)
        search = replace(search, min_score=min(_MAY_BE, search.min_score))
        if self.redacts:  # also faces too small to be identified
            search = replace(search, min_size=0.0, everywhere=True)
        self._face_detector = face_detector_for(_detector(context, config), search)
        self._face_search = FaceSearch(self._face_detector, search)
        key = None if config.key is None else config.key.get_secret_value()
        self._gallery = Gallery(config.gallery or default_gallery(os.environ), key, may_stand_in=True)
        if fault := self._gallery.database.fault:
            log.error("%s", fault)
        keep_versions_apart(self._gallery, config.recogniser)
        warn_of_other_models(self._gallery, config.recogniser)
        keeping = Keeping(config.unknown, config.max_unknown, config.unknown_retention)
        self._books_gallery = Gallery(
            self._gallery.database.path, key, may_stand_in=True
        )  # a separate connection, so that no frame waits for writes
        self._book = VisitBook(self._books_gallery, config.recogniser, calibration, keeping)
        self._recogniser = Recogniser(self._gallery, self._book, calibration, config)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Runs both models once for the whole batch."""
        assert self._face_search is not None, "process was called before open"
        expected = [self._expected(frame) for frame in frames]
        every = self._face_search.find(frames, [self._people(given) for given in results], expected)
        search = search_of(self.config)
        found = [faces.select(sure(faces, search)) for faces in every]
        with self._turn:
            given = self._recognised(frames, found)
            events = [
                self._events(frame, faces, earlier)
                for frame, (faces, _), earlier in zip(frames, given, results, strict=True)
            ]
            if not self.redacts:
                return [Results(faces, happened) for (faces, _), happened in zip(given, events, strict=True)]
            unsure = [faces.boxes[~sure(faces, search)] for faces in every]
            return [
                Results(faces, happened, PrivacyMask(self._hidden(frame, faces, undecided, others)))
                for frame, (faces, undecided), happened, others in zip(frames, given, events, unsure, strict=True)
            ]

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns the faces at their predicted positions, with their current names."""
        state = self._cameras.get(frame.camera)
        if state is None or state.followed.tracks.size != (frame.width, frame.height):
            return Results()
        boxes, scores, numbers = state.followed.predicted(frame.captured_at)
        shown = [row for row, number in enumerate(numbers.tolist()) if number in state.known]
        known = [state.known[int(numbers[row])] for row in shown]
        landmarks = np.array([absolute(one.landmarks, boxes[row]) for one, row in zip(known, shown, strict=True)])
        found = DetectedFaces(boxes[shown], scores[shown], landmarks.reshape(-1, 5, 2).astype(np.float32))
        return Results(self._faces(found, numbers[shown], known, None))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        faces = results.get(Faces)
        if faces is not None:
            draw_faces(canvas, faces, names=self.config.names)

    def forget(self, camera: str) -> None:
        with self._turn:
            if self._face_search is not None:
                self._face_search.forget(camera)
            state = self._cameras.pop(camera, None)
            if state is not None:
                self._first_id = max(self._first_id, state.followed.next_id)
                self._note_ended(camera, state.known)
            self._visits.pop(camera, None)

    def close(self) -> None:
        for camera in list(self._cameras):
            self.forget(camera)
        with ExitStack() as parts:  # closes every part even if another fails; in reverse order
            for part in (self._gallery, self._books_gallery, self._face_embedder, self._face_detector, self._book):
                if part is not None:
                    parts.callback(part.close)

    def _people(self, results: Results) -> FloatArray | None:
        """Returns the boxes of people; None if no plug-in looked for people."""
        for found in (results.get(Tracks), results.get(Detections)):
            if found is not None and _PERSON in found.labels:
                people: FloatArray = found.boxes[found.class_ids == found.labels.index(_PERSON)]
                return people
        return np.zeros((0, 4), np.float32) if search_of(self.config).only_people else None

    def _expected(self, frame: Frame) -> FloatArray:
        """Returns the boxes of tracked faces at the time of the frame."""
        state = self._cameras.get(frame.camera)
        if frame.still or state is None or state.followed.tracks.size != (frame.width, frame.height):
            return np.zeros((0, 4), np.float32)
        return state.followed.predicted(frame.captured_at)[0]

    def _hidden(self, frame: Frame, faces: Faces, undecided: BoolArray, others: FloatArray) -> FloatArray:
        """Returns the regions to redact: faces selected by identity, possible faces, and faces that were visible a
        moment ago but are not found now."""
        state = self._cameras.get(frame.camera)
        lost = np.zeros((0, 4), np.float32)
        if state is not None and not frame.still:
            boxes, _, numbers = state.followed.predicted(frame.captured_at)
            lost = boxes[~np.isin(numbers, faces.tracks)]
        return regions_to_redact(faces, self.config.blur, undecided, np.concatenate((others, lost)))

    def _recognised(self, frames: Sequence[Frame], found: Sequence[DetectedFaces]) -> list[tuple[Faces, BoolArray]]:
        assert self._recogniser is not None
        self._recogniser.refresh()
        self._cameras = {name: state.kept(self._recogniser.still_there) for name, state in self._cameras.items()}
        followed = [self._followed(frame, faces) for frame, faces in zip(frames, found, strict=True)]
        usable = [(size_factor(faces.landmarks) > 0).tolist() for faces in found]
        wanted = [
            large
            if frame.still
            else state.due(numbers.tolist(), large, frame.captured_at, self.config.recheck, self.config.max_embeddings)
            for frame, large, (state, _, numbers) in zip(frames, usable, followed, strict=True)
        ]
        turned = [self._upright(*one) for one in zip(frames, found, wanted, strict=True)]
        read = self._read(frames, turned, wanted)
        given = []
        for i, frame in enumerate(frames):
            looks = self._looks(turned[i], read[i], wanted[i])
            faces = replace(found[i], landmarks=turned[i].landmarks)
            given.append(self._answer(frame, faces, looks, *followed[i]))
        return given

    def _upright(self, frame: Frame, faces: DetectedFaces, wanted: Sequence[bool]) -> UprightFaces:
        assert self._face_detector is not None
        return upright(self._face_detector, frame, faces, wanted)

    def _followed(self, frame: Frame, faces: DetectedFaces) -> tuple[CameraFaces, FaceTracks, IntArray]:
        """Returns the state before this frame, the tracks after it, and the track id of each face. A scene cut ends all
        tracks: a face at the place of another one is somebody else."""
        size = (frame.width, frame.height)
        state = self._cameras.get(frame.camera) or CameraFaces(FaceTracks.new(size, self._first_id))
        if frame.still:
            return state, state.followed, np.full(len(faces), -1, np.int64)
        view = view_of(frame)
        if not state.followed.fits(size, frame.captured_at) or is_cut(state.view, view):
            self._note_ended(frame.camera, state.known)
            state = CameraFaces(state.followed.without_tracks(size))
        return replace(state, view=view), *state.followed.seen(faces, frame.captured_at)

    def _read(
        self, frames: Sequence[Frame], found: Sequence[UprightFaces], wanted: Sequence[Sequence[bool]]
    ) -> list[EmbeddedFaces]:
        """Computes the crops of all faces and the embeddings of the wanted ones, for the whole batch at once."""
        assert self._face_embedder is not None
        faces = [(frame, points) for frame, of in zip(frames, found, strict=True) for points in of.landmarks]
        read = self._face_embedder.read(faces, [one for of_frame in wanted for one in of_frame])
        ends = np.cumsum([len(of.known) for of in found])[:-1].tolist()
        crops, embeddings = np.split(read.crops, ends), np.split(read.embeddings, ends)
        return [EmbeddedFaces(*parts) for parts in zip(crops, embeddings, strict=True)]

    def _looks(self, faces: UprightFaces, read: EmbeddedFaces, wanted: Sequence[bool]) -> list[FaceSample]:
        quality = quality_of(read.crops, faces)
        return [
            FaceSample(float(quality.totals[row]), read.embeddings[row] if wanted[row] else None, read.crops[row])
            for row in range(len(faces.known))
        ]

    def _answer(
        self,
        frame: Frame,
        found: DetectedFaces,
        looks: Sequence[FaceSample],
        state: CameraFaces,
        followed: FaceTracks,
        numbers: IntArray,
    ) -> tuple[Faces, BoolArray]:
        """Returns the faces, and a mask of those not yet decided to be known or unknown, bool [n]."""
        assert self._recogniser is not None
        if frame.still:
            known = self._recogniser.of_photograph(looks)
        else:
            before = [state.known.get(number) for number in numbers.tolist()]
            known = self._recogniser.seen(before, looks, frame.captured_at, frame.wall_time)
            known = [
                replace(one, landmarks=relative(found.landmarks[row], found.boxes[row]))
                for row, one in enumerate(known)
            ]
            known = [self._recogniser.noted_early(frame.camera, one) for one in known]
            changed = {number: one for number, one in zip(numbers.tolist(), known, strict=True) if number >= 0}
            self._cameras[frame.camera], gone = state.with_known(followed, changed)
            self._note_ended(frame.camera, gone)
        undecided = np.array(
            [not self._recogniser.decided(*one, still=frame.still) for one in zip(known, looks, strict=True)], np.bool_
        )
        return self._faces(found, numbers, known, looks), undecided

    def _faces(
        self,
        found: DetectedFaces,
        numbers: IntArray,
        known: Sequence[TrackIdentity],
        looks: Sequence[FaceSample] | None,
    ) -> Faces:
        assert self._recogniser is not None
        verdicts = [one.verdict for one in known]
        return Faces(
            found.boxes,
            found.scores,
            found.landmarks,
            np.array([one.quality for one in known], np.float32),
            numbers,
            tuple(self._recogniser.name_of(verdict.person) for verdict in verdicts),
            np.array([verdict.similarity for verdict in verdicts], np.float32),
            np.array([verdict.margin for verdict in verdicts], np.float32),
            tuple(verdict.reason for verdict in verdicts),
            self._recogniser.embeddings(looks, len(found)),
        )

    def _note_ended(self, camera: str, known: Mapping[int, TrackIdentity]) -> None:
        if self._recogniser is not None:
            visits = self._visits.get(camera, ReportedVisits())
            for number, one in known.items():
                visits = visits.with_ended(number, self._recogniser.note(camera, one))
            self._visits[camera] = visits

    def _events(self, frame: Frame, faces: Faces, results: Results) -> Events:
        state = self._cameras.get(frame.camera)
        if frame.still or state is None:
            return Events(())
        assert self._recogniser is not None
        tracks = tracks_of_faces(faces.boxes, results.get(Tracks))
        seen = {
            number: SeenFace(faces.boxes[row], state.known[number], tracks[row])
            for row, number in enumerate(faces.tracks.tolist())
            if number in state.known
        }
        visits = self._visits.get(frame.camera, ReportedVisits())
        name_of = self._recogniser.name_of
        self._visits[frame.camera], events = visits.after(seen, state.known, name_of, frame.wall_time)
        return Events(events)


def search_of(config: FaceConfig) -> Search:
    """Returns the search parameters set by the options."""
    return Search(
        min_score=config.min_score,
        sure_score=config.min_score,
        min_size=config.min_size,
        size=config.size,
        tiles=config.tiles,
        close_ups=config.close_ups,
        only_people=config.within == "people" and config.blur == "none",
    )


def _detector(context: Context, config: FaceConfig) -> Engine:
    """Loads the face detector with the configured input size."""
    catalogue = Catalog.load().models
    choice: str | Model = config.detector
    if config.detector in catalogue:
        model = catalogue[config.detector]
        choice = replace(model, input=replace(model.input, width=config.size, height=config.size))
    return context.engine([choice])
