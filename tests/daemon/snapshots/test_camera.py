"""Which frame an event's snapshot shows."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.snapshots import camera as camera_module
from sightd.daemon.snapshots.store import CLEAN
from sightd.plugins.api import Faces, Frame, Image, Phase, Results, Tracks
from tests.daemon.snapshots.site import Site, event, frame, masked, reference, square, tracks
from tests.support.waiting import eventually

pytestmark = pytest.mark.computing


def test_an_event_gets_the_frame_on_which_it_happened(tmp_path: Path) -> None:
    with Site(tmp_path).start() as site:
        site.analysed(1, tracks(square(50)))
        (pending,) = site.analysed(2, tracks(square(50)), events=[event(2, "zone.dwell")])
        site.analysed(3, tracks(square(90)))
        site.settle(1)
        assert (pending.snapshot, pending.clean_snapshot) == (True, True)
        stored = site.journal.reader.event(1)
        assert stored is not None
        assert stored.for_json()["snapshot"] == "/api/v1/events/1/snapshot.jpg"
        assert stored.for_json()["clean_snapshot"] == "/api/v1/events/1/clean.jpg"
        assert site.files() == ["1-clean.jpg", "1.jpg"]
        assert site.frame_of(1) == 2
        assert len(site.counts.sizes) == 1
        assert site.counts.size == sum(site.counts.sizes)


def test_only_the_annotated_snapshot_has_boxes(tmp_path: Path) -> None:
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(100)), events=[event(0, "zone.dwell")])
        site.settle(1)
        assert float(site.picture(1).std()) > 5
        assert float(site.picture(1, CLEAN).std()) < 1


def test_kinds_that_are_not_selected_get_none(tmp_path: Path) -> None:
    with Site(tmp_path).start() as site:
        (pending,) = site.analysed(1, events=[event(1, "line.crossed")])
        site.settle(1)
        assert (pending.snapshot, pending.listener) == (False, None)
        assert site.files() == []
        assert site.counts.drops == []


def test_the_end_gets_the_best_frame_since_the_beginning_which_keeps_its_own(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    ended = event(30, "line.left", Phase.ENDED, reference(began))  # of a kind that is not selected itself
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(40)), events=[began])
        site.analysed(10, tracks(square(80)))
        site.analysed(20, tracks(square(60)))
        site.analysed(30, tracks(square(20)), events=[ended])
        site.settle(2)
        assert site.frame_of(1) == 0
        assert site.frame_of(2) == 10
        stored = site.journal.reader.event(2)
        assert stored is not None
        assert (stored.began, stored.snapshot) == (1, True)


def test_the_score_counts_as_much_as_the_size_and_predicted_boxes_do_not_count(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(50), score=0.4), events=[began])
        site.analysed(8, tracks(square(200), detected=False))
        site.analysed(16, tracks(square(50), score=0.9))
        site.analysed(24, tracks(square(55), score=0.4))
        site.analysed(30, events=[event(30, "zone.left", Phase.ENDED, reference(began))])
        site.settle(2)
        assert site.frame_of(2) == 16


def test_a_frame_that_is_hardly_better_or_follows_at_once_is_not_drawn(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(50)), events=[began])
        site.analysed(2, tracks(square(90)))
        site.analysed(10, tracks(square(53)))
        site.analysed(12, events=[event(12, "zone.left", Phase.ENDED, reference(began))])
        site.settle(2)
        assert site.frame_of(2) == 0


def test_an_end_whose_beginning_is_unknown_gets_its_own_frame(tmp_path: Path) -> None:
    ended = event(3, "zone.left", Phase.ENDED, reference(event(0, "zone.entered")))
    with Site(tmp_path).start() as site:
        site.analysed(3, tracks(square(50)), events=[ended])
        site.settle(1)
        assert site.frame_of(1) == 3


def faces(side: float, quality: float) -> Faces:
    """Returns face track 7, and another one that is seen better."""
    boxes = np.array([square(side), (0, 0, 90, 90)], np.float32)
    return Faces(
        boxes + np.float32(0.3),
        np.ones(2, np.float32),
        np.zeros((2, 5, 2), np.float32),
        np.array([quality, 1.0], np.float32),
        np.array([7, 8]),
        (None, None),
        np.zeros(2, np.float32),
        np.zeros(2, np.float32),
        ("", ""),
        np.zeros((2, 4), np.float32),
    )


def test_a_face_that_an_event_names_by_its_box_is_followed_by_size_and_quality(tmp_path: Path) -> None:
    facts = {"track": 1, "box": [100, 100, 140, 140]}
    began = PendingEvent("face.unknown", frame(0).wall_time, "gate", "face", facts, None, Phase.BEGAN)
    ended = PendingEvent("face.unknown", frame(30).wall_time, "gate", "face", {}, reference(began), Phase.ENDED)
    body = tracks(square(100))
    with Site(tmp_path, kinds=["face.*"]).start() as site:
        site.analysed(0, body, faces(40, 0.5), events=[began])
        site.analysed(10, body, faces(40, 0.9))
        with site.camera.of_frame(frame(20), Results(body, faces(99, 1.0)), {Tracks}, events=False):
            pass  # the face is predicted
        site.analysed(25, tracks(square(200)), faces(45, 0.3))
        site.analysed(30, events=[ended])
        site.settle(2)
        assert (site.frame_of(1), site.frame_of(2)) == (0, 10)


def test_an_event_of_another_time_does_not_get_the_frame_of_the_moment(tmp_path: Path) -> None:
    with Site(tmp_path).start() as site:
        assert not site.analysed(9, events=[event(8, "zone.dwell")])[0].snapshot


def test_a_replaced_candidate_is_freed(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(40)), events=[began])
        for number in (10, 20):
            site.analysed(number, tracks(square(3 * number)))
        site.analysed(30, tracks(square(9)), events=[event(30, "zone.left", Phase.ENDED, reference(began))])
        site.settle(2)
        eventually(lambda: site.writer.used == 0, 10, "nothing is left in memory")


def test_a_frame_that_is_larger_than_the_memory_is_taken_if_there_is_no_other(tmp_path: Path) -> None:
    with Site(tmp_path, most_memory=1000) as site:
        found = [site.analysed(n, events=[event(n, "zone.dwell")])[0].snapshot for n in range(2)]
        assert found == [True, False]


def test_a_frame_is_decoded_only_if_it_becomes_a_snapshot(tmp_path: Path) -> None:
    decoded: list[int] = []

    def lazy(number: int) -> Frame:
        def decode() -> Image:
            decoded.append(number)
            return np.zeros((240, 320, 3), np.uint8)

        at = number / 10
        return Frame("gate", number, (320, 240), decode, captured_at=at, wall_time=frame(number).wall_time)

    with Site(tmp_path).start() as site:
        for number in range(20):
            with site.of_frame(lazy(number), tracks(square(40)), events=number in (0, 5)):
                site.recorded(*([event(0, "zone.entered", Phase.BEGAN)] if number == 0 else []))
                site.recorded(*([event(5, "line.crossed")] if number == 5 else []))
        site.settle(2)
        assert decoded == [0]


def test_an_event_that_is_ended_without_a_frame_gets_the_best_one_and_others_get_none(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        site.analysed(0, tracks(square(40)), events=[began])
        site.analysed(10, tracks(square(80)))
        ended, other = site.recorded(
            event(11, "zone.entered", Phase.ENDED, reference(began)), event(11, "zone.dwell", Phase.ONCE)
        )
        site.settle(3)
        assert (ended.snapshot, other.snapshot) == (True, False)
        assert site.frame_of(2) == 10


def test_a_frame_whose_redaction_is_not_certain_becomes_no_snapshot(tmp_path: Path) -> None:
    with Site(tmp_path).start() as site:
        site.pipeline.redacts = True
        first, second = masked((0, 0, 320, 240)), masked((float("nan"), 0, 9, 9))
        for number, found in enumerate(([], [first], [second], [masked((40, 40, 80, 80), (-1, -1, 400, 300))])):
            (pending,) = site.analysed(number, *found, events=[event(number, "zone.dwell")])
            assert (pending.snapshot, pending.clean_snapshot) == (False, False)
        site.analysed(5, masked((40, 40, 80, 80)), events=[event(5, "zone.dwell")])
        site.settle(5)
        assert site.counts.drops == ["redaction"] * 4
        assert site.files() == ["5-clean.jpg", "5.jpg"]


def test_an_unredacted_frame_does_not_become_the_best_one(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        site.pipeline.redacts = True
        site.analysed(0, tracks(square(40)), masked(), events=[began])
        site.analysed(10, tracks(square(90)))
        site.analysed(20, masked(), events=[event(20, "zone.left", Phase.ENDED, reference(began))])
        site.settle(2)
        assert site.frame_of(2) == 0


def test_events_that_never_end_hold_a_bounded_number_of_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "MOST_OPEN", 2)
    with Site(tmp_path).start() as site:
        for n in range(5):
            site.analysed(n, tracks(square(40)), events=[event(n, "zone.entered", Phase.BEGAN)])
        site.settle(5)
        kept = sum(path.stat().st_size for path in site.folder.glob("gate/[45]*"))
        eventually(lambda: site.writer.used == kept, 10, "only those of the newest are in memory")
        site.camera.close()
        assert site.writer.used == 0


def test_what_has_no_room_in_memory_is_dropped_and_counted(tmp_path: Path) -> None:
    size = 320 * 240 * 3
    with Site(tmp_path, most_memory=2 * size) as site:
        found = [site.analysed(n, events=[event(n, "zone.dwell")])[0].snapshot for n in range(4)]
        assert found == [True, True, False, False]
        assert site.counts.drops == ["busy", "busy"]
        site.start().settle(4)
        assert site.files() == ["1-clean.jpg", "1.jpg", "2-clean.jpg", "2.jpg"]
        assert site.writer.used == 0
        assert site.analysed(5, events=[event(5, "zone.dwell")])[0].snapshot


def test_a_frame_is_let_go_once_it_is_drawn_although_its_event_goes_on(tmp_path: Path) -> None:
    began = event(0, "zone.entered", Phase.BEGAN)
    with Site(tmp_path).start() as site:
        one = frame(0)
        with site.of_frame(one, tracks(square(40))):
            site.recorded(began)
        image = weakref.ref(one.host())
        del one
        site.settle(1)
        gc.collect()
        assert image() is None
        assert site.writer.used == site.counts.sizes[0]


def test_trails_show_the_way_before_the_frame(tmp_path: Path) -> None:
    with Site(
        tmp_path, render=Render(status=False, boxes=False, labels=False, ids=False, scores=False)
    ).start() as site:
        for n in range(10):
            site.analysed(n, tracks((20 * n, 100, 20 * n + 40, 180)))
        site.analysed(10, tracks((200, 100, 240, 180)), events=[event(10, "zone.dwell")])
        site.settle(1)
        drawn = abs(site.picture(1).astype(int) - site.picture(1, CLEAN)).max(axis=2) > 20
        assert drawn[170:190, 60:200].any(axis=0).mean() > 0.9
        assert not drawn[:160].any()
