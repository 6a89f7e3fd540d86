"""Photographs with one good face of the right person are accepted; all others are rejected with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.gallery.enrol import MIN_QUALITY, Enroller, Enrolment, Photo, main_face
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.matching.calibration import calibration_of
from tests.support.faces import analyser, photo


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "faces.db")
    yield opened
    opened.close()


def enrolled(gallery: Gallery, name: str, *photos: str | tuple[str, Image], anyway: bool = False) -> Enrolment:
    table = calibration_of("sface")
    assert table is not None
    given = [
        Photo(one, photo(one).copy()) if isinstance(one, str) else Photo(one[0], np.ascontiguousarray(one[1]))
        for one in photos
    ]
    return Enroller(gallery, analyser(), "sface", table, min_quality=MIN_QUALITY).enrol(name, given, anyway=anyway)


def messages_of(enrolment: Enrolment) -> list[str]:
    return [finding.message for finding in enrolment.findings]


def mirrored(name: str) -> tuple[str, Image]:
    return f"mirrored {name}", photo(name)[:, ::-1]


def member(row: int) -> tuple[str, Image]:
    """Returns the name and a crop of one member of the group."""
    boxes = analyser_boxes()
    x1, y1, x2, y2 = boxes[row].astype(int).tolist()
    margin = (x2 - x1) // 3
    return f"member {row}", photo("multi_face.jpg")[
        max(0, y1 - margin) : y2 + margin, max(0, x1 - margin) : x2 + margin
    ]


def analyser_boxes() -> FloatArray:
    return analyser().looks([Frame.of(photo("multi_face.jpg").copy(), still=True)])[0].boxes


def test_one_photograph_suffices_and_more_are_added(gallery: Gallery) -> None:
    first = enrolled(gallery, "Ada", "astronaut.png")
    assert first.person is not None
    assert messages_of(first) == ["enrolled, quality 1.00"]
    second = enrolled(gallery, "ada", mirrored("astronaut.png"))
    assert second.person is not None
    assert second.person.faces == {"sface": 2}
    kept = gallery.faces(second.person)[0]
    assert kept.crop is not None
    assert kept.source == "astronaut.png"


def test_no_face_and_several_are_reported(gallery: Gallery) -> None:
    enrolment = enrolled(gallery, "Ada", "coffee.png", "multi_face.jpg")
    assert enrolment.person is None
    nothing, several = messages_of(enrolment)
    assert nothing.startswith("no face was found")
    assert several == "5 faces, none of them clearly the main one: crop the photo so that it shows one"
    assert not gallery.persons()


def test_a_small_face_in_the_background_does_not_count(gallery: Gallery) -> None:
    large = photo("astronaut.png").copy()
    small = cv2.resize(photo("single_face.jpg")[100:430, 150:420], None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    large[10 : 10 + small.shape[0], 380 : 380 + small.shape[1]] = small
    assert enrolled(gallery, "Ada", ("both", large)).person is not None


def test_the_main_face_of_several_is_enrolled_and_the_answer_says_so(gallery: Gallery) -> None:
    """The other is nearly as large, and at the edge."""
    large = np.full((700, 900, 3), 90, np.uint8)
    main, other = photo("astronaut.png")[:420, 100:420], photo("single_face.jpg", 500)
    large[200 : 200 + main.shape[0], 290 : 290 + main.shape[1]] = main
    large[0:130, 0:130] = cv2.resize(other[:300, 100:400], (130, 130), interpolation=cv2.INTER_AREA)
    enrolment = enrolled(gallery, "Ada", ("both", large))
    assert messages_of(enrolment) == ["enrolled, quality 1.00, the main one of 2 faces"]
    assert enrolment.findings[0].faces == 2
    (face,) = gallery.faces(gallery.person("Ada"))
    (astronaut,) = analyser().looks([Frame.of(photo("astronaut.png").copy(), still=True)])
    assert float(face.embedding @ astronaut.embeddings[0]) > 0.8


@pytest.mark.parametrize(
    ("faces", "main"),
    [
        ([(450, 350, 100)], 0),
        ([(450, 350, 100), (100, 100, 90)], 0),
        ([(100, 100, 90), (450, 350, 100)], 1),
        ([(300, 350, 100), (600, 350, 100)], None),
        ([(430, 350, 100), (560, 350, 90)], None),
        ([(450, 350, 100), (120, 100, 30), (800, 600, 40)], 0),
        ([(50, 50, 100), (450, 350, 40)], 0),
        ([], None),
    ],
)
def test_the_main_face_is_clearly_larger_and_nearer_the_middle(
    faces: list[tuple[int, int, int]], main: int | None
) -> None:
    """Faces by their centre and height, in a photograph of 900 x 700 pixels."""
    boxes = np.array([(x - s / 2, y - s / 2, x + s / 2, y + s / 2) for x, y, s in faces], np.float32).reshape(-1, 4)
    assert main_face(boxes, (900, 700)) == main


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_rotated_photograph_is_enrolled_like_the_upright_one(gallery: Gallery, quarters: int) -> None:
    for name in ("astronaut.png", "obama.jpg", "single_face.jpg"):
        turned = np.ascontiguousarray(np.rot90(photo(name, 700), quarters))
        assert enrolled(gallery, name, (f"turned {name}", turned)).person is not None
        (upright_one,) = analyser().looks([Frame.of(photo(name, 700).copy(), still=True)])
        (face,) = gallery.faces(gallery.person(name))
        assert float(face.embedding @ upright_one.embeddings[0]) > 0.8, name


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_boxes_and_landmarks_of_a_turned_photograph_are_in_its_own_pixels(quarters: int) -> None:
    """Shown small, so that the face is missed unless the photograph is turned."""
    turned = np.ascontiguousarray(np.rot90(photo("astronaut.png", 400), quarters))
    found = analyser().photograph(Frame.of(turned, still=True))
    left, top, right, bottom = found.boxes[0]
    assert (left < found.landmarks[0, :, 0]).all()
    assert (found.landmarks[0, :, 0] < right).all()
    assert (top < found.landmarks[0, :, 1]).all()
    assert (found.landmarks[0, :, 1] < bottom).all()
    eyes, mouth = found.landmarks[0, :2].mean(axis=0), found.landmarks[0, 3:].mean(axis=0)
    down = {1: (1, 0), 2: (0, -1), 3: (-1, 0)}[quarters]  # where the chin is
    assert float((mouth - eyes) @ np.array(down)) > 0.9 * float(np.linalg.norm(mouth - eyes))


def test_what_is_bad_about_a_face_is_reported(gallery: Gallery) -> None:
    image = photo("astronaut.png")
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), 5), np.uint8)
    small = np.asarray(cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)
    first, second = messages_of(enrolled(gallery, "Ada", ("blurred", blurred), ("small", small)))
    assert first == "the face is blurred: use a better photo"
    assert "too small (its eyes are 9 pixels apart, 18 are enough)" in second


def test_somebody_elses_face_is_not_taken_under_another_name(gallery: Gallery) -> None:
    enrolled(gallery, "Ada", "astronaut.png")
    again = enrolled(gallery, "Grace", mirrored("astronaut.png"))
    assert again.person is None
    assert messages_of(again)[0].startswith('looks like "Ada" (0.')
    assert enrolled(gallery, "Grace", mirrored("astronaut.png"), anyway=True).person is not None


def test_the_same_picture_twice_is_no_fault_and_no_second_face(gallery: Gallery) -> None:
    enrolled(gallery, "Ada", "astronaut.png")
    again = enrolled(gallery, "Ada", "astronaut.png")
    assert messages_of(again) == ["is already enrolled"]
    assert gallery.person("Ada").faces == {"sface": 1}


def test_the_picture_of_another_person_among_several_is_found(gallery: Gallery) -> None:
    brighter = np.asarray(cv2.convertScaleAbs(photo("astronaut.png"), alpha=1.2, beta=15), np.uint8)
    enrolment = enrolled(
        gallery, "Ada", "astronaut.png", mirrored("astronaut.png"), ("brighter", brighter), "single_face.jpg"
    )
    assert [finding.taken for finding in enrolment.findings] == [True, True, True, False]
    assert "does not look like the other photos" in messages_of(enrolment)[3]


def test_a_face_unlike_the_enrolled_ones_is_reported(gallery: Gallery) -> None:
    enrolled(gallery, "Ada", "astronaut.png")
    (message,) = messages_of(enrolled(gallery, "Ada", "single_face.jpg"))
    assert message.startswith("does not look like the 1 enrolled (0.")


def test_people_of_a_group_are_each_somebody(gallery: Gallery) -> None:
    for row in range(4):
        assert enrolled(gallery, f"Member {row}", member(row)).person is not None
    assert len(gallery.persons()) == 4
