"""What a file shows without options: head, classes, size and preprocessing of a detector."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from sightd.engines.errors import ModelFileError
from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_LABELS
from sightd.engines.model import ColourOrder, Resize
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import Stated, found_in, model_from_file
from sightd.engines.models.label_files import ClassNames
from tests.support.exports import ultralytics, write_export
from tests.support.networks import Shape, stored

THREE = ("class 0", "class 1", "class 2")
CELLS = 8 * 12 + 4 * 6 + 2 * 3
"""Of a 96x64 input at strides 8, 16 and 32."""
YOLOV5 = {"stride": "32", "names": "{0: 'a', 1: 'b'}"}


def export(folder: Path, outputs: dict[str, tuple[int, ...]], **options: object) -> Path:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
    return write_export(folder / "best.onnx", arrays, **options)  # type: ignore[arg-type]


def named(count: int) -> Stated:
    return Stated(names=ClassNames.listed([f"class {index}" for index in range(count)]))


@pytest.mark.parametrize(
    ("outputs", "metadata", "head", "ignored"),
    [
        ({"output0": (7, CELLS)}, ultralytics(), "yolo", 0),
        ({"output0": (6, 300)}, ultralytics(names={0: "a", 1: "b"}), "yolo", 0),
        ({"output0": (300, 6)}, ultralytics(end2end="True"), "yolo-end-to-end", 0),
        ({"output0": (300, 6)}, ultralytics(args="{'nms': True}"), "yolo-end-to-end", 0),
        ({"output0": (7 + 32, CELLS), "output1": (32, 16, 24)}, ultralytics("segment"), "yolo", 32),
        ({"output0": (300, 6 + 32), "output1": (32, 16, 24)}, ultralytics("segment"), "yolo-end-to-end", 32),
        ({"output0": (7 + 51, CELLS)}, ultralytics("pose", kpt_shape="[17, 3]"), "yolo", 51),
        ({"output0": (8, CELLS)}, ultralytics("obb"), "yolo-obb", 0),
        ({"output0": (300, 7)}, ultralytics("obb", end2end="True"), "yolo-obb-end-to-end", 0),
        ({"output0": (300, 7)}, ultralytics("obb", args="{'nms': True}"), "yolo-obb-end-to-end", 0),
        ({"output0": (3 * CELLS, 7)}, YOLOV5, "yolov5", 0),
    ],
)
def test_ultralytics_metadata_needs_nothing_else(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], metadata: dict[str, str], head: str, ignored: int
) -> None:
    model = model_from_file(export(tmp_path, outputs, metadata=metadata))
    assert (model.head, model.extra_columns) == (head, ignored)
    assert model.labels in (THREE, ("a", "b"))
    spec = model.input
    assert (spec.width, spec.height, spec.colour, spec.resize) == (96, 64, ColourOrder.RGB, Resize.LETTERBOX_CENTRE)
    assert spec.scale == pytest.approx(1 / 255)


RTDETR = "Ultralytics rtdetr-l model trained on coco.yaml"


@pytest.mark.parametrize(
    ("outputs", "metadata"),
    [
        ({"output0": (300, 7)}, ultralytics(description=RTDETR)),
        ({"output0": (300, 7)}, ultralytics(description="Ultralytics my-detr model")),
        ({"output0": (7, 7)}, ultralytics(description=RTDETR)),
        ({"output0": (300, 6)}, ultralytics(description=RTDETR, names={0: "a", 1: "b"})),
        ({"output0": (CELLS, 7)}, ultralytics(description="Ultralytics RT-DETR-x model")),
    ],
)
def test_the_rt_detr_of_ultralytics_is_recognised_by_its_metadata_or_by_rows_that_no_grid_has(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], metadata: dict[str, str]
) -> None:
    model = model_from_file(export(tmp_path, outputs, metadata=metadata))
    assert (model.head, model.labels) in [("ultralytics-detr", names) for names in (THREE, ("a", "b"))]
    assert (model.input.resize, model.input.colour, model.input.scale) == (Resize.STRETCH, ColourOrder.RGB, 1 / 255)


@pytest.mark.parametrize(
    ("shape", "rows", "head"),
    [
        ((1, 3, 640, 640), 300, "ultralytics-detr"),
        ((1, 3, 640, 640), 8400, "yolo"),
        ((1, 3, 160, 160), 525, "yolo"),
        ((1, 3, 64, 96), CELLS, "yolo"),
        ((1, 3, 64, 96), CELLS + 16 * 24, "yolo"),
        ((1, 3, "height", "width"), 300, "ultralytics-detr"),
    ],
)
def test_without_metadata_the_number_of_rows_tells_rt_detr_from_a_yolo_whose_axes_are_exchanged(
    tmp_path: Path, shape: Shape, rows: int, head: str
) -> None:
    path = export(tmp_path, {"output0": (rows, 84)}, shape=shape)
    assert model_from_file(path, Stated(names=ClassNames.listed(COCO_LABELS))).head == head
    for stated in ("yolo", "ultralytics-detr"):
        assert model_from_file(path, Stated(stated, ClassNames.listed(COCO_LABELS))).head == stated


def test_six_columns_are_those_of_suppressed_boxes_unless_the_metadata_says_rt_detr(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (300, 6)}, metadata=ultralytics(names={0: "a", 1: "b"}))
    assert model_from_file(path).head == "yolo-end-to-end"


def test_an_open_size_is_that_of_the_metadata(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata=ultralytics(), shape=("batch", 3, "height", "width"))
    assert (model_from_file(path).input.width, model_from_file(path).input.height) == (96, 64)


def test_a_file_for_several_images_at_a_time_is_refused(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata=ultralytics(), shape=(4, 3, 64, 96))
    with pytest.raises(ModelFileError, match="takes 4 images at a time: export it with a dynamic batch, or one of 1"):
        model_from_file(path)


COCO80: dict[str, dict[str, tuple[int, ...]]] = {
    "yolo": {"output0": (84, 8400)},
    "yolox": {"output": (CELLS, 85)},
    "yolov5": {"output": (3 * CELLS, 85)},
    "nanodet": {"output": (CELLS, 112)},
    "ssd": {"boxes": (1917, 4), "scores": (1917, 80)},
    "detr": {"logits": (300, 80), "pred_boxes": (300, 4)},
}


@pytest.mark.parametrize(("head", "outputs"), COCO80.items(), ids=COCO80)
def test_80_classes_without_names_are_those_of_coco(
    tmp_path: Path, head: str, outputs: dict[str, tuple[int, ...]]
) -> None:
    model = model_from_file(export(tmp_path, outputs))
    assert (model.head, model.labels) == (head, COCO_LABELS)


def test_the_columns_of_rf_detr_are_coco_ids(tmp_path: Path) -> None:
    model = model_from_file(export(tmp_path, {"dets": (300, 4), "labels": (300, 91)}))
    assert (model.head, model.labels) == ("rf-detr", COCO_IDENTIFIER_LABELS)
    assert (model.input.resize, model.input.mean) == (Resize.STRETCH, (0.485, 0.456, 0.406))


def test_rf_detr_of_three_classes_is_told_by_its_names_and_may_have_a_column_for_the_background(
    tmp_path: Path,
) -> None:
    for columns in (3, 4):
        path = export(tmp_path, {"dets": (300, 4), "labels": (300, columns)})
        model = model_from_file(path, named(3))
        assert (model.head, model.labels) == ("rf-detr", THREE)


NAMED: dict[str, dict[str, tuple[int, ...]]] = {
    "detr-labelled": {"labels": (300,), "boxes": (300, 4), "scores": (300,)},
    "mmdeploy": {"dets": (100, 5), "labels": (100,)},
    "tf-ssd": {
        "detection_boxes": (10, 4), "detection_classes": (10,), "detection_scores": (10,), "num_detections": (),
    },
}  # fmt: skip


@pytest.mark.parametrize(("head", "outputs"), NAMED.items(), ids=NAMED)
def test_heads_that_name_no_number_of_classes_need_labels(
    tmp_path: Path, head: str, outputs: dict[str, tuple[int, ...]]
) -> None:
    path = export(tmp_path, outputs)
    with pytest.raises(ModelFileError, match="does not contain the names: write labels:"):
        model_from_file(path)
    assert model_from_file(path, named(3)).head == head


@pytest.mark.parametrize(
    ("outputs", "labels", "heads"),
    [
        ({"a": (300, 4), "b": (300, 3)}, 3, "ssd or yolo-nas or detr or rf-detr"),
        ({"a": (300, 4), "b": (300, 80)}, None, "ssd or yolo-nas or detr"),
        ({"output": (30, 7)}, 2, None),
    ],
)
def test_shapes_that_several_heads_have_are_an_error_that_lists_them(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], labels: int | None, heads: str | None
) -> None:
    path = export(tmp_path, outputs)
    expected = "not the format of any known head" if heads is None else f"fits several heads: write head: {heads}$"
    with pytest.raises(ModelFileError, match=expected):
        model_from_file(path, Stated() if labels is None else named(labels))


@pytest.mark.parametrize("head", ["ssd", "yolo-nas", "detr"])
def test_a_stated_head_decides_between_them(tmp_path: Path, head: str) -> None:
    path = export(tmp_path, {"a": (300, 4), "b": (300, 80)})
    assert model_from_file(path, Stated(head)).head == head


def test_what_is_stated_must_not_contradict_the_file(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata=ultralytics())
    for stated, complaint in (
        (Stated("yolox"), "is not that of head yolox .* remove head"),
        (Stated("ssd"), "is not that of head ssd"),
        (named(2), r"3 classes \(head yolo\), but 2 labels are given"),
        (Stated(size=(640, 640)), "cannot run at 640x640"),
    ):
        with pytest.raises(ModelFileError, match=complaint):
            model_from_file(path, stated)
    renamed = Stated(names=ClassNames.listed(["x", "y", "z"]), colour=ColourOrder.BGR)
    model = model_from_file(path, renamed)
    assert (model.labels, model.input.colour) == (("x", "y", "z"), ColourOrder.BGR)


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        (ultralytics("classify"), "use it with the classifier plug-in"),
        (ultralytics(channels="1"), "takes images of 1 channels"),
    ],
)
def test_what_no_detector_can_read_is_refused_with_the_reason(
    tmp_path: Path, metadata: dict[str, str], complaint: str
) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata=metadata)
    with pytest.raises(ModelFileError, match=complaint):
        model_from_file(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", "__import__('os').system('true')"),
        ("names", "{0: open('/etc/passwd').read()}"),
        ("names", "[" * 500 + "]" * 500),
        ("names", "-" * 100_000 + "1"),
        ("names", "{" + ", ".join(f"{index}: 'x'" for index in range(200_000)) + "}"),
        ("names", "{99999999: 'a'}"),
        ("names", "{-1: 'a'}"),
        ("names", "{0: 1}"),
        ("names", "['" + "x" * 300 + "']"),
        ("imgsz", "[64]"),
        ("imgsz", "[0, 64]"),
        ("imgsz", "10**9"),
        ("stride", "'many'"),
        ("kpt_shape", "[1000000, 3]"),
        ("args", "{" * 3000),
    ],
)
def test_hostile_metadata_is_refused_without_being_run(tmp_path: Path, key: str, value: str) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata={**ultralytics(), key: value})
    with pytest.raises(ModelFileError, match=r"best\.onnx: the (metadata|names)"):
        model_from_file(path)


def test_unprintable_names_are_escaped(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (5, CELLS)}, metadata=ultralytics(names={0: "a\x1b[2J"}))
    assert model_from_file(path).labels == ("a\\x1b[2J",)


@pytest.mark.parametrize(
    ("shape", "dtype", "nhwc"),
    [
        (("batch", 3, 64, 96), "float16", False),
        (("batch", 64, 96, 3), "uint8", True),
        ((1, "h", "w", 3), "uint8", True),
    ],
)
def test_the_layout_of_the_image_is_read_from_the_file(tmp_path: Path, shape: Shape, dtype: str, nhwc: bool) -> None:
    path = export(tmp_path, NAMED["tf-ssd"], shape=shape, dtype=dtype)
    found = found_in(path, named(3))
    assert (found.image.nhwc, found.image.dtype) == (nhwc, dtype)
    assert model_from_file(path, named(3)).input.nhwc is nhwc


def test_a_uint8_input_takes_no_normalisation(tmp_path: Path) -> None:
    path = export(tmp_path, NAMED["tf-ssd"], shape=(1, 64, 96, 3), dtype="uint8")
    with pytest.raises(ModelFileError, match="remove scale, mean and std"):
        model_from_file(path, Stated(names=ClassNames.listed(THREE), scale=1 / 255))


def test_a_second_input_is_used_only_if_its_meaning_is_known(tmp_path: Path) -> None:
    path = export(tmp_path, NAMED["detr-labelled"], size_dtype="int32")
    assert model_from_file(path, named(3)).input.size_tensor == "orig_target_sizes"
    path = export(tmp_path, NAMED["detr-labelled"], size_dtype="float32")
    with pytest.raises(ModelFileError, match="is float32, not int64 or int32"):
        model_from_file(path, named(3))


@pytest.mark.parametrize("name", ["deimv2-femto", "deimv2-atto", "yolox-nano", "ssd-mobilenet-v2"])
def test_the_files_of_the_catalogue_are_recognised_as_what_the_catalogue_says(name: str) -> None:
    listed, model = Catalog.load().get(name), model_from_file(stored(name))
    assert (model.head, model.labels, model.input) == (listed.head, listed.labels, listed.input)


@pytest.mark.parametrize(
    ("classes", "labels"), [(80, COCO_LABELS), (3, None), (-80, None), (80.5, None), (np.nan, None)]
)
def test_the_number_of_labelled_classes_is_that_by_which_the_graph_divides(
    tmp_path: Path, classes: float, labels: tuple[str, ...] | None
) -> None:
    path = export(tmp_path, NAMED["detr-labelled"])
    network = onnx.load(path)
    network.graph.initializer.append(numpy_helper.from_array(np.array(classes, np.float32), "classes"))
    last = next(node for node in network.graph.node if list(node.output) == ["labels"])
    last.output[0] = "index"
    network.graph.node.append(helper.make_node("Mod", ["index", "classes"], ["labels"], fmod=1))
    onnx.save(network, str(path))
    if labels is None:
        with pytest.raises(ModelFileError, match="write labels: with the name of each class"):
            model_from_file(path)
    else:
        assert model_from_file(path).labels == labels
        with pytest.raises(ModelFileError, match="80 classes, but 3 labels"):
            model_from_file(path, named(3))


def test_a_graph_that_computes_its_labels_from_nothing_is_read_as_any_other(tmp_path: Path) -> None:
    path = export(tmp_path, NAMED["detr-labelled"])
    network = onnx.load(path)
    for kind in ("Cast", "Sub", "Mod", "Constant"):
        node = next(node for node in network.graph.node if list(node.output) == ["labels"])
        node.op_type = kind
        del node.input[:]
        path.write_bytes(network.SerializeToString())
        assert model_from_file(path, named(3)).head == "detr-labelled"


def test_outputs_of_unknown_shape_are_what_the_user_says(tmp_path: Path) -> None:
    path = export(tmp_path, {"output": (7, CELLS)})
    network = onnx.load(path)
    for axis in network.graph.output[0].type.tensor_type.shape.dim:
        axis.Clear()
    path.write_bytes(network.SerializeToString())
    with pytest.raises(ModelFileError, match="not the format of any known head"):
        model_from_file(path, named(3))
    assert model_from_file(path, replace(named(3), head="yolo")).head == "yolo"
    helper.set_model_props(network, ultralytics())
    path.write_bytes(network.SerializeToString())
    with pytest.raises(ModelFileError, match="fits several heads: write head: yolo or yolov5 or yolo-end-to-end"):
        model_from_file(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty. Export or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is only a pointer of Git LFS: run `git lfs pull`"),
        (b"PK\x03\x04" + bytes(99), "is a zip archive, as PyTorch writes it"),
        (b"\n<!DOCTYPE html><html>", "is a web page or XML"),
        (b"weights of a model", "is not an ONNX file, or damaged"),
        (b"\x08\x08" * 200_000, "has more than 100000 fields"),
        (b"\x3a\xff\xff\xff\x7f" + bytes(99), "is not a complete ONNX file: it has 104 bytes of 268435460"),
        (b"\x3a" + b"\xff" * 30, "is not an ONNX file, or damaged"),
    ],
)
def test_something_else_than_an_onnx_file_is_named_with_what_to_do(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "best.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"best.onnx {re.escape(complaint)}"):
        model_from_file(path)


def test_a_large_file_of_something_else_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.onnx"
    path.write_bytes(bytes(10))
    monkeypatch.setattr(onnx, "load", lambda *_args, **_options: pytest.fail("it was read"))
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(ModelFileError, match="is not an ONNX file"):
        model_from_file(path)


@pytest.mark.parametrize(
    ("outputs", "metadata", "shape", "complaint"),
    [
        ({"output0": (4, CELLS)}, ultralytics(names={}), (1, 3, 64, 96), "is not the format of any known head"),
        (
            {"output0": (7, CELLS)}, ultralytics(names={0: "a", 1: "b"}), (1, 3, 64, 96),
            r"3 classes \(head yolo\), but its metadata has 2 names: write labels:",
        ),
        (
            {"output0": (7, CELLS)}, ultralytics(), (1, 3, 1 << 15, 1 << 30),
            "export it for images of up to 16384 pixels each way",
        ),
    ],
)  # fmt: skip
def test_a_file_that_nothing_can_be_found_with_is_refused_with_what_to_do(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], metadata: dict[str, str], shape: Shape, complaint: str
) -> None:
    path = export(tmp_path, outputs, metadata=metadata, shape=shape)
    with pytest.raises(ModelFileError, match=complaint):
        model_from_file(path)


def test_a_file_without_outputs_has_no_head(tmp_path: Path) -> None:
    path = export(tmp_path, {"output0": (7, CELLS)}, metadata=ultralytics())
    network = onnx.load(path)
    del network.graph.output[:]
    path.write_bytes(network.SerializeToString())
    with pytest.raises(ModelFileError, match="has the output nothing, which is not the format of any known head"):
        model_from_file(path)
