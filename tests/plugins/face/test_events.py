"""Who is reported as seen: once per visit, with its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import Event, EventRef, Events, Frame, JsonValue, Phase, Results, Tracks
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.face.events import ReportedVisits, SeenFace, tracks_of_faces
from sightd.plugins.face.plugin import FaceRecogniser
from sightd.plugins.face.tracks import NOT_SAMPLED, TrackIdentity
from tests.plugins.face.test_plugin import gallery, opened, video

__all__ = ["gallery", "opened"]

FACTS = {spec.kind: set(spec.facts or ()) for spec in FaceRecogniser.events}
NAMES = {1: "Ada", 2: "Bob"}
BOX = np.array([10.2, 20, 29.8, 50], np.float32)
RECOGNISED: dict[str, JsonValue] = {"person": "Ada", "score": 0.7, "box": [10, 20, 30, 50]}
UNKNOWN: dict[str, JsonValue] = {"box": [10, 20, 30, 50]}


def identity(person: int | None, *, recorded: bool = False, last_seen: float = 100.0) -> TrackIdentity:
    verdict = replace(NOT_SAMPLED, person=person, similarity=0.7)
    landmarks = np.zeros((5, 2), np.float32)
    return TrackIdentity(0.9, landmarks, 100.0, last_seen, verdict=verdict, recorded=recorded)


NOBODY, ADA, BOB, STRANGER = identity(None), identity(1), identity(2), identity(None, recorded=True)


class Visited:
    """The visits of a camera, with a frame each second from 100 s on."""

    def __init__(self) -> None:
        self.visits, self.at = ReportedVisits(), 99.0

    def see(self, known: Mapping[int, TrackIdentity], lost: Mapping[int, TrackIdentity] | None = None) -> list[Event]:
        """Shows faces by number; those that are `lost` are still tracked, and not in sight."""
        self.at += 1
        known = {number: replace(one, last_seen=self.at) for number, one in known.items()}
        seen = {number: SeenFace(BOX, one) for number, one in known.items()}
        self.visits, events = self.visits.after(seen, {**known, **(lost or {})}, NAMES.get, self.at)
        assert all(event.facts.keys() <= FACTS[event.kind] for event in events), "facts are declared"
        return list(events)


def test_a_person_is_reported_once_per_visit_with_its_end() -> None:
    hall = Visited()
    assert not hall.see({7: NOBODY}), "not identified yet"
    assert hall.see({7: ADA}) == [Event("face.recognised", RECOGNISED, phase=Phase.BEGAN)]
    ref = EventRef("face.recognised", 101.0, RECOGNISED)
    assert [hall.see(known) for known in ({7: ADA}, {7: NOBODY}, {7: STRANGER}, {7: ADA})] == [[]] * 4
    assert not hall.see({}, lost={7: ADA})
    [end] = hall.see({})
    assert end == Event("face.recognised", {"person": "Ada", "score": 0.7, "seconds": 5.0}, ref, Phase.ENDED)
    assert not hall.see({})


def test_an_unknown_person_is_reported_once_it_is_recorded() -> None:
    hall = Visited()
    assert not hall.see({7: NOBODY})
    assert hall.see({7: STRANGER}) == [Event("face.unknown", UNKNOWN, phase=Phase.BEGAN)]
    assert not hall.see({7: STRANGER})
    [end] = hall.see({})
    assert end == Event("face.unknown", {"seconds": 2.0}, EventRef("face.unknown", 101.0, UNKNOWN), Phase.ENDED)


@pytest.mark.parametrize(("first", "kind"), [(STRANGER, "face.unknown"), (BOB, "face.recognised")])
def test_who_turns_out_to_be_somebody_else_is_reported_again(first: TrackIdentity, kind: str) -> None:
    hall = Visited()
    hall.see({7: first})
    found = hall.see({7: ADA})
    assert [(one.kind, one.phase) for one in found] == [(kind, Phase.ENDED), ("face.recognised", Phase.BEGAN)]
    assert [one.phase for one in hall.see({})] == [Phase.ENDED]


def test_an_unknown_person_whose_visit_is_short_is_reported_when_it_is_over() -> None:
    hall = Visited()
    hall.visits = hall.visits.with_ended(7, replace(STRANGER, last_seen=102.5)).with_ended(8, NOBODY)
    hall.visits = hall.visits.with_ended(9, identity(1, recorded=True))
    assert hall.see({}) == [Event("face.unknown", {"seconds": 2.5})]
    assert not hall.see({})


def test_many_faces_are_reported_over_several_frames() -> None:
    hall, crowd = Visited(), dict.fromkeys(range(20), ADA)
    assert [len(hall.see(crowd)) for _ in range(3)] == [16, 4, 0]
    found = [hall.see({}) for _ in range(3)]
    assert [len(events) for events in found] == [16, 4, 0]
    hall.see(dict.fromkeys(range(30, 40), ADA))
    both = hall.see(dict.fromkeys(range(40, 50), ADA))
    assert [one.phase for one in both] == [Phase.ENDED] * 10 + [Phase.BEGAN] * 6, "16 per frame, ends first"
    assert [one.about.at for events in found for one in events if one.about] == [100.0] * 16 + [101.0] * 4


def test_a_face_has_the_track_of_the_person_whose_head_it_can_be() -> None:
    none = np.zeros((2, 2), np.float32)
    ones, boxes = np.ones(2, np.float32), np.array([[0, 0, 60, 90], [0, 0, 60, 90]], np.float32)
    tracks = Tracks(boxes, ones, np.array([1, 0]), np.array([4, 5]), ones, none, np.zeros(2, np.int64), ("person", "x"))
    assert tracks_of_faces(np.array([BOX, BOX + 90], np.float32), tracks) == [5, None]
    assert tracks_of_faces(BOX[None], None) == tracks_of_faces(BOX[None], Tracks.none()) == [None]


def test_on_a_film_the_enrolled_person_has_one_visit(opened: Any, gallery: Path) -> None:
    plugin: FaceRecogniser = opened(gallery=gallery)
    film = list(video("single_face.mp4", 30, every=3))
    image = np.zeros_like(film[0].host())
    gone = Frame.of(image, camera="hall", seq=100, captured_at=104.5, wall_time=1.7e9 + 104.5)
    declared, found = Declarations.of(FaceRecogniser), list[tuple[float, Event]]()
    for frame in [*film, gone]:
        [results] = plugin.process([frame], [Results()])
        found += [(frame.wall_time, event) for event in declared.events(results)]
    [(at, began), (_, ended)] = found
    assert (began.kind, began.phase, began.facts["person"]) == ("face.recognised", Phase.BEGAN, "Tom")
    assert set(began.facts) == {"person", "score", "box"}, "no embedding, and no track without a tracker"
    assert (ended.phase, ended.about) == (Phase.ENDED, EventRef("face.recognised", at, began.facts))
    plugin.forget("hall")
    assert not plugin._visits
    assert Events not in plugin.predict(film[0], Results())
