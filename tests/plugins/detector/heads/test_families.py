"""Every head is decoded as a plain reader of its format does it, and so in the whole path from a file to boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from sightd.engines.geometry import iou
from sightd.engines.heads import HEAD_FORMATS
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import Stated, model_from_file
from sightd.engines.models.label_files import ClassNames
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Detections, Frame, PluginError, Results
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector import Detector
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads import detr, labelled, yolo
from sightd.plugins.detector.heads.decoding import Candidates, require_boxes
from sightd.plugins.detector.heads.registry import HEADS
from tests.plugins.detector.heads.families import CLASSES, HEIGHT, WIDTH, WRITERS, Found, Outputs, read
from tests.support.exports import write_export
from tests.support.onnx_models import FileContext

SPEC = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.STRETCH)
LEAST = np.array([0.3, 0.6, np.inf], np.float32)
LABELS = ["bolt", "nut", "screw"]


def batch(head: str, seeds: Sequence[int]) -> tuple[dict[str, np.ndarray], list[Outputs]]:
    images = [WRITERS[head](np.random.default_rng(seed)) for seed in seeds]
    return {name: np.stack([image[name] for image in images]) for name in images[0]}, images


@pytest.mark.parametrize("head", WRITERS)
def test_a_head_is_decoded_as_a_plain_reader_does_it(head: str) -> None:
    outputs, images = batch(head, (1, 2, 3))
    for candidates, image in zip(HEADS[head](outputs, SPEC, LEAST), images, strict=True):
        expected = [found for found in read(head, image) if found[1] >= LEAST[found[2]]]
        assert len(expected) > 5
        np.testing.assert_allclose(candidates.boxes, [box for box, _, _ in expected], atol=0.01)
        np.testing.assert_allclose(candidates.scores, [score for _, score, _ in expected], atol=1e-5)
        assert candidates.class_ids.tolist() == [kind for _, _, kind in expected]
        assert candidates.boxes.dtype == candidates.scores.dtype == np.float32


def test_all_transformers_state_the_same_reliable_score_whoever_exported_them() -> None:
    low = {head for head, one in HEAD_FORMATS.items() if one.reliable_score == 0.4}
    assert low == {"detr", "rf-detr", "detr-labelled", "ultralytics-detr"}
    assert {one.reliable_score for head, one in HEAD_FORMATS.items() if head not in low} == {0.5}


@pytest.mark.parametrize("head", WRITERS)
def test_outputs_in_half_precision_give_nearly_the_same(head: str) -> None:
    outputs, _ = batch(head, (4,))
    half = {name: one.astype(np.float16) if one.dtype == np.float32 else one for name, one in outputs.items()}
    (exact,), (rough,) = HEADS[head](outputs, SPEC, LEAST), HEADS[head](half, SPEC, LEAST)
    assert abs(len(exact.scores) - len(rough.scores)) <= 2
    assert rough.boxes.dtype == rough.scores.dtype == np.float32


def test_the_transposed_form_of_yolo_is_read_as_well() -> None:
    outputs, _ = batch("yolo", (5,))
    turned = {"output": outputs["output0"].transpose(0, 2, 1)}
    (one,), (other,) = yolo.decode(outputs, SPEC, LEAST), yolo.decode(turned, SPEC, LEAST)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_a_background_column_of_rf_detr_is_left_out_and_gaps_are_never_reported() -> None:
    outputs, _ = batch("rf-detr", (6,))
    everything = np.zeros(CLASSES, np.float32)
    (found,) = detr.decode_rf(outputs, SPEC, everything)
    assert set(found.class_ids.tolist()) == {0, 1, 2}
    (gapped,) = detr.decode_rf(outputs, SPEC, np.array([np.inf, 0, np.inf, 0], np.float32))
    assert set(gapped.class_ids.tolist()) == {1, 3}


def test_rf_detr_may_have_the_names_of_detr() -> None:
    outputs, _ = batch("rf-detr", (6,))
    renamed = {"pred_boxes": outputs["dets"], "logits": outputs["labels"]}
    (one,), (other,) = detr.decode_rf(outputs, SPEC, LEAST), detr.decode_rf(renamed, SPEC, LEAST)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def suppressed(found: Sequence[Found], max_iou: float | None) -> list[Found]:
    """Greedy suppression in its textbook form; none if `max_iou` is None."""
    kept: list[Found] = []
    for box, score, kind in sorted(found, key=lambda one: -one[1]):
        others = [other for other, _, other_kind in kept if other_kind == kind]
        overlaps = iou(np.array([box]), np.array(others)) if others else np.zeros((1, 0))
        if max_iou is None or not (overlaps > max_iou).any():
            kept.append((box, score, kind))
    return kept


LAYOUTS = {
    "float32": {},
    "float16": {"dtype": "float16"},
    "uint8 NHWC": {"dtype": "uint8", "shape": ("batch", HEIGHT, WIDTH, 3)},
    "batch of 1": {"shape": (1, 3, HEIGHT, WIDTH)},
    "weights in another file": {"outside": "weights.data"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("head", WRITERS)
def test_the_way_from_a_file_to_detections_equals_plain_decoding(tmp_path: Path, head: str, layout: str) -> None:
    outputs = WRITERS[head](np.random.default_rng(7))
    path = write_export(tmp_path / "best.onnx", outputs, **LAYOUTS[layout])  # type: ignore[arg-type]
    model = model_from_file(path, Stated(head, ClassNames.listed(LABELS), resize=Resize.STRETCH))
    detector = Detector(DetectorConfig(model=ModelChoice("best"), min_score=0.4, max_detections=1000, min_size=0))
    detector.open(FileContext(catalogue={"best": model}))
    frames = [Frame.of(np.full((128, 240, 3), value, np.uint8)) for value in (0, 99)]
    expected = suppressed(
        [found for found in read(head, outputs) if found[1] >= 0.4],
        None if HEAD_FORMATS[head].suppressed else detector.config.nms_iou,
    )
    for result in detector.process(frames, [Results()] * 2):
        found = result.get(Detections)
        assert found is not None
        assert len(found) == len(expected) > 5
        placed = [[x1 * 2.5, y1 * 2, x2 * 2.5, y2 * 2] for (x1, y1, x2, y2), _, _ in expected]
        np.testing.assert_allclose(found.boxes, np.clip(placed, 0, [240, 128, 240, 128]), atol=0.5)
        np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], atol=1e-3)
        assert [found.labels[kind] for kind in found.class_ids] == [LABELS[kind] for _, _, kind in expected]


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_a_second_input_gets_the_size_of_the_models_input(tmp_path: Path, dtype: str) -> None:
    outputs = dict(WRITERS["detr-labelled"](np.random.default_rng(8)))
    outputs["boxes"] = (outputs["boxes"] / np.array([WIDTH, HEIGHT] * 2)).astype(np.float32)
    path = write_export(tmp_path / "best.onnx", outputs, size_dtype=dtype)
    detector = Detector(DetectorConfig(model=ModelChoice.model_validate({"file": str(path), "labels": LABELS})))
    detector.open(FileContext())
    found = detector.process([Frame.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))] * 3, [Results()] * 3)[2]
    boxes = found.get(Detections)
    assert boxes is not None
    best = int(np.argmax(outputs["scores"]))
    np.testing.assert_allclose(boxes.boxes[0], outputs["boxes"][best] * [WIDTH, HEIGHT, WIDTH, HEIGHT], atol=0.01)


@pytest.mark.parametrize("extra", [32, 51])
def test_columns_of_masks_and_keypoints_are_left_out(extra: int) -> None:
    outputs, _ = batch("yolo", (9,))
    wide = {"output0": np.concatenate((outputs["output0"], np.full((1, extra, 60), -9, np.float32)), axis=1)}
    (one,), (other,) = yolo.decode(outputs, SPEC, LEAST), yolo.decode(wide, SPEC, LEAST, extra)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    with pytest.raises(PluginError, match=f"scores {extra + 3} classes, but there are 3 labels"):
        yolo.decode(wide, SPEC, LEAST)


def test_a_class_without_a_label_is_an_error_and_not_left_out() -> None:
    outputs, _ = batch("detr-labelled", (10,))
    with pytest.raises(PluginError, match="reports class 2, but there are 2 labels"):
        detr.decode_labelled(outputs, SPEC, np.full(2, 0.3, np.float32))


def test_padding_of_mmdeploy_is_left_out() -> None:
    dets, kinds = np.zeros((1, 5, 5), np.float32), np.full((1, 5), -1)
    (found,) = labelled.decode_mmdeploy({"dets": dets, "labels": kinds}, SPEC, LEAST)
    assert len(found.scores) == 0


WRONG = [
    ("ssd", {"boxes": (60, 4), "scores": (60, 3)}, "scores", -4.0, "scores are -4"),
    ("yolo", {"output0": (7, 60)}, "output0", 5.0, "scores are 0 to 5, not 0 to 1"),
    ("yolov5", {"output0": (60, 8)}, "output0", 7.0, "scores are 0 to 7"),
    (
        "detr",
        {"logits": (60, 3), "pred_boxes": (60, 4)},
        "logits",
        np.nan,
        "most of the model's scores are not numbers",
    ),
    ("yolo-end-to-end", {"output0": (60, 6)}, "output0", 0.5, "classes are not whole numbers"),
]


@pytest.mark.parametrize(("head", "shapes", "output", "value", "complaint"), WRONG, ids=[one[0] for one in WRONG])
def test_scores_that_are_none_are_an_error_even_if_no_box_reaches_the_least_score(
    tmp_path: Path, head: str, shapes: dict[str, tuple[int, ...]], output: str, value: float, complaint: str
) -> None:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    arrays[output][:] = value
    path = write_export(tmp_path / "wrong.onnx", arrays)
    model = model_from_file(path, Stated(head, ClassNames.listed(LABELS)))
    detector = Detector(DetectorConfig(model=ModelChoice("wrong")))
    with pytest.raises(PluginError, match=f"model 'wrong': head '{head}': .*{complaint}"):
        detector.open(FileContext(catalogue={"wrong": model}))


def boxes_of(box: Sequence[float], count: int = 5) -> Candidates:
    return Candidates(np.array([box] * count, np.float32), np.ones(count, np.float32), np.zeros(count, np.int64))


@pytest.mark.parametrize(
    "box", [[9, 9, 3, 3], [np.nan, 0, 1, 1], [900, 900, 960, 960], [-900, 0, 950, 60], [0.1, 0.2, 0.5, 0.9]]
)
def test_boxes_that_are_none_are_an_error(box: list[float]) -> None:
    with pytest.raises(PluginError, match="choose another head"):
        require_boxes(boxes_of(box), SPEC, "yolo")


@pytest.mark.parametrize("box", [[1, 1, 20, 30], [-10, -10, 30, 30], [80, 50, 110, 80]])
def test_boxes_at_the_edge_are_fine_and_so_is_a_single_odd_one(box: list[float]) -> None:
    require_boxes(boxes_of(box), SPEC, "yolo")
    require_boxes(boxes_of([9, 9, 3, 3], count=2), SPEC, "yolo")
    assert len(boxes_of(box).scores) == 5


def test_agnostic_lets_boxes_of_a_model_that_suppresses_itself_exclude_each_other(tmp_path: Path) -> None:
    twice = np.array([[10, 10, 40, 40, 0.9, 0], [10, 10, 40, 40, 0.8, 1], [10, 10, 40, 40, 0.7, 0]], np.float32)
    model = model_from_file(
        write_export(tmp_path / "best.onnx", {"output0": twice}),
        Stated("yolo-end-to-end", ClassNames.listed(LABELS), resize=Resize.STRETCH),
    )
    counts = []
    for agnostic in (False, True):
        detector = Detector(DetectorConfig(model=ModelChoice("best"), agnostic=agnostic))
        detector.open(FileContext(catalogue={"best": model}))
        (result,) = detector.process([Frame.of(np.zeros((64, 96, 3), np.uint8))], [Results()])
        found = result.get(Detections)
        counts.append(0 if found is None else len(found))
    assert counts == [3, 1]


@pytest.mark.parametrize(("written", "read_as"), [("ultralytics-detr", "yolo"), ("yolo", "ultralytics-detr")])
def test_the_rt_detr_of_ultralytics_and_a_raw_yolo_are_not_read_as_each_other(
    tmp_path: Path, written: str, read_as: str
) -> None:
    """Their outputs may have the same shape, and scores that are valid for both."""
    outputs = WRITERS[written](np.random.default_rng(1))["output0"]
    rows = outputs if written == "ultralytics-detr" else outputs.T.copy()
    path = write_export(tmp_path / "best.onnx", {"output0": rows})
    choice = {"file": str(path), "labels": LABELS, "head": read_as}
    (problem,) = DetectorConfig.model_validate({"model": choice}).problems(Catalog.load())
    assert "it was probably exported in another format" in problem.message
    right = DetectorConfig.model_validate({"model": {**choice, "head": written}})
    assert right.problems(Catalog.load()) == []


class Changing:
    """A session whose second and later runs return other outputs."""

    def __init__(self, session: OnnxRuntimeSession, later: Outputs) -> None:
        self._session, self._later, self._runs = session, later, 0
        self.backend, self.inputs, self.outputs = session.backend, session.inputs, session.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._runs += 1
        found = self._session.run(inputs)
        return found if self._runs <= 2 else {name: value[None] for name, value in self._later.items()}

    def close(self) -> None:
        self._session.close()


def test_a_wrong_head_that_shows_only_on_a_frame_is_an_error_then(tmp_path: Path) -> None:
    path = write_export(tmp_path / "best.onnx", WRITERS["yolo-nas"](np.random.default_rng(1)))
    model = model_from_file(path, Stated("yolo-nas", ClassNames.listed(LABELS)))
    wrong = WRITERS["ssd"](np.random.default_rng(1))
    session = Changing(OnnxRuntimeSession(path, 1), wrong)
    detector = Detector(DetectorConfig(model=ModelChoice("best")))
    detector.open(OneEngine(Engine(model, session, "")))
    with pytest.raises(PluginError, match="head 'yolo-nas': all boxes are within 2 pixels of the corner"):
        detector.process([Frame.of(np.zeros((64, 96, 3), np.uint8))], [Results()])


class OneEngine:
    """A plug-in's context with one engine."""

    name = "detector"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        return self._engine


def test_check_refuses_a_file_whose_output_is_not_that_of_its_head(tmp_path: Path) -> None:
    path = write_export(tmp_path / "best.onnx", WRITERS["ssd"](np.random.default_rng(1)))
    choice = {"file": str(path), "labels": LABELS, "head": "yolo-nas"}
    (problem,) = DetectorConfig.model_validate({"model": choice}).problems(Catalog.load())
    assert problem.path == ("model", "file")
    assert "all boxes are within 2 pixels of the corner" in problem.message
    assert DetectorConfig.model_validate({"model": {**choice, "head": "ssd"}}).problems(Catalog.load()) == []
