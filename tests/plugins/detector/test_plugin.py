"""The detector as the daemon uses it, with tiny models that have constant outputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.plugins.activity.result import Activity
from sightd.plugins.api import Detections, Frame, PluginError, Results
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.shaped import Shaped
from sightd.plugins.testing.stubs import BlankCanvas
from tests.support.onnx_models import FileContext, constant_network

SIZE = (64, 32)
PICTURE = np.zeros((64, 128, 3), np.uint8)
"""Twice the model's size, so a model pixel is two image pixels, whether stretched or letterboxed."""


def yolox_rows() -> NDArray[np.float32]:
    """Returns one nut: objectness 0.9, score 0.8 in class 1, at cell (3, 1) of the grid at stride 8: 24 + 4, 8 + 4, 16
    x 8."""
    rows = np.zeros((8 * 4 + 4 * 2 + 2 * 1, 7), np.float32)
    rows[1 * 8 + 3] = [0.5, 0.5, np.log(2), 0, 0.9, 0.1, 0.8]
    return rows


def ssd_rows() -> dict[str, NDArray[np.float32]]:
    """Returns the same nut, as fractions of the model's input, and a weaker duplicate of it."""
    boxes = np.array([[20, 8, 36, 16], [21, 8, 36, 16], [0, 0, 1, 1]], np.float32) / [64, 32, 64, 32]
    return {"boxes": boxes.astype(np.float32), "scores": np.array([[0, 0.72], [0, 0.6], [0, 0]], np.float32)}


def opened(folder: Path, head: str, outputs: Mapping[str, NDArray[np.float32]], **options: Any) -> Detector:
    file = constant_network(folder / "own.onnx", SIZE, outputs)
    own = {"file": str(file), "head": head, "labels": ["bolt", "nut"]}
    detector = Detector(DetectorConfig.model_validate({"model": own, **options}))
    detector.open(FileContext())
    return detector


def frame(camera: str = "door", seq: int = 1, at: float = 10.0, image: NDArray[np.uint8] = PICTURE) -> Frame:
    return Frame.of(image.copy(), camera=camera, seq=seq, captured_at=at)


def analyse(detector: Detector, *frames: Frame) -> list[Detections]:
    found = [result.get(Detections) for result in detector.process(frames, [Results() for _ in frames])]
    return [each for each in found if each is not None]


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return opened(tmp_path, "yolox", {"output": yolox_rows()})


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ("yolox", {"output": yolox_rows()}),
        ("yolox-decoded", {"output": np.array([[28, 12, 16, 8, 0.9, 0.1, 0.8]], np.float32)}),
        ("ssd", ssd_rows()),
        ("ssd", dict(zip(("loc", "conf"), ssd_rows().values(), strict=True))),
    ],
    ids=["yolox", "yolox with decoded boxes", "ssd", "ssd with other names"],
)
def test_a_users_own_file_with_own_labels_works_by_configuration_alone(
    tmp_path: Path, head: str, outputs: dict[str, NDArray[np.float32]]
) -> None:
    (found,) = analyse(opened(tmp_path, head, outputs), frame())
    np.testing.assert_allclose(found.boxes, [[40, 16, 72, 32]], atol=1e-3)
    assert found.scores == pytest.approx([0.72])
    assert [found.labels[i] for i in found.class_ids] == ["nut"]


@pytest.mark.parametrize("look", ["frame", "tiles"])
def test_detections_state_the_reliable_score_of_the_models_head(tmp_path: Path, look: str) -> None:
    transformer = {"logits": np.zeros((1, 2), np.float32), "pred_boxes": np.full((1, 4), 0.5, np.float32)}
    for head, outputs, score in (("yolox", {"output": yolox_rows()}, 0.5), ("detr", transformer, 0.4)):
        assert [one.reliable_score for one in analyse(opened(tmp_path, head, outputs, look=look), frame())] == [score]


def test_a_batch_gives_one_result_a_frame_each_in_its_own_pixels(detector: Detector) -> None:
    small = np.zeros((32, 64, 3), np.uint8)
    one, other = analyse(detector, frame("door"), frame("yard", image=small))
    np.testing.assert_allclose(one.boxes, 2 * other.boxes, atol=1e-3)


def test_carry_repeats_the_cameras_last_word_for_half_a_second(detector: Detector) -> None:
    (found,) = analyse(detector, frame(at=10.0))
    assert detector.predict(frame(seq=2, at=10.5), Results()).get(Detections) is found
    assert len(detector.predict(frame(seq=3, at=10.51), Results())) == 0
    assert len(detector.predict(frame("yard", at=10.0), Results())) == 0


def test_an_older_frame_that_is_done_later_does_not_replace_the_last_word(detector: Detector) -> None:
    (newer,) = analyse(detector, frame(seq=5, at=10.2))
    analyse(detector, frame(seq=4, at=10.1))
    assert detector.predict(frame(seq=6, at=10.3), Results()).get(Detections) is newer


def test_after_forget_there_is_no_last_word(detector: Detector) -> None:
    analyse(detector, frame("door"), frame("yard"))
    detector.forget("door")
    detector.forget("never seen")
    assert len(detector.predict(frame("door", seq=2), Results())) == 0
    assert len(detector.predict(frame("yard", seq=2), Results())) == 1


def test_boxes_of_a_picture_of_another_size_are_not_carried(detector: Detector) -> None:
    analyse(detector, frame())
    small = np.zeros((32, 64, 3), np.uint8)
    assert len(detector.predict(frame(seq=2, image=small), Results())) == 0


def test_several_threads_may_process_at_once(detector: Detector) -> None:
    found: list[Detections] = []
    threads = [
        threading.Thread(target=lambda camera=f"camera-{i}": found.extend(analyse(detector, frame(camera))))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [len(each) for each in found] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"classes": ["nuts"]}, 'did you mean "nut"'), ({"class_min_score": {"blt": 0.5}}, 'did you mean "bolt"')],
)
def test_an_unknown_class_is_told_when_it_opens(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        opened(tmp_path, "yolox", {"output": yolox_rows()}, **options)


@pytest.mark.parametrize(
    ("head", "labels", "complaint"),
    [
        (
            "yolox",
            ("bolt", "nut", "screw"),
            "'parts': head 'yolox': the model scores 2 classes, but there are 3 labels",
        ),
        ("ssd", ("bolt", "nut"), "'parts': head 'ssd' expects boxes .* the model produces output .* another head"),
        ("yunet", ("face",), "'parts' has head 'yunet', .* one of the heads detr, detr-labelled, mmdeploy, nanodet"),
    ],
)
def test_a_network_that_is_not_as_its_model_says_is_told_when_it_opens(
    tmp_path: Path, head: str, labels: tuple[str, ...], complaint: str
) -> None:
    file = constant_network(tmp_path / "parts.onnx", SIZE, {"output": yolox_rows()})
    spec = InputSpec("images", *SIZE, ColourOrder.BGR, Resize.STRETCH)
    model = Model("parts", "detector", head, "none", spec, labels, path=file)
    detector = Detector(DetectorConfig(model=ModelChoice("parts")))
    with pytest.raises(PluginError, match=complaint):
        detector.open(FileContext(catalogue={"parts": model}))


def looking(folder: Path, **options: Any) -> Detector:
    """A detector whose model finds the same nut in everything that it is shown."""
    return opened(folder, "yolox", {"output": yolox_rows()}, **options)


def activity_of(detector: Detector, seq: int, image: NDArray[np.uint8] = PICTURE) -> Results:
    (found,) = detector.process([frame(seq=seq, at=10 + seq / 5, image=image)], [Results()])
    return found


@pytest.mark.parametrize("look", ["frame", "tiles"])
def test_with_the_gate_a_still_picture_is_not_looked_at_and_its_objects_stay(tmp_path: Path, look: str) -> None:
    detector = looking(tmp_path, look=look, gate="activity")
    results = [activity_of(detector, seq) for seq in range(24)]
    counted = [activity.looked_at for found in results if (activity := found.get(Activity)) is not None]
    assert counted[0] == "frame"
    assert counted[-1] == "nothing"
    known = [len(found.get(Detections) or ()) for found in results]
    assert known[-1] == known[-2] >= 1
    last = results[-1].get(Detections)
    assert last is not None
    assert last.carried.all()


OVERLAPPING = np.array([[8, 8, 24, 24, 0.9, 1], [10, 8, 26, 24, 0.8, 1], [0, 0, 0, 0, 0, 0]], np.float32)
"""Two nuts of a model that returns each object once."""


def test_overlapping_objects_of_such_a_model_are_kept_in_each_of_several_views(tmp_path: Path) -> None:
    look = {"mode": "tiles", "overlap": 0}
    detector = opened(tmp_path, "yolo-end-to-end", {"output": OVERLAPPING}, nms_iou=0.3, look=look)
    (found,) = analyse(detector, frame())
    assert len(found) == 2 * (1 + 4)


@pytest.mark.parametrize("options", [{}, {"gate": "activity"}], ids=["always", "gated"])
def test_overlapping_objects_of_a_model_that_needs_no_suppression_are_all_kept(
    tmp_path: Path, options: Mapping[str, Any]
) -> None:
    detector = opened(tmp_path, "yolo-end-to-end", {"output": OVERLAPPING}, nms_iou=0.3, **options)
    for seq in range(12):
        found = activity_of(detector, seq).get(Detections)
        assert found is not None
        assert found.scores == pytest.approx([0.9, 0.8])


def test_a_frame_that_is_finished_after_its_camera_was_forgotten_is_not_remembered(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert detector._parts is not None
    finder = detector._parts.detector
    assert finder is not None
    shaped = finder.shaped

    def forgotten_meanwhile(frames: Sequence[Frame]) -> list[Shaped]:
        detector.forget("door")
        return shaped(frames)

    monkeypatch.setattr(finder, "shaped", forgotten_meanwhile)
    assert len(analyse(detector, frame())) == 1
    assert len(detector.predict(frame(seq=2), Results())) == 0
    monkeypatch.undo()
    analyse(detector, frame(seq=3))
    assert len(detector.predict(frame(seq=4), Results())) == 1


def test_without_look_and_gate_there_is_no_map(detector: Detector) -> None:
    assert activity_of(detector, 1).get(Activity) is None


def test_regions_of_interest_are_those_of_the_frame_also_in_tiles(tmp_path: Path) -> None:
    """Each tile shows a nut at the same place of the tile; only those on the left of the frame are reported."""
    left = [[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]]
    everywhere = looking(tmp_path, look={"mode": "tiles", "overlap": 0})
    found = activity_of(everywhere, 1).get(Detections)
    assert found is not None
    centres = (found.boxes[:, 0] + found.boxes[:, 2]) / 2
    assert (centres > 64).any()
    on_the_left = activity_of(looking(tmp_path, look={"mode": "tiles", "overlap": 0}, only_inside=left), 1)
    only = on_the_left.get(Detections)
    assert only is not None
    np.testing.assert_allclose(np.sort(only.boxes[:, 0]), np.sort(found.boxes[centres < 64][:, 0]))


def test_the_map_is_drawn_only_if_asked_for(tmp_path: Path) -> None:
    moved = PICTURE.copy()
    moved[16:40, 32:80] = 200
    for draw in (False, True):
        detector = looking(tmp_path, gate={"draw": draw})
        activity_of(detector, 1)
        results = activity_of(detector, 2, moved)
        canvas = BlankCanvas((128, 64))
        detector.draw(canvas, frame(image=moved), results)
        assert canvas.image.any() == draw


def test_a_forgotten_camera_is_looked_at_as_a_new_one(tmp_path: Path) -> None:
    detector = looking(tmp_path, gate="activity")
    for seq in range(4):
        activity_of(detector, seq)
    detector.forget("door")
    activity = activity_of(detector, 5).get(Activity)
    assert activity is not None
    assert activity.looked_at == "frame"


def test_live_options_apply_to_the_next_frame(detector: Detector) -> None:
    for name, value in {"min_score": 0.9, "classes": ["bolt"], "only_inside": [[[0, 0], [0.1, 0], [0, 0.1]]]}.items():
        assert name in DetectorConfig.live_options
        (found,) = analyse(detector, frame())
        assert len(found.boxes) == 1
        before = detector.config
        detector.reconfigure(DetectorConfig.model_validate({"model": before.model, name: value}))
        (found,) = analyse(detector, frame())
        assert len(found.boxes) == 0
        detector.reconfigure(before)


def test_options_that_do_not_fit_the_model_change_nothing(detector: Detector) -> None:
    before = detector.config
    with pytest.raises(PluginError, match="washer"):
        detector.reconfigure(DetectorConfig.model_validate({"model": before.model, "classes": ["washer"]}))
    assert detector.config is before
    assert len(analyse(detector, frame())[0].boxes) == 1


def test_what_a_call_uses_is_closed_after_it(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detector._parts is not None
    finder, closed = detector._parts.detector, list[bool]()
    monkeypatch.setattr(finder, "close", lambda: closed.append(True))
    shaped = finder.shaped

    def reconfigured_meanwhile(frames: Sequence[Frame]) -> list[Shaped]:
        detector.reconfigure(detector.config)
        assert closed == []
        return shaped(frames)

    monkeypatch.setattr(finder, "shaped", reconfigured_meanwhile)
    assert len(analyse(detector, frame())[0].boxes) == 1
    assert closed == [True]
