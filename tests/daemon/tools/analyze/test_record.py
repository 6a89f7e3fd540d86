"""The JSON line that is written for each frame."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightd.daemon.tools.analyze.job import Record
from sightd.daemon.tools.media import Item
from sightd.plugins.api import (
    Classification,
    Detections,
    Event,
    Events,
    Faces,
    Frame,
    JsonOptions,
    JsonValue,
    PrivacyMask,
    Results,
    Tracks,
)

HEADER = ("source", "frame", "pts", "width", "height")
ITEM = Item("clips/a.mp4", Frame.of(np.zeros((48, 64, 3), np.uint8), seq=7, pts=0.28))
FOUND = Detections(
    np.array([[1.26, 2, 30.004, 40], [5, 5, 9, 9]], np.float32),
    np.array([0.9, 0.3], np.float32),
    np.array([2, 0]),
    ("person", "bicycle", "car"),
)
TRACK = Tracks(
    boxes=FOUND.boxes[:1],
    scores=FOUND.scores[:1],
    class_ids=FOUND.class_ids[:1],
    ids=np.array([12]),
    ages=np.ones(1, np.float32),
    velocities=np.zeros((1, 2), np.float32),
    detection=np.array([0]),
    labels=FOUND.labels,
)


def record(item: Item, results: Results, *, embeddings: bool = False) -> dict[str, Any]:
    return dict(Record.of(item, results, JsonOptions(embeddings)).values)


def line(item: Item, results: Results, *, embeddings: bool = False) -> str:
    return Record.of(item, results, JsonOptions(embeddings)).line()


def test_tells_where_the_frame_is_from() -> None:
    assert record(ITEM, Results()) == {
        "source": "clips/a.mp4",
        "frame": 7,
        "pts": 0.28,
        "width": 64,
        "height": 48,
    }


def test_detections_are_in_pixels_of_the_source_with_class_and_score() -> None:
    [first, second] = record(ITEM, Results(FOUND))["detections"]
    assert first == {"box": [1.26, 2.0, 30.0, 40.0], "score": 0.9, "class": "car", "class_id": 2, "track": None}
    assert second["class"] == "person"


def test_a_detection_carries_the_track_that_it_belongs_to() -> None:
    detections = record(ITEM, Results(FOUND, TRACK))["detections"]
    assert [entry["track"] for entry in detections] == [12, None]


def test_no_objects_is_an_empty_list_and_no_detector_is_no_list() -> None:
    assert record(ITEM, Results(Detections.none()))["detections"] == []
    assert "detections" not in record(ITEM, Results())


def classified(tracks: list[int], detection: list[int]) -> Classification:
    n = len(tracks)
    return Classification(
        np.zeros((n, 4), np.float32),
        np.array(tracks),
        np.array(detection),
        np.array([[1, 0]] * n),
        np.array([[0.91, 0.09]] * n, np.float32),
        ("wren", "robin"),
    )


CLASSES = [{"label": "robin", "class_id": 1, "score": 0.91}, {"label": "wren", "class_id": 0, "score": 0.09}]


def test_a_picture_s_classes_are_the_frame_s_and_an_object_s_are_the_detection_s() -> None:
    assert record(ITEM, Results(classified([-1], [-1])))["classification"] == CLASSES
    found = record(ITEM, Results(FOUND, TRACK, classified([12, 13], [1, -1])))
    assert "classification" not in found
    assert "classification" not in found["detections"][0]
    assert found["detections"][1]["classification"] == CLASSES, "a track that was not detected has no place"


FACES = Faces(
    np.array([[10.123, 20, 30, 45], [1, 2, 3, 4]], np.float32),
    np.array([0.93, 0.7], np.float32),
    np.arange(20, dtype=np.float32).reshape(2, 5, 2) + np.float32(0.256),
    np.array([0.8, 0.1], np.float32),
    np.array([4, -1]),
    ("Ada", None),
    np.array([0.71, np.nan], np.float32),
    np.array([0.5, np.nan], np.float32),
    ("similarity 0.71, required: 0.36", "nobody is enrolled"),
    np.array([[0.6, 0.8], [np.nan, np.nan]], np.float32),
)


def test_faces_say_whose_they_are_and_why() -> None:
    first, second = record(ITEM, Results(FACES))["faces"]
    assert first == {
        "box": [10.12, 20.0, 30.0, 45.0],
        "score": 0.93,
        "landmarks": [[0.26, 1.26], [2.26, 3.26], [4.26, 5.26], [6.26, 7.26], [8.26, 9.26]],
        "quality": 0.8,
        "track": 4,
        "identity": "Ada",
        "similarity": 0.71,
        "margin": 0.5,
        "reason": "similarity 0.71, required: 0.36",
    }
    assert (second["identity"], second["track"], second["similarity"], second["margin"]) == (None, None, None, None)


def test_embeddings_are_written_where_they_are_asked_for() -> None:
    first, second = record(ITEM, Results(FACES), embeddings=True)["faces"]
    assert first["embedding"] == [0.6, 0.8]
    assert second["embedding"] is None
    assert "NaN" not in line(ITEM, Results(FACES), embeddings=True)


def test_is_one_line_of_json() -> None:
    text = line(ITEM, Results(FOUND))
    assert "\n" not in text
    assert json.loads(text) == record(ITEM, Results(FOUND))


def test_a_name_that_is_not_utf_8_is_escaped_and_can_be_restored() -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa4.jpg")
    written = line(Item(name, ITEM.frame), Results())
    assert r"caf\udce9 ä.jpg" in written
    assert os.fsencode(json.loads(written)["source"]) == b"caf\xe9 \xc3\xa4.jpg"


@dataclass(frozen=True)
class Queue:
    """A result of a plug-in of somebody else."""

    key: str = "queue"

    def to_json(self, results: Results, options: JsonOptions) -> Mapping[str, JsonValue]:
        return {self.key: {"length": 3, "of": len(results.get(Detections) or ())}, "waiting": True}


def test_a_result_of_any_type_adds_its_own_keys() -> None:
    assert record(ITEM, Results(Queue(), FOUND))["queue"] == {"length": 3, "of": 2}


def test_keys_are_in_one_order_whatever_the_chain_is() -> None:
    whole = classified([-1], [-1])
    mixed = Results(Queue(), Events((Event("queue.long"),)), FACES, whole, FOUND, TRACK)
    expected = [*HEADER, "detections", "classification", "faces", "events", "queue", "waiting"]
    assert list(record(ITEM, mixed)) == expected


def test_events_are_written_with_kind_and_facts() -> None:
    events = record(ITEM, Results(Events((Event("queue.long", {"length": 3}), Event("queue.short")))))["events"]
    assert events == [
        {"kind": "queue.long", "phase": "once", "facts": {"length": 3}},
        {"kind": "queue.short", "phase": "once", "facts": {}},
    ]


def test_a_result_without_a_json_form_adds_nothing() -> None:
    assert list(record(ITEM, Results(PrivacyMask(FOUND.boxes), TRACK))) == list(HEADER)


def test_a_key_that_is_in_use_is_left_out_and_reported() -> None:
    ours = Record.of(ITEM, Results(Queue("frame")), JsonOptions())
    assert (ours.values["frame"], ours.values["waiting"]) == (7, True)
    assert ours.problems == ('the key "frame" of Queue.to_json is left out: it is already used by the frame itself',)
    theirs = Record.of(ITEM, Results(Queue("detections"), FOUND), JsonOptions())
    assert isinstance(theirs.values["detections"], list)
    assert theirs.problems == ('the key "detections" of Queue.to_json is left out: it is already used by Detections',)
