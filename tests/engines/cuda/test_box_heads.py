"""The one kernel for boxes that need no grid finds what the CPU decoders find, for every family, layout and type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.engines.cuda.launch.box_heads import BOX_HEADS
from sightd.engines.cuda.launch.detect import BoxSelection, Detect, RawBoxes
from sightd.engines.cuda.launch.grid_heads import GRID_HEADS
from sightd.engines.cuda.launch.heads import DeviceTensor, HeadMismatchError
from sightd.engines.heads import HEAD_FORMATS, suppresses
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.preprocess import Geometry
from sightd.plugins.api import PluginError
from sightd.plugins.detector.heads.registry import head_of
from tests.engines.cuda.test_detect import PLACED, WHOLE, selected
from tests.support.host_kernels.device import HostDevice, HostStream

Array = NDArray[Any]
Outputs = dict[str, Array]
BATCH, ROWS, CLASSES = 3, 300, 11
SPEC = InputSpec("images", 96, 64, ColourOrder.RGB, Resize.STRETCH)
SIZE = np.array([SPEC.width, SPEC.height] * 2, np.float32)


def corners(rng: np.random.Generator) -> Array:
    """Returns boxes x1, y1, x2, y2 in pixels, in heaps, so that there is something to suppress."""
    heaps = rng.random((6, 4)) * [60, 40, 25, 20] + [0, 0, 5, 4]
    boxes = heaps[rng.integers(0, 6, (BATCH, ROWS))] + rng.normal(0, 1, (BATCH, ROWS, 4))
    boxes[..., 2:] += boxes[..., :2]
    return boxes


def centres(rng: np.random.Generator) -> Array:
    """Returns boxes as centre x, y, width, height in pixels."""
    boxes = corners(rng)
    sizes = boxes[..., 2:] - boxes[..., :2]
    return np.concatenate((boxes[..., :2] + sizes / 2, sizes), axis=2)


def class_scores(rng: np.random.Generator) -> Array:
    scores: Array = rng.random((BATCH, ROWS, CLASSES)) ** 12
    return scores


def logits(rng: np.random.Generator) -> Array:
    scores = class_scores(rng).clip(1e-6, 1 - 1e-6)
    logits: Array = np.log(scores / (1 - scores))
    return logits


def best(rng: np.random.Generator) -> tuple[Array, Array]:
    """Returns a score and a class for each box."""
    return rng.random((BATCH, ROWS)) ** 2, rng.integers(0, CLASSES, (BATCH, ROWS))


def yolo(rng: np.random.Generator) -> Outputs:
    rows = np.concatenate((centres(rng), class_scores(rng)), axis=2)
    return {"output0": rows.transpose(0, 2, 1)}


def yolov5(rng: np.random.Generator) -> Outputs:
    objectness = rng.random((BATCH, ROWS, 1))
    return {"output0": np.concatenate((centres(rng), objectness, class_scores(rng) ** 0.3), axis=2)}


def yolo_end_to_end(rng: np.random.Generator) -> Outputs:
    scores, classes = best(rng)
    return {"output0": np.concatenate((corners(rng), scores[..., None], classes[..., None]), axis=2)}


def angles(rng: np.random.Generator, rows: Array) -> Array:
    """Returns an angle for each of the boxes [batch, n, 4]; those of a heap have about the same."""
    found: Array = rows[..., :1] / 20 + rng.normal(0, 0.05, (BATCH, ROWS, 1))
    return found


def yolo_obb(rng: np.random.Generator) -> Outputs:
    boxes = centres(rng)
    rows = np.concatenate((boxes, class_scores(rng), angles(rng, boxes)), axis=2)
    return {"output0": rows.transpose(0, 2, 1)}


def yolo_obb_end_to_end(rng: np.random.Generator) -> Outputs:
    boxes, (scores, classes) = centres(rng), best(rng)
    parts = boxes, scores[..., None], classes[..., None], angles(rng, boxes)
    return {"output0": np.concatenate(parts, axis=2)}


def yolo_nas(rng: np.random.Generator) -> Outputs:
    return {"scores_of_913": class_scores(rng), "boxes_of_904": corners(rng)}


def detr(rng: np.random.Generator) -> Outputs:
    return {"logits": logits(rng), "pred_boxes": centres(rng) / SIZE}


def rf_detr(rng: np.random.Generator) -> Outputs:
    return {"dets": centres(rng) / SIZE, "labels": logits(rng)}


def detr_labelled(rng: np.random.Generator) -> Outputs:
    scores, classes = best(rng)
    return {"labels": classes, "boxes": corners(rng), "scores": scores}


def ultralytics_detr(rng: np.random.Generator) -> Outputs:
    return {"output0": np.concatenate((centres(rng) / SIZE, class_scores(rng)), axis=2)}


def tf_ssd(rng: np.random.Generator) -> Outputs:
    scores, classes = best(rng)
    return {
        "detection_boxes": (corners(rng) / SIZE)[..., [1, 0, 3, 2]],
        "detection_classes": classes + 1.0,
        "detection_scores": scores,
        "num_detections": np.array([ROWS, ROWS // 2, 0], np.float64),
    }


def mmdeploy(rng: np.random.Generator) -> Outputs:
    scores, classes = best(rng)
    return {"dets": np.concatenate((corners(rng), scores[..., None]), axis=2), "labels": classes}


FAMILIES: Mapping[str, Callable[[np.random.Generator], Outputs]] = {
    "yolo": yolo,
    "yolov5": yolov5,
    "yolo-end-to-end": yolo_end_to_end,
    "yolo-obb": yolo_obb,
    "yolo-obb-end-to-end": yolo_obb_end_to_end,
    "yolo-nas": yolo_nas,
    "detr": detr,
    "rf-detr": rf_detr,
    "detr-labelled": detr_labelled,
    "ultralytics-detr": ultralytics_detr,
    "tf-ssd": tf_ssd,
    "mmdeploy": mmdeploy,
}


def made(head: str, seed: int = 1, dtype: type[np.floating[Any]] = np.float32) -> Outputs:
    """Returns the outputs of a model with that head. Floats are of `dtype`; integers stay int64."""
    outputs = FAMILIES[head](np.random.default_rng(seed))
    return {
        name: np.ascontiguousarray(value, dtype if value.dtype.kind == "f" else np.int64)
        for name, value in outputs.items()
    }


def model(head: str, labels: int = CLASSES, ignored: int = 0) -> Model:
    names = tuple(f"class {i}" for i in range(labels))
    return Model("made", "detector", head, "none", SPEC, names, extra_columns=ignored)


def choice_for(head: str, limit: int = 100) -> BoxSelection:
    return BoxSelection(max_iou=1.0 if suppresses(head) else 0.5, limit=limit)


def found(
    outputs: Outputs, of: Model, least: float, choice: BoxSelection, geometry: Geometry = WHOLE, room: int = 4096
) -> list[RawBoxes]:
    device, batch = HostDevice(), len(next(iter(outputs.values())))
    tensors = {}
    for name, value in outputs.items():
        address = device.uploaded(value).address if value.size else device.allocate(1).address
        tensors[name] = DeviceTensor(address, value.shape, value.dtype)
    min_score = np.full(len(of.labels), least, np.float32)
    detect = Detect(device, device, of.head, SPEC, min_score, choice, batch, room, of.extra_columns)
    try:
        return detect.run(tensors, [geometry] * batch, HostStream())
    finally:
        detect.close()
        assert len(device.buffers) == len(tensors)


def assert_as_on_the_cpu(
    outputs: Outputs,
    of: Model,
    least: float = 0.3,
    choice: BoxSelection | None = None,
    geometry: Geometry = WHOLE,
    room: int = 4096,
) -> list[RawBoxes]:
    """Compares all images. Scores of logits and boxes of centres may differ in their last bits."""
    choice = choice or choice_for(of.head)
    ours = found(outputs, of, least, choice, geometry, room)
    candidates = head_of(of)(outputs, SPEC, np.full(len(of.labels), least, np.float32))
    theirs = [selected(each, choice, geometry) for each in candidates]
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.class_ids, expected.class_ids)
        np.testing.assert_allclose(mine.scores, expected.scores, rtol=3e-6)
        np.testing.assert_allclose(mine.boxes, expected.boxes, rtol=2e-6, atol=1e-3)
        assert (mine.points is None) is (expected.points is None)
        if mine.points is not None and expected.points is not None:
            np.testing.assert_allclose(mine.points[:, :4], expected.points, rtol=2e-6, atol=1e-3)
    return ours


def shown(results: list[RawBoxes]) -> int:
    return sum(len(one.scores) for one in results)


@pytest.mark.parametrize("geometry", [WHOLE, PLACED], ids=["whole", "placed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("head", FAMILIES)
def test_every_family_is_read_as_on_the_cpu(head: str, dtype: type[np.floating[Any]], geometry: Geometry) -> None:
    results = assert_as_on_the_cpu(made(head, dtype=dtype), model(head), geometry=geometry)
    assert [len(one.scores) > 20 for one in results] == [True, True, head != "tf-ssd"]


def test_every_head_has_a_kernel() -> None:
    assert {*BOX_HEADS, *GRID_HEADS} == {*HEAD_FORMATS, "yunet"}


@pytest.mark.parametrize("head", ["yolo", "yolo-obb"])
def test_yolo_is_read_whichever_axis_comes_first(head: str) -> None:
    outputs = made(head)
    turned = {"output0": np.ascontiguousarray(outputs["output0"].transpose(0, 2, 1))}
    results = assert_as_on_the_cpu(turned, model(head))
    for one, other in zip(results, found(outputs, model(head), 0.3, choice_for(head)), strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_oriented_boxes_are_suppressed_by_their_corners_and_not_by_the_boxes_around_them() -> None:
    """Two thin objects cross; a third lies along the first."""
    rows = [
        [40, 30, 40, 6, score, *[0] * (CLASSES - 1), angle] for score, angle in ((0.9, 0.8), (0.8, 2.3), (0.7, 0.9))
    ]
    outputs = {"output0": np.ascontiguousarray(np.array([rows], np.float32).transpose(0, 2, 1))}
    (result,) = assert_as_on_the_cpu(outputs, model("yolo-obb"))
    assert result.rows.tolist() == [0, 1]


def test_as_many_rows_as_columns_are_read_as_columns_first() -> None:
    square = {"output0": np.ascontiguousarray(made("yolo")["output0"][..., : 4 + CLASSES])}
    assert shown(assert_as_on_the_cpu(square, model("yolo"), least=0.05)) > 5


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.float16])
@pytest.mark.parametrize("head", ["detr-labelled", "mmdeploy", "tf-ssd"])
def test_labels_may_be_integers_or_floats(head: str, dtype: type[np.number[Any]]) -> None:
    outputs = made(head)
    for name in ("labels", "detection_classes", "num_detections"):
        if name in outputs:
            outputs[name] = outputs[name].astype(dtype)
    assert shown(assert_as_on_the_cpu(outputs, model(head))) > 60


def test_boxes_and_scores_may_have_different_precisions() -> None:
    outputs = made("detr")
    outputs["logits"] = outputs["logits"].astype(np.float16)
    assert shown(assert_as_on_the_cpu(outputs, model("detr"))) > 60


@pytest.mark.parametrize("shape", [(BATCH,), (BATCH, 1)])
def test_tensorflows_padding_is_not_read_nor_are_its_names_endings(shape: tuple[int, ...]) -> None:
    outputs = made("tf-ssd")
    counts = outputs["num_detections"].astype(int)
    for picture, count in enumerate(counts):
        outputs["detection_classes"][picture, count:] = 77
    outputs["num_detections"] = outputs["num_detections"].reshape(shape)
    results = assert_as_on_the_cpu({f"{name}:0": value for name, value in outputs.items()}, model("tf-ssd"))
    assert len(results[0].scores) > len(results[1].scores) > len(results[2].scores) == 0


@pytest.mark.parametrize("head", ["yolo", "yolov5", "yolo-end-to-end"])
def test_columns_and_outputs_of_masks_are_left_out(head: str) -> None:
    outputs, rng = made(head), np.random.default_rng(3)
    rows = outputs["output0"] if head != "yolo" else outputs["output0"].transpose(0, 2, 1)
    wider = np.concatenate((rows, rng.normal(0, 9, (BATCH, ROWS, 32)).astype(np.float32)), axis=2)
    masks = {"output0": np.ascontiguousarray(wider if head != "yolo" else wider.transpose(0, 2, 1))}
    masks["output1"] = np.zeros((BATCH, 32, 16, 24), np.float32)
    results = assert_as_on_the_cpu(masks, model(head, ignored=32))
    plain = found(outputs, model(head), 0.3, choice_for(head))
    for one, other in zip(results, plain, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_rf_detrs_last_column_may_have_no_label() -> None:
    results = assert_as_on_the_cpu(made("rf-detr"), model("rf-detr", labels=CLASSES - 1))
    assert max(int(one.class_ids.max()) for one in results) == CLASSES - 2


def test_rf_detr_may_have_the_names_of_detr() -> None:
    outputs = made("rf-detr")
    renamed = {"pred_boxes": outputs["dets"], "logits": outputs["labels"]}
    results = assert_as_on_the_cpu(renamed, model("rf-detr"))
    for one, other in zip(results, found(outputs, model("rf-detr"), 0.3, choice_for("rf-detr")), strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize("head", [head for head in FAMILIES if suppresses(head)])
def test_boxes_of_models_that_suppress_themselves_are_all_kept_and_only_the_best_returned(head: str) -> None:
    every = assert_as_on_the_cpu(made(head), model(head), 0.2, choice_for(head, limit=2000))
    few = assert_as_on_the_cpu(made(head), model(head), 0.2, choice_for(head, limit=17))
    again = found(made(head), model(head), 0.2, BoxSelection(0.5, 2000))
    assert shown(again) < shown(every), "heaps of boxes are in one place"
    for one, best_of_them in zip(every, few, strict=True):
        np.testing.assert_array_equal(one.scores[:17], best_of_them.scores)


def test_more_candidates_than_there_was_room_for_are_all_found() -> None:
    assert shown(assert_as_on_the_cpu(made("yolo"), model("yolo"), least=0.05, room=16)) > 60


def test_no_rows_are_no_boxes() -> None:
    nothing: Outputs = {"dets": np.zeros((2, 0, 5), np.float32), "labels": np.zeros((2, 0), np.int64)}
    assert [len(one.scores) for one in found(nothing, model("mmdeploy"), 0.3, choice_for("mmdeploy"))] == [0, 0]


@pytest.mark.parametrize("head", FAMILIES)
def test_outputs_of_another_form_are_refused_with_what_was_found(head: str) -> None:
    outputs = {"something": np.zeros((1, 7, 3), np.float32), "other": np.zeros((1, 2, 7, 3), np.float32)}
    with pytest.raises(HeadMismatchError, match=rf"head '{head}'"):
        found(outputs, model(head), 0.3, choice_for(head))
    with pytest.raises(PluginError, match=rf"head '{head}'"):
        head_of(model(head))(outputs, SPEC, np.full(CLASSES, 0.3, np.float32))


@pytest.mark.parametrize("head", ["yolo", "yolov5", "yolo-obb", "yolo-nas", "detr", "rf-detr", "ultralytics-detr"])
def test_another_number_of_classes_is_refused(head: str) -> None:
    with pytest.raises(HeadMismatchError, match=rf"scores \d+ classes, but there are {CLASSES + 3} labels"):
        found(made(head), model(head, labels=CLASSES + 3), 0.3, choice_for(head))


def test_outputs_of_a_type_that_no_kernel_reads_are_refused() -> None:
    outputs = made("detr")
    outputs["logits"] = outputs["logits"].astype(np.float64)
    with pytest.raises(HeadMismatchError, match="reads float32 or float16, but an output is float64"):
        found(outputs, model("detr"), 0.3, choice_for("detr"))


def percentages(outputs: Outputs) -> None:
    outputs["output0"][:, 4:] *= 100


def objectness_in_percent(outputs: Outputs) -> None:
    outputs["output0"][..., 4] *= 100


def corners_for_centres(outputs: Outputs) -> None:
    of = outputs["output0"]
    of[..., :2], of[..., 2:4] = of[..., :2] + of[..., 2:4], of[..., :2]


def mirrored(outputs: Outputs) -> None:
    outputs["boxes"] = np.ascontiguousarray(outputs["boxes"][..., [2, 1, 0, 3]])


def upside_down(outputs: Outputs) -> None:
    outputs["boxes"] = np.ascontiguousarray(outputs["boxes"][..., [0, 3, 2, 1]])


def moved(column: int, by: float) -> Callable[[Outputs], None]:
    def move(outputs: Outputs) -> None:
        outputs["boxes"][..., column] += by

    return move


def fractions(outputs: Outputs) -> None:
    outputs["boxes"] /= SIZE


def not_numbers(outputs: Outputs) -> None:
    outputs["scores"][:, ::3] = outputs["scores"][:, 1::3] = np.nan


def strange_class(outputs: Outputs) -> None:
    outputs["labels"][1, 5] = CLASSES
    outputs["scores"][1, 5] = 0.9


def half_class(outputs: Outputs) -> None:
    outputs["output0"][1, 5, 4:6] = 0.1, 0.5


def in_pixels(outputs: Outputs) -> None:
    outputs["output0"][..., :4] *= SIZE


def percent(outputs: Outputs) -> None:
    outputs["output0"][..., 4:] *= 100


def far_outside(outputs: Outputs) -> None:
    outputs["pred_boxes"] *= SIZE


WRONG: list[tuple[str, Callable[[Outputs], None], str]] = [
    ("yolo", percentages, r"not from 0 to 1"),
    ("yolov5", objectness_in_percent, r"not from 0 to 1"),
    ("yolo-end-to-end", corners_for_centres, r"boxes are inverted"),
    ("yolo-end-to-end", half_class, r"classes are not among the 11 labels"),
    ("detr-labelled", mirrored, r"boxes are inverted"),
    ("detr-labelled", upside_down, r"boxes are inverted"),
    *(
        ("detr-labelled", moved(column, by), r"boxes are inverted, outside the image or not numbers")
        for column, by in ((0, -200.0), (1, -140.0), (2, 200.0), (3, 140.0))
    ),
    ("detr-labelled", fractions, r"all boxes are within 2 pixels of the corner"),
    ("detr-labelled", not_numbers, r"scores are not numbers"),
    ("detr-labelled", strange_class, r"1 of the model's classes are not among the 11 labels"),
    ("detr", far_outside, r"boxes are inverted, outside the image or not numbers"),
    ("ultralytics-detr", in_pixels, r"boxes are inverted, outside the image or not numbers"),
    ("ultralytics-detr", percent, r"not from 0 to 1"),
]


@pytest.mark.parametrize(("head", "spoil", "message"), WRONG, ids=[f"{head}-{f.__name__}" for head, f, _ in WRONG])
def test_a_wrong_head_is_noticed_by_its_values_as_on_the_cpu(
    head: str, spoil: Callable[[Outputs], None], message: str
) -> None:
    outputs = made(head)
    assert_as_on_the_cpu(outputs, model(head))
    spoil(outputs)
    with pytest.raises(HeadMismatchError, match=message):
        found(outputs, model(head), 0.3, choice_for(head))
    with pytest.raises(PluginError, match=f"head '{head}'"):
        head_of(model(head))(outputs, SPEC, np.full(CLASSES, 0.3, np.float32))


def test_single_values_that_went_astray_are_no_wrong_head() -> None:
    outputs = made("detr-labelled")
    outputs["scores"][0, ::9] = np.nan
    outputs["boxes"][1, ::7] = outputs["boxes"][1, ::7, [2, 3, 0, 1]].T
    outputs["labels"][2, ::5], outputs["scores"][2, ::5] = -1, 0
    assert shown(assert_as_on_the_cpu(outputs, model("detr-labelled"))) > 60


def test_of_many_rows_only_some_are_checked_the_same_ones_on_both_paths() -> None:
    rows = np.concatenate([made("yolo", seed)["output0"] for seed in range(4)], axis=2)
    rows[:, 4:, 1] = 7
    rows[:, 4:, 3] = np.nan
    results = assert_as_on_the_cpu({"output0": rows}, model("yolo"))
    assert all(one.scores[0] == 7 for one in results)
    rows[:, 4:, 4] = 7
    with pytest.raises(HeadMismatchError, match=f"{BATCH * CLASSES} of the model's scores are not from 0 to 1"):
        found({"output0": rows}, model("yolo"), 0.3, choice_for("yolo"))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    head=st.sampled_from(sorted(FAMILIES)),
    share=st.sampled_from([0.0, 0.01, 0.3, 0.6]),
    value=st.sampled_from([np.nan, np.inf, -np.inf, -0.5, 1.5, 40.0, -300.0]),
)
@pytest.mark.filterwarnings("ignore:(invalid value|overflow)")
def test_both_paths_notice_the_same_and_otherwise_find_the_same(
    seed: int, head: str, share: float, value: float
) -> None:
    """Any floats are replaced at random: in boxes, scores, labels and counts."""
    outputs, rng = made(head, seed), np.random.default_rng(seed)
    for name in sorted(outputs):
        if name != "num_detections" and outputs[name].dtype.kind == "f" and rng.random() < 0.6:
            outputs[name][rng.random(outputs[name].shape) < share * rng.random()] = value
    try:
        head_of(model(head))(outputs, SPEC, np.full(CLASSES, 0.3, np.float32))
    except PluginError:
        with pytest.raises(HeadMismatchError):
            found(outputs, model(head), 0.3, choice_for(head))
    else:
        assert_as_on_the_cpu(outputs, model(head))
