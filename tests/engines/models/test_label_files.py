"""Files of class names in the dialects that tools write, and how the names are assigned to a model's classes."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_IDENTIFIERS, COCO_LABELS
from sightd.engines.models.label_files import ClassNames, LabelsError, read_class_names

NAMES = ("bolt", "nut", "wing nut")


def read(folder: Path, content: str | bytes, name: str = "labels.txt") -> ClassNames:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_class_names(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "bolt\nnut\nwing nut\n"),
        ("labels.txt", "\ufeffbolt \r\nnut\r\nwing nut\r\n\r\n"),
        ("labels.txt", "0 bolt\n1 nut\n2 wing nut\n"),
        ("labels.txt", "1: bolt\n2: nut\n3: wing nut\n"),
        ("data.yaml", "train: images\nnc: 3\nnames: [bolt, nut, wing nut]\n"),
        ("data.yaml", "names:\n  0: bolt\n  1: nut\n  2: wing nut\n"),
        ("labels.json", json.dumps(NAMES)),
        ("labels.json", json.dumps({"0": "bolt", "1": "nut", "2": "wing nut"})),
        ("coco.json", json.dumps({"categories": [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)]})),
        ("map.pbtxt", "".join(f"item {{\n  id: {i}\n  name: '{name}'\n}}\n" for i, name in enumerate(NAMES, 1))),
        ("map.pbtxt", "".join(f'item {{ name: "/m/0{i}" id: {i} display_name: "{name}" }}\n'
                              for i, name in enumerate(NAMES, 1))),
    ],
)  # fmt: skip
def test_every_dialect_gives_the_same_names(tmp_path: Path, name: str, content: str) -> None:
    names = read(tmp_path, content, name)
    assert names.in_order() == names.for_classes(3) == names.for_classes(None) == NAMES


def test_names_that_begin_with_a_number_are_no_ids_unless_all_do(tmp_path: Path) -> None:
    assert read(tmp_path, "2 wheeler\ntruck\n").in_order() == ("2 wheeler", "truck")


SPARSE = "1 person\n2 bicycle\n4 motorcycle\n"


def test_sparse_ids_leave_gaps_where_the_model_has_a_column_for_each_id(tmp_path: Path) -> None:
    names = read(tmp_path, SPARSE)
    assert names.for_classes(3) == ("person", "bicycle", "motorcycle")
    assert names.for_classes(5) == ("", "person", "bicycle", "", "motorcycle")
    assert names.for_classes(7) == ("", "person", "bicycle", "", "motorcycle", "", "")
    assert names.for_classes(None, from_one=True) == ("person", "bicycle", "", "motorcycle")
    with pytest.raises(LabelsError, match="2 classes, but 3 labels are given"):
        names.for_classes(2)


def test_cocos_names_fit_models_of_80_classes_and_of_its_ids(tmp_path: Path) -> None:
    listed = ClassNames.listed(COCO_LABELS)
    categories = [{"id": key, "name": name} for key, name in zip(COCO_IDENTIFIERS, COCO_LABELS, strict=True)]
    numbered = read(tmp_path, json.dumps({"categories": categories}), "coco.json")
    for names in (listed, numbered):
        assert names.for_classes(80) == COCO_LABELS
        assert names.for_classes(91, background=True) == COCO_IDENTIFIER_LABELS
        assert names.for_classes(None, from_one=True) == COCO_IDENTIFIER_LABELS[1:]


def test_placeholders_are_no_classes(tmp_path: Path) -> None:
    assert read(tmp_path, "???\nperson\nN/A\ncar\n").in_order() == ("", "person", "", "car")


def test_the_background_of_a_zero_based_map_is_not_the_first_class_of_tensorflow(tmp_path: Path) -> None:
    assert read(tmp_path, "0 background\n1 cat\n2 dog\n").for_classes(None, from_one=True) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("labels.txt", b"", "is empty"),
        ("labels.txt", b"bolt\n\nnut\n", "line 2 is empty"),
        ("labels.txt", b"bolt\nm\xfctter\n", r"line 2, column 2 \(byte 0xfc\) is not UTF-8: save it as UTF-8"),
        ("labels.txt", b"\xff\xfeb\x00", r"line 1, column 1 \(byte 0xff\)"),
        ("labels.txt", b"x" * 300, "a name is longer than 200 characters"),
        ("labels.txt", b"x\n" * 30_000, "more than 20000 classes"),
        ("labels.txt", b"999999 x\n", "more than 20000 classes"),
        ("labels.json", b"[1, 2]", "has no names"),
        ("labels.json", b'{"images": []}', "has no names"),
        ("labels.json", b'["a",\n "b"', "line 2, column 5: not valid JSON"),
        ("labels.json", b"[" * 100_000, "nested too deeply|not valid JSON"),
        ("data.yaml", b"names: [a, b\n", "line 2, column 1: not valid YAML"),
        ("data.yaml", b"names: 3\n", "has no names"),
        ("data.yaml", b"names: " + b"[" * 5000, "not valid YAML"),
        ("map.pbtxt", "item { id: \u00b2 name: 'a' }\n".encode(), "line 1: an item needs an id"),
        ("map.pbtxt", b"item { id: 1 }\n", "line 1: an item needs an id and a name"),
        ("map.pbtxt", b"item {\n id: 1\n name: 'a'\n", "no complete item"),
        ("map.pbtxt", b"item {id: 1 name: 'a'}\nitem {id: 1 name: 'b'}", "the id 1 is there twice"),
    ],
)
def test_a_file_of_no_use_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    with pytest.raises(LabelsError, match=rf"{name.replace('.', '[.]')}.*({complaint})"):
        read(tmp_path, content, name)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"cannot read labels file .*none\.txt \(No such file"):
        read_class_names(tmp_path / "none.txt")


def test_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    assert read(tmp_path, '["a\\u001b[2J"]', "labels.json").in_order() == ("a\\x1b[2J",)


def test_aliases_that_expand_to_millions_of_items_take_no_memory(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
    tracemalloc.start()
    try:
        with pytest.raises(LabelsError, match="has no names"):
            read(tmp_path, f"a0: &a0 [x]\n{levels}names: [{{id: *a7, name: x}}]\n", "data.yaml")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
