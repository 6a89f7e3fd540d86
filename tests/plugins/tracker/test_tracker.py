"""The tracker as the daemon uses it: IDs, gaps, prediction, memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.engines.geometry import iou
from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import Detections, Frame, Keypoints, Masks, OrientedBoxes, Results, Tracks
from sightd.plugins.testing import check_plugin
from sightd.plugins.tracker import Tracker, TrackerConfig
from tests.plugins.activity.test_scene import picture
from tests.support.moving_world import LABELS, SIZE, box, detections, frame


def tracker(**options: object) -> Tracker:
    return Tracker(TrackerConfig.model_validate(options))


def look(
    one: Tracker, at: float, found: Detections | None, camera: str = "camera", size: tuple[int, int] = SIZE
) -> Tracks:
    given = Results() if found is None else Results(found)
    return one.process([frame(0, at, camera, size)], [given])[0].get(Tracks) or Tracks.none()


def predicted(one: Tracker, at: float) -> Tracks:
    return one.predict(frame(0, at), Results()).get(Tracks) or Tracks.none()


def walk(one: Tracker, until: float, speed: float = 100, interval: float = 0.1) -> None:
    """Lets one person walk right from x = 200 at t = 0, seen at each interval before `until`."""
    for index in range(round(until / interval)):
        look(one, index * interval, detections([box(200 + speed * index * interval, 300)]))


def test_the_conformance_kit_finds_no_fault() -> None:
    report = check_plugin(Tracker)
    assert report.ok, report


def test_the_first_frame_s_objects_have_ids_at_once_later_ones_when_seen_again() -> None:
    one = tracker()
    assert look(one, 0.0, detections([box(200, 300)])).ids.tolist() == [1]
    both = detections([box(200, 300), box(600, 300)])
    assert look(one, 0.1, both).ids.tolist() == [1]
    assert look(one, 0.2, both).ids.tolist() == [1, 2]


@pytest.mark.parametrize(("fps", "shown_on"), [(25, 2), (10, 2), (5, 2), (2, 1), (1, 1), (0.5, 1), (0.1, 1)])
def test_a_new_object_is_shown_when_seen_twice_or_at_once_if_frames_are_rare(fps: float, shown_on: int) -> None:
    one = tracker()
    for index in range(3):
        look(one, index / fps, detections([]))
    seen = [len(look(one, (3 + index) / fps, detections([box(200, 300)], [0.94]))) for index in range(3)]
    assert seen.index(1) + 1 == shown_on
    assert len(look(one, 6 / fps, detections([box(200, 300), box(700, 300)], [0.94, 0.3]))) == 1, "a doubtful one"


def test_a_walker_is_shown_on_each_frame_of_one_a_second() -> None:
    """A person who moves by more than their own size counts as a new object each time, but is still shown."""
    one = tracker()
    look(one, 0.0, detections([]))
    assert [len(look(one, at, detections([box(100 + 150 * at, 300)]))) for at in (1.0, 2.04, 3.0, 4.01)] == [1] * 4


def test_one_late_frame_is_no_low_frame_rate() -> None:
    one = tracker()
    for index in range(10):
        look(one, index * 0.04, detections([]))
    assert len(look(one, 1.0, detections([box(200, 300)]))) == 0
    assert len(look(one, 1.04, detections([box(200, 300)]))) == 1


def test_confirm_within_is_how_long_a_new_object_may_take_to_be_shown() -> None:
    one = tracker(min_hits=5, confirm_within="1s")
    for index in range(3):
        look(one, index / 2, detections([]))
    assert [len(look(one, (3 + index) / 2, detections([box(200, 300)]))) for index in range(4)] == [0, 0, 1, 1]


def test_boxes_stay_between_frames_that_are_analysed_once_a_second() -> None:
    one = tracker()
    for second in range(3):
        look(one, 1.04 * second, detections([box(200, 300)]))
    assert [len(predicted(one, 2.08 + 0.04 * index)) for index in range(26)] == [1] * 26


def test_a_track_names_its_row_of_the_detections() -> None:
    one = tracker()
    look(one, 0.0, detections([box(200, 300), box(600, 300), box(900, 300)]))
    tracks = look(one, 0.1, detections([box(900, 300), box(100, 600), box(200, 300), box(600, 300)]))
    assert dict(zip(tracks.ids.tolist(), tracks.detection.tolist(), strict=True)) == {1: 2, 2: 3, 3: 0}


def carried(found: Detections) -> Detections:
    return replace(found, carried=np.ones(len(found), np.bool_))


HERE = detections([box(200, 300)], [0.95])


def test_carried_detections_neither_start_nor_confirm_a_track() -> None:
    one = tracker()
    assert len(look(one, 0.0, carried(HERE))) == 0
    look(one, 0.2, HERE)
    assert [len(look(one, 0.4 + 0.2 * n, carried(HERE))) for n in range(25)] == [0] * 25
    assert look(one, 5.4, HERE).ids.tolist() == [1], "kept since, and seen twice by now"


def test_a_carried_detection_keeps_a_track_alive_without_being_its_detection() -> None:
    one = tracker()
    look(one, 0.0, HERE)
    for n in range(1, 300):
        tracks = look(one, 0.2 * n, carried(HERE))
        assert tracks.ids.tolist() == [1]
        assert (tracks.detection.tolist(), tracks.carried.tolist()) == ([-1], [0])
        assert iou(tracks.boxes, HERE.boxes)[0, 0] > 0.9
    assert look(one, 60, HERE).ids.tolist() == [1]
    assert [len(look(one, at, detections([]))) for at in (60.2, 60.9)] == [1, 0]


def test_carried_detections_change_neither_score_nor_visibility_of_a_track() -> None:
    one = tracker()
    doubtful = detections([box(200, 300)], [0.62])
    for n in range(5):
        look(one, 0.2 * n, doubtful)
    for n in range(5, 50):
        tracks = look(one, 0.2 * n, carried(HERE))
        assert tracks.scores == pytest.approx([0.62])


def test_a_found_object_takes_its_track_from_a_carried_one() -> None:
    one = tracker()
    look(one, 0.0, HERE)
    both = detections([box(202, 300), box(200, 300)], [0.5, 0.95])
    tracks = look(one, 0.2, replace(both, carried=np.array([False, True])))
    assert (tracks.detection.tolist(), tracks.carried.tolist()) == ([0], [-1])


def test_a_walker_who_is_only_carried_comes_to_a_halt() -> None:
    one = tracker()
    walk(one, 2.0)
    for n in range(60):
        there = detections([box(390 + 100 * min(0.1 * (n + 1), 1), 300)])
        tracks = look(one, 2.0 + 0.1 * n, carried(there))
        assert tracks.ids.tolist() == [1]
    assert iou(tracks.boxes, there.boxes)[0, 0] > 0.5
    assert abs(tracks.velocities[0, 0]) < 2


def test_people_who_cross_keep_their_ids() -> None:
    one = tracker()
    for index in range(40):
        at = index * 0.1
        left, right = box(200 + 150 * at, 300 + 5 * at), box(800 - 150 * at, 340 - 5 * at, 70, 170)
        tracks = look(one, at, detections([left, right]))
    places = dict(zip(tracks.ids.tolist(), tracks.boxes[:, 0].tolist(), strict=True))
    assert places[1] > places[2]
    assert set(places) == {1, 2}


def test_an_object_hidden_for_less_than_max_lost_keeps_its_id() -> None:
    one = tracker(max_lost="1s")
    walk(one, until=1.0)
    for index in range(10, 18):
        look(one, index * 0.1, detections([]))
    assert look(one, 1.8, detections([box(380, 300)])).ids.tolist() == [1]


def test_an_object_hidden_for_longer_gets_a_new_id() -> None:
    one = tracker(max_lost="1s", min_hits=1)
    walk(one, until=1.0)
    look(one, 2.5, detections([]))
    assert look(one, 2.6, detections([box(290, 300)])).ids.tolist() == [2]


def test_an_object_that_stopped_while_hidden_is_found_where_it_was() -> None:
    one = tracker()
    walk(one, until=1.0, speed=300)
    for index in range(10, 17):
        look(one, index * 0.1, detections([]))
    assert look(one, 1.7, detections([box(470, 300)])).ids.tolist() == [1]


def test_a_lost_object_is_shown_where_it_should_be_for_show_lost() -> None:
    one = tracker(show_lost="300ms")
    walk(one, until=1.0)
    shown = look(one, 1.1, detections([]))
    assert shown.detection.tolist() == [-1]
    assert abs(shown.boxes[0, [0, 2]].mean() - 310) < 8
    assert len(look(one, 1.3, detections([]))) == 0


def test_a_doubtful_detection_keeps_a_track_and_begins_none() -> None:
    one = tracker()
    look(one, 0.0, detections([box(200, 300)]))
    for index in range(1, 20):
        doubtful = detections([box(200, 300), box(700, 300)], scores=[0.2, 0.2])
        tracks = look(one, index * 0.1, doubtful)
    assert tracks.ids.tolist() == [1]
    assert tracks.detection.tolist() == [0]
    np.testing.assert_allclose(tracks.scores, [0.2])


def test_a_track_keeps_its_class_unless_configured_otherwise() -> None:
    for match, ids in ((True, [1, 2]), (False, [1])):
        one = tracker(match_classes=match, min_hits=1)
        look(one, 0.0, detections([box(200, 300)], class_ids=[0]))
        tracks = look(one, 0.1, detections([box(200, 300)], class_ids=[1]))
        assert tracks.ids.tolist() == ids
        assert tracks.labels == LABELS


def test_a_fast_object_is_held_at_five_frames_a_second() -> None:
    """It moves by its own width between frames."""
    one = tracker()
    for index in range(10):
        tracks = look(one, index * 0.2, detections([box(100 + 80 * index, 300, 80, 60)]))
    assert tracks.ids.tolist() == [1]
    assert abs(tracks.velocities[0, 0] - 400) < 30


@pytest.mark.parametrize("every", [1, 2, 4])
def test_boxes_between_analysed_frames_lie_on_the_object(every: int) -> None:
    one = tracker()
    ids = set()
    for index in range(100):
        at = index / 25
        truth = box(150 + 120 * at, 300 + 40 * np.sin(2 * at))
        found = look(one, at, detections([truth])) if index % every == 0 else predicted(one, at)
        ids.update(found.ids.tolist())
        if index > 25:
            assert iou(np.array([truth]), found.boxes.astype(np.float64))[0, 0] >= 0.7
    assert ids == {1}


def test_predictions_stop_at_max_prediction() -> None:
    one = tracker(max_prediction="500ms")
    walk(one, until=1.0)
    assert len(predicted(one, 1.3)) == 1
    assert Tracks not in one.predict(frame(0, 1.5), Results())


def test_a_prediction_has_no_effect_on_what_follows() -> None:
    plain, asked = tracker(), tracker()
    for index in range(20):
        found = detections([box(200 + 10 * index, 300)])
        expected = look(plain, index * 0.1, found)
        got = look(asked, index * 0.1, found)
        np.testing.assert_array_equal(got.boxes, expected.boxes)
        for ahead in (0.5, 0.05, -0.05):
            predicted(asked, index * 0.1 + ahead)


def test_a_frame_whose_detector_failed_is_predicted() -> None:
    one = tracker()
    walk(one, until=1.0)
    tracks = look(one, 1.0, None)
    assert tracks.ids.tolist() == [1]
    assert tracks.detection.tolist() == [-1]


def test_a_frame_that_is_not_later_than_the_last_does_no_harm() -> None:
    one = tracker()
    walk(one, until=1.0)
    for at in (0.9, 0.9, 0.85):
        tracks = look(one, at, detections([box(290, 300)]))
        assert tracks.ids.tolist() == [1]
        assert np.isfinite(tracks.boxes).all()


def test_a_clock_set_back_or_a_frame_of_another_size_starts_over_with_new_ids() -> None:
    one = tracker()
    walk(one, until=5.0)
    assert look(one, 0.0, detections([box(200, 300)])).ids.tolist() == [2]
    assert look(one, 0.1, detections([box(200, 300)]), size=(800, 600)).ids.tolist() == [3]


def test_objects_seen_before_an_outage_are_not_those_seen_after_it() -> None:
    one = tracker()
    walk(one, until=1.0, speed=0)
    assert look(one, 4.0, detections([box(200, 300)])).ids.tolist() == [1]
    assert look(one, 64.0, detections([box(200, 300)])).ids.tolist() == [2]


def test_a_forgotten_camera_starts_over_and_gives_no_id_twice() -> None:
    one = tracker()
    walk(one, until=1.0)
    one.forget("camera")
    assert Tracks not in one.predict(frame(0, 1.0), Results())
    assert look(one, 1.0, detections([box(290, 300)])).ids.tolist() == [2]


def test_cameras_do_not_mix() -> None:
    one = tracker()
    look(one, 0.0, detections([box(200, 300), box(600, 300)]), "one")
    assert look(one, 0.0, detections([box(200, 300)]), "two").ids.tolist() == [1]


def test_no_more_than_max_tracks_are_followed_the_surest_first() -> None:
    one = tracker(max_tracks=2)
    crowd = detections([box(100 + 200 * place, 300) for place in range(4)], scores=[0.6, 0.9, 0.7, 0.8])
    np.testing.assert_allclose(look(one, 0.0, crowd).scores, [0.9, 0.8])


def test_nonsense_from_a_detector_does_not_stay() -> None:
    one = tracker()
    look(one, 0.0, detections([[np.nan, 0, 10, 10], [5, 5, np.inf, 9], box(200, 300)], scores=[0.9, 0.9, 0.9]))
    tracks = look(one, 0.1, detections([[30, 30, 30, 30], box(200, 300)]))
    assert tracks.ids.tolist() == [1]
    assert tracks.detection.tolist() == [1]


coordinate = st.floats(-50, 1400, width=32)
anything = st.lists(
    st.tuples(coordinate, coordinate, coordinate, coordinate, st.floats(0, 1, width=32), st.integers(0, 1)), max_size=8
)
steps = st.lists(st.tuples(st.floats(-2, 2) | st.floats(5.01, 9), anything, st.booleans()), max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_for_any_input_ids_are_new_tracks_bounded_and_boxes_in_the_frame(
    story: list[tuple[float, list[tuple[float, float, float, float, float, int]], bool]],
) -> None:
    one, now, analysed_at = tracker(max_tracks=5), 100.0, 100.0
    ended: set[int] = set()
    last: set[int] = set()
    for wait, rows, forget in story:
        now += wait
        if forget:
            one.forget("camera")
        corners = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _, _ in rows]
        tracks = look(one, now, detections(corners, [row[4] for row in rows], [row[5] for row in rows]))
        ids = set(tracks.ids.tolist())
        assert len(tracks) == len(ids) <= 5
        assert (tracks.boxes >= 0).all()
        assert (tracks.boxes[:, 2:] <= SIZE).all()
        # A track that was forgotten, or ended before an outage or a clock set back, never comes back.
        begun_anew = forget or not -1.5 <= now - analysed_at <= 5
        analysed_at = now if begun_anew else max(analysed_at, now)
        ended |= last if begun_anew else set()
        assert not ids & ended
        last = ids


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(5)), st.integers(-20, 20))
def test_neither_order_nor_place_of_the_detections_matters(order: list[int], shift: int) -> None:
    """Except for IDs, which follow the order in which new objects appear."""
    plain, other = tracker(), tracker()
    for index in range(8):
        boxes = np.array([box(150 + 220 * place + 12 * index, 320 + 6 * index) for place in range(5)])
        expected = look(plain, index * 0.1, detections(boxes)).boxes + shift
        found = look(other, index * 0.1, detections(boxes[order] + shift)).boxes
        np.testing.assert_allclose(found[np.argsort(found[:, 0])], expected, atol=0.01)


def test_a_second_box_beside_an_object_does_not_take_it_over() -> None:
    """A coarse detector draws two boxes of one walker on some frames; then the box jumps to the place of the other."""
    one = tracker()
    for index in range(40):
        x = 200 + 8 * index
        boxes, scores = [box(x, 300)], [0.9]
        if index % 8 == 6:
            boxes, scores = [box(x - 12, 300), box(x + 32, 300)], [0.6, 0.75]
        if index % 8 == 7:
            boxes, scores = [box(x + 24, 300)], [0.9]
        tracks = look(one, index * 0.1, detections(boxes, scores))
        assert tracks.ids.tolist() == [1]


def test_a_second_object_beside_one_is_shown_within_half_a_second() -> None:
    one = tracker()
    for index in range(10):
        look(one, index * 0.1, detections([box(200, 300)]))
    shown = [len(look(one, 1 + index * 0.1, detections([box(200, 300), box(232, 300)]))) for index in range(6)]
    assert shown == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(("match_classes", "shown"), [(True, [1, 2, 2, 2, 2]), (False, [1, 1, 1, 2, 2])])
def test_an_object_of_another_class_is_no_second_box_of_the_one_beside_it(
    match_classes: bool, shown: list[int]
) -> None:
    """For example a bicycle and its rider."""
    one = tracker(match_classes=match_classes)
    for index in range(10):
        look(one, index * 0.1, detections([box(200, 300)]))
    both = detections([box(200, 300), box(232, 300)], class_ids=[0, 1])
    assert [len(look(one, 1 + index * 0.1, both)) for index in range(5)] == shown


def test_clutter_is_not_shown_and_a_doubtful_object_is_once_it_has_moved() -> None:
    """A sign gets scores about 0.55 on three of four frames; so does someone far away, who walks."""
    one = tracker()
    look(one, 0.0, detections([]))
    shown = []
    for index in range(1, 40):
        boxes = [box(700, 300), box(200 + 6 * index, 300)]
        seen = boxes if index % 4 else boxes[1:]
        shown.append(look(one, index * 0.1, detections(seen, [0.55] * len(seen))))
    assert all((tracks.boxes[:, 0] < 600).all() for tracks in shown)
    assert [len(tracks) for tracks in shown[-20:]] == [1] * 20


def shown_at_last(one: Tracker, score: float, reliable_score: float) -> int:
    """Returns how many objects are shown of one that does not move and is always detected with `score`."""
    look(one, 0.0, detections([]))
    found = replace(detections([box(200, 300)], [score]), reliable_score=reliable_score)
    return [len(look(one, 0.1 * index, found)) for index in range(1, 20)][-1]


@pytest.mark.parametrize(
    ("options", "reliable", "shown"),
    [
        ({}, 0.5, 0),
        ({}, 0.4, 1),
        ({"high_score": 0.5}, 0.4, 0),
        ({"high_score": 0.4}, 0.5, 1),
        ({"low_score": 0.5}, 0.4, 0),
    ],
)
def test_a_doubtful_object_that_does_not_move_is_shown_if_its_detector_is_reliable_at_that_score(
    options: dict[str, float], reliable: float, shown: int
) -> None:
    """`high_score`, if set, wins; `low_score` is its minimum."""
    assert shown_at_last(tracker(**options), 0.55, reliable) == shown


def test_an_object_seen_clearly_once_stays_though_it_is_doubtful_from_then_on() -> None:
    one = tracker()
    for index in range(40):
        tracks = look(one, index * 0.1, detections([box(200, 300)], [0.9 if index < 5 else 0.3]))
    assert tracks.ids.tolist() == [1]


def test_a_track_has_the_class_of_most_of_its_scores_if_classes_do_not_matter() -> None:
    one = tracker(match_classes=False)
    classes = []
    for index, (score, class_id) in enumerate([(0.6, 0), (0.9, 1), (0.8, 1), (0.5, 0), (0.9, 1), (0.6, 0)]):
        tracks = look(one, index * 0.1, detections([box(200, 300)], [score], [class_id]))
        assert tracks.ids.tolist() == [1]
        classes += tracks.class_ids.tolist()
    assert classes == [0, 1, 1, 1, 1, 1]


def shot(at: float, scene: int, camera_x: float = 0) -> Frame:
    """Returns a frame of a camera that looks at `scene`, from `camera_x` px further right."""
    wide = np.roll(picture(scene, (2000, 720)), -round(camera_x), axis=1)[:, : SIZE[0]]
    return Frame.of(np.ascontiguousarray(wide), captured_at=at, wall_time=at)


def panned(one: Tracker, step: int = 60) -> list[Tracks]:
    """Lets the camera pan by `step` px per frame past two people who stand, looking at 5 frames a second."""
    tracks = []
    for index in range(720 // step):
        boxes = [box(900 - step * index, 300), box(1100 - step * index, 320)]
        image = shot(index * 0.2, 1, step * index)
        tracks.append(one.process([image], [Results(detections(boxes))])[0].get(Tracks) or Tracks.none())
    return tracks


def test_people_keep_their_ids_and_boxes_while_the_camera_pans() -> None:
    one = tracker()
    tracks = panned(one)
    assert {tuple(found.ids.tolist()) for found in tracks} == {(1, 2)}
    np.testing.assert_allclose(tracks[-1].velocities, [[-300, 0], [-300, 0]], atol=25)
    between = one.predict(shot(2.3, 1, 690), Results()).get(Tracks)
    assert between is not None
    np.testing.assert_allclose(between.boxes[:, [0, 2]].mean(axis=1), [210, 410], atol=8)


def test_a_fast_pan_costs_ids_only_if_the_image_is_not_used() -> None:
    """Nobody overlaps with their own place on the frame before."""
    with_image, without = (
        {one for found in panned(tracker(use_image=use), step=180) for one in found.ids.tolist()}
        for use in (True, False)
    )
    assert with_image == {1, 2} < without


def test_a_scene_cut_ends_all_tracks_and_shows_no_old_box_in_the_new_scene() -> None:
    one = tracker()
    for index in range(5):
        one.process([shot(index * 0.1, 1)], [Results(detections([box(200, 300)]))])
    assert len(one.predict(shot(0.45, 1), Results()).get(Tracks) or ()) == 1
    unseen = one.predict(shot(0.45, 2), Results()).get(Tracks)
    assert unseen is not None, "the detections of the old scene are not drawn instead"
    assert len(unseen) == 0, "before the new scene was analysed"
    after = one.process([shot(0.5, 2)], [Results(detections([box(210, 300)]))])[0].get(Tracks)
    assert after is not None
    assert after.ids.tolist() == [2], "shown at once, and not taken for the object of the old scene"


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"low_score": 0.6}, None),
        ({"low_score": 0.6, "high_score": 0.5}, ("low_score",)),
        ({"high_score": 0.05}, ("high_score",)),
        ({"show_lost": "2s"}, ("show_lost",)),
        ({"max_lost": "100ms"}, None),
    ],
)
def test_options_in_the_wrong_order_are_refused(options: dict[str, Any], path: tuple[str] | None) -> None:
    problems = TrackerConfig.model_validate(options).problems(Catalog.load())
    assert [problem.path for problem in problems] == ([] if path is None else [path])


def shaped(*boxes: tuple[float, float, float, float], masks: bool = True) -> Results:
    """Returns detections of which each covers the left half of its box, and has one point in its middle."""
    found = detections([np.array(one) for one in boxes])
    crops = tuple(np.array([[True, False]]) if masks else np.zeros((0, 0), np.bool_) for _ in boxes)
    middles = ((found.boxes[:, None, :2] + found.boxes[:, None, 2:]) / 2).astype(np.float32)
    points = Keypoints(middles, np.full((len(boxes), 1), 0.8, np.float32), ("middle",))
    return Results(found, Masks(found.boxes, crops, SIZE), points)


def test_masks_and_keypoints_move_with_the_track() -> None:
    one = tracker()
    for step in range(5):
        (result,) = one.process([frame(0, step / 10)], [shaped((100 + 20 * step, 100, 180 + 20 * step, 300))])
    seen = result.get(Tracks)
    assert seen is not None
    for tracks in (seen, predicted(one, 0.5), predicted(one, 0.7)):
        assert tracks.masks is not None
        assert tracks.keypoints is not None
        np.testing.assert_array_equal(tracks.masks.boxes, tracks.boxes)
        assert tracks.masks.crops[0].tolist() == [[True, False]]
        middle = (tracks.boxes[0, :2] + tracks.boxes[0, 2:]) / 2
        np.testing.assert_allclose(tracks.keypoints.points[0, 0], middle, atol=1e-3)
    assert predicted(one, 0.7).boxes[0, 0] > seen.boxes[0, 0] + 20


def test_a_track_keeps_its_shape_while_its_object_is_out_of_sight_or_found_without() -> None:
    one = tracker()
    box = (100, 100, 180, 300)
    for step in range(3):
        one.process([frame(0, step / 10)], [shaped(box)])
    for step, results in ((3, shaped(box, masks=False)), (4, shaped())):
        (result,) = one.process([frame(0, step / 10)], [results])
        tracks = result.get(Tracks)
        assert tracks is not None
        assert len(tracks) == 1
        assert tracks.masks is not None
        assert tracks.masks.crops[0].tolist() == [[True, False]]
        assert tracks.keypoints is not None
        assert tracks.keypoints.scores[0, 0] == pytest.approx(0.8)


def test_oriented_boxes_move_with_the_track_and_stay_while_the_object_is_out_of_sight() -> None:
    one = tracker()
    for step in range(5):
        found = detections([np.array((100 + 20 * step, 100, 180 + 20 * step, 300))] if step < 4 else [])
        x1, y1, x2, y2 = found.boxes.T
        diamond = np.stack(((x1, (y1 + y2) / 2), ((x1 + x2) / 2, y1), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2)))
        turned = OrientedBoxes(diamond.transpose(2, 0, 1).astype(np.float32))
        (result,) = one.process([frame(0, step / 10)], [Results(found, turned)])
    lost = result.get(Tracks)
    assert lost is not None
    for tracks in (lost, predicted(one, 0.5)):
        assert len(tracks) == 1
        assert tracks.oriented is not None
        left, top, right, bottom = tracks.boxes[0].tolist()
        middle = (left + right) / 2, (top + bottom) / 2
        expected = [(left, middle[1]), (middle[0], top), (right, middle[1]), (middle[0], bottom)]
        np.testing.assert_allclose(tracks.oriented.corners[0], expected, atol=1e-3)


def test_tracks_of_a_detector_without_shapes_have_none() -> None:
    tracks = look(tracker(), 0.0, detections([box(200, 300)]))
    assert (tracks.masks, tracks.keypoints, tracks.oriented) == (None, None, None)
