"""Photographs with one good face of the right person are accepted; all others are rejected with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.plugins.api import FloatArray, Frame, Image
from sightd.plugins.face.gallery.enrol import MIN_QUALITY, Enroller, Enrolment, Photo
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
