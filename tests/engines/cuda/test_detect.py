"""detect.cu and suppress.cu find what the CPU path finds, in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.engines.cuda.launch.detect import BoxSelection, Detect, RawBoxes
from sightd.engines.cuda.launch.heads import DeviceTensor, HeadMismatchError
from sightd.engines.errors import EngineError
from sightd.engines.geometry import from_centre_size
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.preprocess import Geometry
from sightd.plugins.api import PluginError
from sightd.plugins.detector.heads.decoding import Candidates
from sightd.plugins.detector.heads.registry import HEADS, head_of
from sightd.plugins.geometry.nms import nms
from tests.support.host_kernels.device import HostDevice, HostStream

Outputs = Mapping[str, NDArray[Any]]
SPEC = InputSpec("images", 96, 64, ColourOrder.BGR, Resize.LETTERBOX_CENTRE)
WHOLE = Geometry(1.0, 1.0, 0.0, 0.0, 96, 64)
PLACED = Geometry(0.31, 0.297, 7.0, 11.0, 250, 140)
CHOICE = BoxSelection(max_iou=0.5, limit=100)


def found(
    outputs: Outputs,
    head: str,
    min_score: NDArray[np.float32],
    choice: BoxSelection = CHOICE,
    geometry: Geometry = WHOLE,
    spec: InputSpec = SPEC,
    room: int = 4096,
) -> list[RawBoxes]:
    """Returns what the kernels find, with the same geometry for all images."""
    device = HostDevice()
    tensors = {
        name: DeviceTensor(device.uploaded(value).address, value.shape, value.dtype) for name, value in outputs.items()
    }
    batch = len(next(iter(outputs.values())))
    detect = Detect(device, device, head, spec, min_score, choice, batch, room)
    result = detect.run(tensors, [geometry] * batch, HostStream())
    before = len(device.buffers)
    detect.close()
    detect.close()
    assert len(device.buffers) == len(tensors) < before
    assert not device.pinned_arrays
    return result


def selected(candidates: Candidates, choice: BoxSelection, geometry: Geometry) -> RawBoxes:
    """Returns the result of the CPU path from the candidates on."""
    boxes = geometry.boxes_to_source(candidates.boxes)
    shorter = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    wanted = (shorter > 0) & (shorter >= choice.min_size)
    if choice.classes is not None:
        wanted &= np.isin(candidates.class_ids, list(choice.classes))
    classes = candidates.class_ids if choice.by_class else None
    corners = candidates.corners
    kept = nms(
        candidates.boxes,
        candidates.scores,
        classes,
        choice.max_iou,
        limit=choice.limit,
        wanted=wanted,
        corners=corners,
    )
    points = None if corners is None else geometry.points_to_source(corners[kept])
    return RawBoxes(boxes[kept], candidates.scores[kept], candidates.class_ids[kept], points, kept)


def assert_as_on_the_cpu(
    outputs: Outputs,
    head: str,
    min_score: NDArray[np.float32],
    choice: BoxSelection = CHOICE,
    geometry: Geometry = WHOLE,
    spec: InputSpec = SPEC,
    room: int = 4096,
    exact: bool = False,
) -> int:
    """Compares all images and returns how many boxes there were. `exact` is False for heads that use exp(), whose last
    bits vary."""
    ours = found(outputs, head, min_score, choice, geometry, spec, room)
    theirs = [selected(candidates, choice, geometry) for candidates in HEADS[head](outputs, spec, min_score)]
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.scores, expected.scores)
        np.testing.assert_array_equal(mine.class_ids, expected.class_ids)
        if exact:
            np.testing.assert_array_equal(mine.boxes, expected.boxes)
        else:
            np.testing.assert_allclose(mine.boxes, expected.boxes, rtol=2e-6, atol=1e-3)
    return sum(len(expected.scores) for expected in theirs)


def cells(spec: InputSpec, *strides: int) -> list[int]:
    return [-(-spec.width // stride) * -(-spec.height // stride) for stride in strides]


def ssd(rng: np.random.Generator, batch: int, rows: int, classes: int) -> Outputs:
    """Returns clustered boxes, so that there is something to suppress, and quantised scores, so that there are ties."""
    heaps = rng.random((8, 4)).astype(np.float32) * [0.6, 0.6, 0.3, 0.3]
    boxes = heaps[rng.integers(0, 8, (batch, rows))] + rng.normal(0, 0.01, (batch, rows, 4))
    boxes[..., 2:] += boxes[..., :2]
    scores = np.round(rng.random((batch, rows, classes)) ** 3, 2)
    return {"boxes": boxes.astype(np.float32), "scores": scores.astype(np.float32)}


def yolox(rng: np.random.Generator, batch: int, rows: int, classes: int) -> Outputs:
    raw = rng.normal(0.5, 0.7, (batch, rows, 5 + classes))
    raw[..., 4:] = rng.random((batch, rows, 1 + classes)) ** 0.5
    return {"output": raw.astype(np.float32)}


@pytest.mark.parametrize("geometry", [WHOLE, PLACED])
@pytest.mark.parametrize(("rows", "classes"), [(191, 9), (64, 4), (1, 1)])
def test_ssd(rows: int, classes: int, geometry: Geometry) -> None:
    outputs = ssd(np.random.default_rng(1), 3, rows, classes)
    shown = assert_as_on_the_cpu(outputs, "ssd", np.full(classes, 0.3, np.float32), geometry=geometry, exact=True)
    assert shown > 20 or rows == 1


def test_ssd_of_the_catalogues_size() -> None:
    spec = InputSpec("image", 300, 300, ColourOrder.RGB, Resize.STRETCH)
    outputs = ssd(np.random.default_rng(2), 1, 1917, 90)
    geometry = Geometry(300 / 1920, 300 / 1080, 0, 0, 1920, 1080)
    assert assert_as_on_the_cpu(outputs, "ssd", np.full(90, 0.97, np.float32), CHOICE, geometry, spec, exact=True) > 50


@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16, 32, 64)])
def test_yolox(strides: tuple[int, ...]) -> None:
    spec = InputSpec("images", 100, 60, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)
    outputs = yolox(np.random.default_rng(3), 2, sum(cells(spec, *strides)), 5)
    assert assert_as_on_the_cpu(outputs, "yolox", np.full(5, 0.4, np.float32), spec=spec, geometry=PLACED) > 20


@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16, 32, 64)])
def test_nanodet_in_one_output(strides: tuple[int, ...]) -> None:
    rng, rows = np.random.default_rng(4), sum(cells(SPEC, *strides))
    raw = np.concatenate((rng.random((2, rows, 7)), rng.normal(0, 2, (2, rows, 32))), axis=2).astype(np.float32)
    assert assert_as_on_the_cpu({"output": raw}, "nanodet", np.full(7, 0.9, np.float32), geometry=PLACED) > 20


def test_nanodet_in_pairs_of_outputs() -> None:
    rng, outputs = np.random.default_rng(5), {}
    for stride, count in zip((8, 16, 32), cells(SPEC, 8, 16, 32), strict=True):
        outputs[f"dis_pred_stride_{stride}"] = rng.normal(0, 2, (2, count, 44)).astype(np.float32)
        outputs[f"cls_pred_stride_{stride}"] = rng.random((2, count, 3)).astype(np.float32)
    assert assert_as_on_the_cpu(outputs, "nanodet", np.full(3, 0.8, np.float32)) > 10


def yunet(rng: np.random.Generator, spec: InputSpec) -> dict[str, NDArray[np.float32]]:
    outputs = {}
    for stride, count in zip((8, 16, 32), cells(spec, 8, 16, 32), strict=True):
        outputs[f"cls_{stride}"] = rng.normal(0.5, 0.5, (2, count, 1))
        outputs[f"obj_{stride}"] = rng.random((2, count, 1))  # so that all scores differ
        outputs[f"bbox_{stride}"] = rng.normal(0.3, 0.5, (2, count, 4))
        outputs[f"kps_{stride}"] = rng.normal(0, 1, (2, count, 10))
    return {name: value.astype(np.float32) for name, value in outputs.items()}


def test_yunet_boxes_and_points() -> None:
    """Compares with the decoding in OpenCV's FaceDetectorYN (face_detect.cpp, postProcess)."""
    outputs = yunet(np.random.default_rng(6), SPEC)
    ours = found(outputs, "yunet", np.array([0.5], np.float32), BoxSelection(0.3, 50), PLACED)
    for picture, mine in enumerate(ours):
        boxes, scores, points = [], [], []
        for stride in (8, 16, 32):
            face, objectness, box, point = (
                outputs[f"{part}_{stride}"][picture] for part in ("cls", "obj", "bbox", "kps")
            )
            row, column = np.divmod(np.arange(len(box)), -(-SPEC.width // stride))
            cell = np.stack((column, row), axis=1).astype(np.float32)
            scores.append(np.sqrt(face.clip(0, 1) * objectness.clip(0, 1))[:, 0])
            placed = np.concatenate((cell + box[:, :2], np.exp(box[:, 2:])), axis=1) * np.float32(stride)
            boxes.append(from_centre_size(placed))
            points.append((point.reshape(-1, 5, 2) + cell[:, None]) * np.float32(stride))
        score, all_points = np.concatenate(scores), np.concatenate(points)
        chosen = score >= np.float32(0.5)
        candidates = Candidates(np.concatenate(boxes)[chosen], score[chosen], np.zeros(chosen.sum(), np.int64))
        expected = selected(candidates, BoxSelection(0.3, 50), PLACED)
        assert len(expected.scores) > 5
        np.testing.assert_array_equal(mine.scores, expected.scores)
        np.testing.assert_allclose(mine.boxes, expected.boxes, rtol=2e-6, atol=1e-3)
        assert mine.points is not None
        of_score = {float(value): place for value, place in zip(score, all_points, strict=True)}
        for value, place in zip(mine.scores, mine.points, strict=True):
            np.testing.assert_allclose((place * [0.31, 0.297] + [7, 11]), of_score[float(value)], atol=1e-3)


def test_outputs_in_half_precision_are_read_too() -> None:
    outputs = {name: value.astype(np.float16) for name, value in ssd(np.random.default_rng(7), 2, 100, 8).items()}
    assert assert_as_on_the_cpu(outputs, "ssd", np.full(8, 0.5, np.float32), exact=True) > 20
    row = {"output": yolox(np.random.default_rng(8), 1, 300, 4)["output"].astype(np.float16)}
    assert_as_on_the_cpu(row, "yolox-decoded", np.full(4, 0.5, np.float32), exact=True)


@pytest.mark.parametrize(
    "choice",
    [
        BoxSelection(0.5, 3),
        BoxSelection(0.0, 100),
        BoxSelection(1.0, 2000),
        BoxSelection(0.45, 100, by_class=False),
        BoxSelection(0.45, 20, by_class=False, classes=frozenset({2})),
        BoxSelection(0.6, 30, min_size=14.0),
    ],
)
def test_choices_are_made_as_on_the_cpu(choice: BoxSelection) -> None:
    outputs = ssd(np.random.default_rng(9), 2, 300, 5)
    assert assert_as_on_the_cpu(outputs, "ssd", np.full(5, 0.1, np.float32), choice, exact=True) >= 4


def test_each_class_has_its_own_least_score() -> None:
    outputs = ssd(np.random.default_rng(10), 1, 200, 4)
    least = np.array([0.9, np.inf, 0.2, 0.5], np.float32)
    assert_as_on_the_cpu(outputs, "ssd", least, exact=True)


def test_more_candidates_than_there_was_room_for_are_all_found() -> None:
    outputs = ssd(np.random.default_rng(11), 2, 150, 6)
    assert assert_as_on_the_cpu(outputs, "ssd", np.full(6, 0.05, np.float32), room=16, exact=True) > 20


def test_nothing_found_is_no_boxes() -> None:
    (first, _) = found(ssd(np.random.default_rng(12), 2, 30, 2), "ssd", np.full(2, 2.0, np.float32))
    assert first.boxes.shape == (0, 4)
    assert len(first.scores) == len(first.class_ids) == 0


STRANGE = np.array([np.nan, np.inf, -np.inf, 1e-20, 1e19, 3e38, -1e30, -0.0], np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 200),
    max_iou=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    by_class=st.booleans(),
    limit=st.integers(1, 200),
    strange=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
)
@pytest.mark.filterwarnings("ignore:(invalid value|overflow)")
def test_suppression_is_that_of_the_cpu_for_any_boxes(
    seed: int, rows: int, max_iou: float, by_class: bool, limit: int, strange: float
) -> None:
    """Boxes on whole pixels, so that many touch, coincide, are inverted or meet the threshold exactly. If too many are
    no boxes, both paths notice it."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(-3, 24, (1, rows, 7)).astype(np.float32)
    raw[..., 4:] = rng.integers(0, 5, (1, rows, 3)) / 4
    boxes = raw[..., :4]
    boxes[...] = np.where(rng.random(boxes.shape) < strange, rng.choice(STRANGE, boxes.shape), boxes)
    choice, outputs, least = BoxSelection(max_iou, limit, by_class), {"output": raw}, np.full(2, 0.25, np.float32)
    try:
        head_of(Model("made", "detector", "yolox-decoded", "none", SPEC, ("a", "b")))(outputs, SPEC, least)
    except PluginError:
        with pytest.raises(HeadMismatchError, match="inverted, outside the image or not numbers"):
            found(outputs, "yolox-decoded", least, choice)
    else:
        assert_as_on_the_cpu(outputs, "yolox-decoded", least, choice, exact=True)


def with_scores(head: str, spec: InputSpec, dtype: type[np.floating[Any]]) -> tuple[Outputs, NDArray[Any]]:
    """Returns outputs of two images with three classes, and a view of the scores in them [2, rows, columns]."""
    rng, rows = np.random.default_rng(13), sum(cells(spec, 8, 16, 32))
    if head == "ssd":
        of_ssd = {name: value.astype(dtype) for name, value in ssd(rng, 2, rows, 3).items()}
        return of_ssd, of_ssd["scores"]
    if head == "yolox":
        raw = yolox(rng, 2, rows, 3)["output"].astype(dtype)
        return {"output": raw}, raw[..., 4:]
    raw = np.concatenate((rng.random((2, rows, 3)), rng.normal(0, 2, (2, rows, 32))), axis=2).astype(dtype)
    return {"output": raw}, raw[..., :3]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("value", [np.nan, 7.0, -1.0])
@pytest.mark.parametrize("head", ["ssd", "yolox", "nanodet"])
def test_scores_that_are_no_probabilities_are_another_heads(
    head: str, value: float, dtype: type[np.floating[Any]]
) -> None:
    (outputs, scores), least = with_scores(head, SPEC, dtype), np.full(3, 0.4, np.float32)
    assert_as_on_the_cpu(outputs, head, least)
    scores[np.random.default_rng(0).random(scores.shape) < 0.6] = value
    with pytest.raises(HeadMismatchError, match=r"scores are not (numbers|from 0 to 1)"):
        found(outputs, head, least)
    with pytest.raises(PluginError, match=f"head '{head}'"):
        HEADS[head](outputs, SPEC, least)


@pytest.mark.parametrize("head", ["ssd", "yolox", "nanodet"])
def test_of_many_rows_only_some_are_checked_the_same_ones_on_both_paths(head: str) -> None:
    spec = InputSpec("images", 256, 256, ColourOrder.BGR, Resize.STRETCH)
    (outputs, scores), least = with_scores(head, spec, np.float32), np.full(3, 0.4, np.float32)
    scores[:, 1::5] = 7
    assert assert_as_on_the_cpu(outputs, head, least, spec=spec) > 10
    scores[0, 10] = 7
    with pytest.raises(HeadMismatchError, match=f"{scores.shape[2]} of the model's scores are not from 0 to 1"):
        found(outputs, head, least, spec=spec)


@pytest.mark.parametrize("head", ["ssd", "yolox", "yolox-decoded", "nanodet", "yunet"])
def test_outputs_of_another_form_are_refused_with_what_was_found(head: str) -> None:
    outputs = {"something": np.zeros((1, 7, 3), np.float32)}
    with pytest.raises(HeadMismatchError, match=rf"'{head}' reads .* produces something \[1, 7, 3\] float32"):
        found(outputs, head, np.full(1, 0.5, np.float32))


def test_a_head_without_a_kernel_is_refused() -> None:
    with pytest.raises(HeadMismatchError, match="no kernel decodes head 'pose', only detr, detr-labelled"):
        found({"a": np.zeros((1, 1, 1), np.float32)}, "pose", np.full(1, 0.5, np.float32))


def test_more_pictures_than_outputs_are_refused() -> None:
    device = HostDevice()
    outputs = ssd(np.random.default_rng(0), 1, 8, 2)
    tensors = {name: DeviceTensor(device.uploaded(v).address, v.shape, v.dtype) for name, v in outputs.items()}
    detect = Detect(device, device, "ssd", SPEC, np.full(2, 0.5, np.float32), CHOICE, 4)
    with pytest.raises(EngineError, match="2 images, but outputs for 1"):
        detect.run(tensors, [WHOLE] * 2, HostStream())
