"""On real videos: an enrolled person is named and stays named, nobody else is, and redacted faces cannot be matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from sightd.daemon.capture.picture import to_bgr
from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import Detections, Faces, Frame, Image, PluginError, PrivacyMask, Results
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.enrol import MIN_QUALITY, Enroller, Photo
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Sightings, UnknownStore
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.plugin import FaceRecogniser
from tests.plugins.face.gallery.faces import face
from tests.support import media
from tests.support.faces import analyser, engine, photo
from tests.support.opening import opening
from tests.support.waiting import eventually


class Context:
    """Returns the engines that the tests share."""

    name = "face"

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        (wanted,) = choice
        return engine(wanted if isinstance(wanted, str) else wanted.name)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A gallery with one person from the videos, enrolled from one photograph."""
    path = tmp_path / "faces.db"
    enrol(path, "Tom", "single_face.jpg")
    return path


def enrol(path: Path, name: str, *photos: str) -> None:
    opened, table = Gallery(path), calibration_of("sface")
    assert table is not None
    enrolment = Enroller(opened, analyser(), "sface", table, min_quality=MIN_QUALITY).enrol(
        name, [Photo(one, photo(one).copy()) for one in photos]
    )
    assert enrolment.person is not None, enrolment.findings
    opened.close()


@pytest.fixture
def opened() -> Iterator[Any]:
    with opening(lambda options: FaceRecogniser(FaceConfig.model_validate(options)), Context()) as make:
        yield make


def video(name: str, count: int = 1000, camera: str = "hall", start: float = 100.0, every: int = 1) -> Iterator[Frame]:
    """Yields every n-th of the first `count` frames of a film, as if it had 25 frames per second."""
    with av.open(str(media.path(name))) as container:
        for n, picture in enumerate(container.decode(video=0)):
            if n == count:
                return
            if n % every:
                continue
            at = start + n / 25
            yield Frame.of(to_bgr(picture), camera=camera, seq=n, captured_at=at, wall_time=1.7e9 + at)


def seen(plugin: FaceRecogniser, frames: Iterator[Frame], given: Results | None = None) -> list[Faces]:
    found = []
    for frame in frames:
        faces = plugin.process([frame], [given or Results()])[0].get(Faces)
        assert faces is not None
        found.append(faces)
    return found


LONG_FILMS = ("face_noface.mov", "noface_face.mov")


@pytest.mark.parametrize(
    "name", ["single_face.mp4", *(pytest.param(one, marks=pytest.mark.slow) for one in LONG_FILMS)]
)
def test_the_enrolled_person_is_named_and_stays_named(name: str, opened: Any, gallery: Path) -> None:
    """On 95 % of the frames in which the face is good enough, with one photograph enrolled."""
    found = seen(opened(gallery=gallery), video(name))
    good = [faces.identities[0] for faces in found if len(faces) and faces.qualities[0] >= 0.5]
    assert len(good) > 50
    assert good.count("Tom") / len(good) >= 0.95
    assert set(good) <= {"Tom", None}
    assert None not in good[good.index("Tom") :], "a name that was given stays"


def test_nobody_is_named_where_nobody_is(opened: Any, gallery: Path) -> None:
    assert sum(map(len, seen(opened(gallery=gallery), video("no_face.mp4", 40)))) == 0


def test_a_stranger_gets_no_name(opened: Any, tmp_path: Path) -> None:
    enrol(tmp_path / "faces.db", "Astronaut", "astronaut.png")
    found = seen(opened(gallery=tmp_path / "faces.db"), video("single_face.mp4", 40))
    assert {identity for faces in found for identity in faces.identities} == {None}
    assert "nobody is similar enough" in found[-1].reasons[0]


def test_frames_between_carry_the_name_where_the_face_should_be(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    frames = list(video("single_face.mp4", 12))
    seen(plugin, iter(frames[:10]))
    predicted = plugin.predict(frames[11], Results()).get(Faces)
    truth = seen(plugin, iter(frames[11:]))[0]
    assert predicted is not None
    assert predicted.identities == ("Tom",)
    np.testing.assert_allclose(predicted.boxes, truth.boxes, atol=12)
    np.testing.assert_allclose(predicted.landmarks, truth.landmarks, atol=12)
    assert plugin.predict(next(video("single_face.mp4", 1, camera="other")), Results()).get(Faces) is None


def test_a_face_at_the_same_place_in_another_scene_is_another_one(opened: Any, gallery: Path) -> None:
    """A film that cuts from one close-up to the next: no name is carried over to the next person."""
    plugin = opened(gallery=gallery)
    *frames, last = video("single_face.mp4", 12)
    before = seen(plugin, iter(frames))[-1]
    cut = elsewhere(last, before)
    (after,) = seen(plugin, iter([cut]))
    np.testing.assert_allclose(after.boxes, before.boxes, atol=20)
    assert after.tracks[0] > before.tracks[0]
    assert plugin.predict(cut, Results()).get(Faces).tracks.tolist() == after.tracks.tolist()


def elsewhere(frame: Frame, faces: Faces) -> Frame:
    """Returns the frame with only the face left, in front of another background."""
    x1, y1, x2, y2 = faces.boxes[0].round().astype(int).tolist()
    face_only = (slice(max(y1, 0), y2), slice(max(x1, 0), x2))
    patches = np.random.default_rng(4).integers(0, 255, (9, 16, 3), np.uint8)
    image = np.asarray(cv2.resize(patches, (frame.width, frame.height), interpolation=cv2.INTER_NEAREST), np.uint8)
    image[face_only] = frame.host()[face_only]
    return Frame.of(image, camera=frame.camera, seq=frame.seq, captured_at=frame.captured_at, wall_time=frame.wall_time)


def test_the_gallery_may_change_while_it_runs(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    assert seen(plugin, video("single_face.mp4", 5))[-1].identities == ("Tom",)
    other = Gallery(gallery)
    other.rename("Tom", "Thomas")
    eventually(lambda: seen(plugin, video("single_face.mp4", 2, start=101.0))[-1].identities == ("Thomas",), 3)
    other.forget("Thomas")
    eventually(lambda: seen(plugin, video("single_face.mp4", 2, start=102.0))[-1].identities == (None,), 3)
    other.close()


def test_photographs_are_each_judged_for_themselves(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    photos = [
        Frame.of(photo(name).copy(), seq=n, still=True) for n, name in enumerate(("single_face.jpg", "astronaut.png"))
    ]
    (first,), (second,) = ([faces.identities[0] for faces in seen(plugin, iter([one]))] for one in photos)
    assert (first, second) == ("Tom", None)
    group = seen(plugin, iter([Frame.of(photo("multi_face.jpg").copy(), still=True)]))[0]
    assert group.identities == (None,) * 5
    assert (group.tracks == -1).all()


def upside_down(image: Image) -> Image:
    return np.ascontiguousarray(image[::-1, ::-1])


def test_a_person_upside_down_is_named_as_well(opened: Any, gallery: Path) -> None:
    frames = (
        Frame.of(upside_down(one.host()), camera="hall", seq=one.seq, captured_at=one.captured_at)
        for one in video("single_face.mp4", 40)
    )
    found = seen(opened(gallery=gallery), frames)
    named = [faces.identities[0] for faces in found if len(faces)]
    assert set(named) <= {"Tom", None}
    assert "Tom" in named
    assert None not in named[named.index("Tom") :]


@pytest.mark.parametrize("still", [True, False])
def test_nobody_gets_the_name_of_one_who_was_enrolled_upside_down(still: bool, opened: Any, tmp_path: Path) -> None:
    other, table = Gallery(tmp_path / "faces.db"), calibration_of("sface")
    assert table is not None
    enroller = Enroller(other, analyser(), "sface", table, min_quality=MIN_QUALITY)
    enroller.enrol("Joe", [Photo("biden.jpg", upside_down(photo("biden.jpg")))])
    other.close()
    plugin = opened(gallery=tmp_path / "faces.db")
    for number, name in enumerate(("obama3.jpg", "obama.jpg", "single_face.jpg", "astronaut.png", "biden.jpg")):
        image = upside_down(photo(name, 900))
        camera = f"camera of {name}"
        frames = (Frame.of(image, camera=camera, seq=n, captured_at=100 + n, still=still) for n in range(4))
        faces = seen(plugin, frames)[-1]
        assert faces.identities == (("Joe",) if name == "biden.jpg" else (None,)), number


def test_faces_are_looked_for_in_people_alone_where_that_is_asked(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery, within="people")
    frame = next(video("single_face.mp4", 1))
    person = Detections(
        np.array([[100, 20, 500, 700]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
    )
    assert len(seen(plugin, iter([frame]), Results(person))[0]) == 1
    assert len(seen(plugin, iter([frame]), Results(Detections.none(("person",))))[0]) == 0
    assert len(seen(plugin, iter([frame]))[0]) == 0


def test_who_came_by_is_kept_with_the_reason(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    seen(plugin, video("single_face.mp4", every=5))
    plugin.close()
    book = Gallery(gallery)
    (sighting,) = Sightings(book).latest()
    assert (sighting.camera, sighting.person) == ("hall", book.person("Tom").id)
    assert sighting.similarity is not None
    assert sighting.similarity > 0.6
    assert sighting.reason.startswith("similarity 0.")
    assert sighting.last_seen - sighting.first_seen == pytest.approx(70 / 25, abs=0.1)
    book.close()


def test_an_unknown_person_can_be_named_afterwards(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    plugin = opened(gallery=path)
    seen(plugin, video("single_face.mp4", every=5))
    plugin.forget("hall")
    seen(plugin, video("single_face.mp4", start=200.0, every=5))
    plugin.close()
    book = Gallery(path)
    store = UnknownStore(book, "sface")
    (unknown,) = store.load().persons
    assert unknown.visits == 2
    assert store.crop(unknown.number) is not None
    store.name(unknown.number, "Tom")
    book.close()
    found = seen(opened(gallery=path), video("single_face.mp4", 10))
    assert found[-1].identities == ("Tom",)


def test_one_noted_while_unknown_who_gets_a_name_was_never_unknown(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    plugin = opened(gallery=path)
    for n in range(3):  # a jump back in time would start the video over, so time continues, three times as long
        seen(plugin, video("single_face.mp4", 60, start=100.0 + 2.4 * n, every=5))
    book = Gallery(path)
    eventually(lambda: len(list(Sightings(book).latest())) == 1, 5)
    enrol(path, "Tom", "single_face.jpg")
    plugin._recogniser._asked_at = float("-inf")
    assert seen(plugin, video("single_face.mp4", 60, start=107.2, every=5))[-1].identities == ("Tom",)
    plugin.close()
    (sighting,) = Sightings(book).latest()
    assert sighting.person == book.person("Tom").id
    assert sighting.last_seen - sighting.first_seen > 9
    assert not UnknownStore(book, "sface").load().persons
    book.close()


def test_of_one_who_is_forgotten_while_they_are_there_nothing_is_kept(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    seen(plugin, video("single_face.mp4", 60, every=5))
    book = Gallery(gallery)
    book.forget("Tom")
    plugin._recogniser._asked_at = float("-inf")
    black = Frame.of(np.zeros((720, 1280, 3), np.uint8), camera="hall", captured_at=102.5, wall_time=1.7e9 + 102.5)
    seen(plugin, iter([black]))
    plugin.close()
    assert not UnknownStore(book, "sface").load().persons
    assert not list(Sightings(book).latest())
    book.close()


def test_a_gallery_that_is_damaged_while_it_runs_is_told_and_names_stay(
    opened: Any, gallery: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = opened(gallery=gallery)
    seen(plugin, video("single_face.mp4", 10))
    book = Gallery(gallery)
    with book.database.changing() as run:
        run.execute("UPDATE embeddings SET vector = X'0000'")
    for n in range(2):
        plugin._recogniser._asked_at = float("-inf")
        assert seen(plugin, video("single_face.mp4", 10, start=100.4 * (n + 1) - 100 * n))[-1].identities == ("Tom",)
    assert caplog.text.count("the enrolled faces were not reloaded") == 1
    book.close()


def test_nothing_is_kept_of_strangers_where_that_is_switched_off(opened: Any, tmp_path: Path) -> None:
    plugin = opened(gallery=tmp_path / "faces.db", unknown=False, crops=False)
    seen(plugin, video("single_face.mp4", every=5))
    plugin.close()
    book = Gallery(tmp_path / "faces.db")
    assert not UnknownStore(book, "sface").load().persons
    assert not list(Sightings(book).latest())
    book.close()


@pytest.mark.parametrize(("whose", "redacts"), [("all", True), ("known", True), ("unknown", False), ("none", False)])
def test_faces_are_hidden_by_who_they_are(whose: str, redacts: bool, opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery, blur=whose)
    assert plugin.redacts == (whose != "none")
    results = [plugin.process([frame], [Results()])[0] for frame in video("single_face.mp4", 4)]
    hidden = results[-1].get(PrivacyMask)
    assert (hidden is not None) == (whose != "none")
    assert (hidden is not None and len(hidden.boxes) == 1) == redacts


def boxes_hidden(plugin: FaceRecogniser, frame: Frame, given: Results | None = None) -> int:
    hidden = plugin.process([frame], [given or Results()])[0].get(PrivacyMask)
    assert hidden is not None
    return len(hidden.boxes)


def test_who_may_be_known_is_hidden_until_enough_was_seen_of_them(opened: Any, gallery: Path, tmp_path: Path) -> None:
    known = opened(gallery=gallery, blur="known")
    hidden = {boxes_hidden(known, frame) for frame in video("single_face.mp4", 20, every=2)}
    assert hidden == {1}, "from the first frame on"
    stranger = opened(gallery=tmp_path / "empty.db", blur="known")
    seen_of_stranger = [boxes_hidden(stranger, frame) for frame in video("single_face.mp4", every=3)]
    assert seen_of_stranger[0] == 1
    assert seen_of_stranger[-1] == 0


def test_what_may_be_a_face_is_hidden_though_it_is_too_small_to_be_told_whose(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery, blur="all")
    small = cv2.resize(photo("single_face.jpg"), None, fx=0.03, fy=0.03, interpolation=cv2.INTER_AREA)
    canvas = np.full((360, 640, 3), 90, np.uint8)
    canvas[100 : 100 + small.shape[0], 200 : 200 + small.shape[1]] = small
    results = plugin.process([Frame.of(canvas, still=True)], [Results()])[0]
    faces, hidden = results.get(Faces), results.get(PrivacyMask)
    assert faces is not None
    assert hidden is not None
    assert (len(faces), len(hidden.boxes)) == (0, 1)


def test_a_face_that_is_missed_on_a_frame_is_hidden_where_it_was(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery, blur="all")
    frames = list(video("single_face.mp4", 6))
    assert [boxes_hidden(plugin, frame) for frame in frames[:5]] == [1] * 5
    missed = Frame.of(np.zeros_like(frames[5].host()), camera="hall", captured_at=frames[5].captured_at)
    assert boxes_hidden(plugin, missed) == 1


def test_where_faces_are_hidden_they_are_looked_for_without_a_detector_too(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery, blur="all", within="people")
    assert boxes_hidden(plugin, next(video("single_face.mp4", 1))) == 1
    assert boxes_hidden(plugin, next(video("single_face.mp4", 1)), Results(Detections.none(("person",)))) == 1


def test_a_name_does_not_outlive_the_last_good_look_for_long(opened: Any, gallery: Path) -> None:
    plugin = opened(gallery=gallery)
    (*_, last) = video("single_face.mp4", 40)
    assert seen(plugin, video("single_face.mp4", 40))[-1].identities == ("Tom",)
    small = cv2.resize(last.host(), None, fx=0.045, fy=0.045, interpolation=cv2.INTER_AREA)
    poor = np.asarray(cv2.resize(small, (last.width, last.height), interpolation=cv2.INTER_CUBIC), np.uint8)
    at = [last.captured_at + n / 10 for n in range(1, 40)]
    found = seen(plugin, (Frame.of(poor.copy(), camera="hall", captured_at=t, wall_time=1.7e9 + t) for t in at))
    assert all(len(faces) == 1 and faces.qualities[0] < 0.25 for faces in found), "found, and not good enough"
    assert {faces.identities[0] for faces in found[22:]} == {None}


def shown(results: Results, image: Image) -> Image:
    """Returns what viewers see, without any overlay."""
    plain = Render(boxes=False, labels=False, scores=False, ids=False, trails=False, status=False)
    return Renderer("a", plain).render(Frame.of(image.copy()), results, fps=None).image.copy()


@pytest.mark.parametrize("name", ["single_face.jpg", "astronaut.png", "multi_face.jpg"])
def test_a_hidden_face_is_not_matched_by_our_own_recogniser(name: str, opened: Any, gallery: Path) -> None:
    """Even if the position is known: uses the landmarks that were found before the redaction."""
    plugin = opened(gallery=gallery, blur="all")
    image, table = photo(name).copy(), calibration_of("sface")
    assert table is not None
    results = plugin.process([Frame.of(image, still=True)], [Results()])[0]
    faces, hidden = results.get(Faces), shown(results, image)
    assert faces is not None
    found = analyser().looks([Frame.of(hidden, still=True)])[0]
    before = analyser().looks([Frame.of(image, still=True)])[0]
    for embedding in found.embeddings:
        assert (before.embeddings @ embedding).max() < table.cosine(1e-3)
    face_embedder = plugin._face_embedder
    told = face_embedder.read(
        [(Frame.of(hidden), points) for points in faces.landmarks], [True] * len(faces)
    ).embeddings
    alike = (told * faces.embeddings).sum(axis=1)
    assert alike.max() < table.cosine(1e-2), alike


def test_options_that_cannot_be_kept_are_told() -> None:
    networks = Catalog.load()
    (problem,) = FaceConfig.model_validate({"blur": "all", "every": 2}).problems(networks)
    assert problem.path == ("every",)
    assert "blur, which needs every frame" in problem.message
    (problem,) = FaceConfig.model_validate({"recogniser": "arcface"}).problems(networks)
    assert problem.path == ("recogniser",)
    (problem,) = FaceConfig.model_validate({"blur": "all", "within": "people"}).problems(networks)
    assert problem.path == ("within",)
    assert not FaceConfig.model_validate({"blur": "all"}).problems(networks)


def test_a_recogniser_that_nothing_is_known_of_is_refused(tmp_path: Path) -> None:
    plugin = FaceRecogniser(FaceConfig(recogniser="yunet", gallery=tmp_path / "faces.db"))
    with pytest.raises(PluginError, match="is not calibrated"):
        plugin.open(Context())
    plugin.close()


def test_other_photographs_of_a_person_are_recognised_and_of_others_are_not(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    enrol(path, "Barack", "obama.jpg")
    enrol(path, "Joe", "biden.jpg")
    plugin = opened(gallery=path)
    for name, person in (("obama2.jpg", "Barack"), ("obama3.jpg", "Barack"), ("astronaut.png", None)):
        found = seen(plugin, iter([Frame.of(photo(name).copy(), still=True)]))[0]
        assert found.identities == (person,), name


def far_away(frame: Frame, factor: float) -> Frame:
    """Returns a 1080p frame that shows the given one small, near its edge."""
    small = cv2.resize(frame.host(), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    wide = np.full((1080, 1920, 3), 90, np.uint8)
    wide[820 : 820 + small.shape[0], 1500 : 1500 + small.shape[1]] = small
    return Frame.of(wide, camera="hall", seq=frame.seq, captured_at=frame.captured_at, wall_time=frame.wall_time)


def test_somebody_far_away_from_a_large_camera_is_found_and_named(opened: Any, gallery: Path) -> None:
    """The face is 23 pixels wide, 8 in the model's input."""
    plain = seen(opened(gallery=gallery, close_ups=0), (far_away(one, 0.15) for one in video("single_face.mp4", 5)))
    assert sum(map(len, plain)) == 0, "too small in the scaled-down frame"
    found = seen(opened(gallery=gallery), (far_away(one, 0.15) for one in video("single_face.mp4")))
    named = [faces.identities[0] if len(faces) else None for faces in found]
    assert "Tom" in named
    assert named[named.index("Tom") :].count("Tom") >= 0.9 * len(named[named.index("Tom") :])


def test_faces_too_small_to_be_recognised_are_found_and_not_embedded(opened: Any, gallery: Path) -> None:
    (frame,) = (far_away(one, 0.06) for one in video("single_face.mp4", 1))
    for still in (True, False):
        one = Frame.of(frame.host(), camera=f"camera {still}", captured_at=1.0, still=still)
        people = Detections(
            np.array([[1510, 815, 1570, 1000]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
        )
        faces = seen(opened(gallery=gallery), iter([one]), Results(people))[0]
        assert len(faces) == 1
        assert np.isnan(faces.embeddings).all()
        assert faces.reasons == ("no look was good enough yet",)


def test_people_enrolled_with_another_recogniser_are_reported(
    opened: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Gallery(tmp_path / "faces.db")
    other.add("Ada", [face(1, model="facenet")])
    other.add("Grace", [face(2)])
    other.close()
    opened(gallery=tmp_path / "faces.db")
    assert "1 people were enrolled with facenet and are not recognised by sface" in caplog.text
    assert "`sightd faces see-again`" in caplog.text
