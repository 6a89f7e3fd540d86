"""Labelled frames in and out: COCO JSON, YOLO folders, dataset folders. Hostile ones are refused with the position."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.daemon.tools.label.dataset import (
    Dataset,
    Imported,
    export_coco,
    export_yolo,
    import_labelled,
    read_labelled,
)
from sightd.daemon.tools.label.labelled import Box, LabelError, LabelledFrame, LabelledFrames, State
from sightd.engines.files import write_whole

pytestmark = pytest.mark.computing

Change = Callable[[dict[str, Any]], object]


def write_image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 60, 3), shade, np.uint8))


def document() -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 30], "iscrowd": 0}],
        "categories": [{"id": 3, "name": "cog"}, {"id": 1, "name": "parcel"}],
    }


def write_coco(folder: Path, content: Any) -> Path:
    write_image(folder / "a.png")
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_is_read_with_classes_in_order_of_their_ids(tmp_path: Path) -> None:
    data = read_labelled(write_coco(tmp_path, document()))
    assert data.labels == ("parcel", "cog")
    (frame,) = data.frames
    assert frame.path == tmp_path / "a.png"
    assert frame.boxes == (Box(1, (10, 5, 30, 35)),)
    assert frame.state is State.CORRECTED


def test_crowds_are_skipped_and_said_so(tmp_path: Path) -> None:
    content = document()
    content["annotations"][0]["iscrowd"] = 1
    data = read_labelled(write_coco(tmp_path, content))
    assert data.frames[0].boxes == ()
    assert data.left_out == (f"{tmp_path / 'labels.json'}: 1 crowd regions were skipped",)


def image(key: str, value: object) -> Change:
    return lambda content: content["images"][0].update({key: value})


def annotation(key: str, value: object) -> Change:
    return lambda content: content["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (image("file_name", "../a.png"), r"images\[0\].file_name: '../a.png' is not a relative path"),
        (image("file_name", "/etc/passwd"), r"images\[0\].file_name: '/etc/passwd' is not a relative path"),
        (image("file_name", "b.png"), r"images\[0\].file_name: .*b.png does not exist"),
        (image("width", 10**9), r"images\[0\].width: Input should be less than or equal to 65535"),
        (image("height", 0), r"images\[0\].height: Input should be greater than or equal to 1"),
        (image("id", "7"), r"images\[0\].id: Input should be a valid integer"),
        (annotation("bbox", [float("nan"), 5, 20, 30]), r"annotations\[0\].bbox\[0\]: Input should be a finite number"),
        (annotation("bbox", [10, 5, float("inf"), 30]), r"annotations\[0\].bbox\[2\]: Input should be a finite number"),
        (annotation("bbox", [10, 5, 1e308, 30]), r"annotations\[0\].bbox: .* lies outside its frame of 60x40 pixels"),
        (annotation("bbox", [10, 5, 0, 30]), r"annotations\[0\].bbox: the box .* has no area"),
        (annotation("bbox", [70, 5, 20, 30]), r"annotations\[0\].bbox: the box .* lies outside its frame"),
        (annotation("bbox", [10, 5, 20]), r"annotations\[0\].bbox\[3\]: Field required"),
        (annotation("image_id", 8), r"annotations\[0\].image_id: there is no image 8"),
        (annotation("category_id", 2), r"annotations\[0\].category_id: there is no category 2"),
        (lambda content: content["images"].append(content["images"][0]), "images: two have the same id"),
        (lambda content: content["categories"].append({"id": 3, "name": "x"}), "categories: two have the same id"),
        (lambda content: content["categories"].append({"id": 4, "name": "Cog"}), "the class 'Cog' is listed twice"),
        (lambda content: content["categories"].append({"id": 4, "name": "\x1b[2J"}), "printable characters"),
        (lambda content: content["categories"].clear(), "names no class"),
        (lambda content: content.pop("images"), "images: Field required"),
    ],
)
def test_a_faulty_coco_file_is_refused_with_the_position(change: Change, message: str, tmp_path: Path) -> None:
    content = document()
    change(content)
    with pytest.raises(LabelError, match=message):
        read_labelled(write_coco(tmp_path, content))


def test_too_many_boxes_on_one_frame_are_refused(tmp_path: Path) -> None:
    content = document()
    content["annotations"] *= 2001
    with pytest.raises(LabelError, match=r"annotations\[2000\]: image 7 has more than 2000 boxes"):
        read_labelled(write_coco(tmp_path, content))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "secret.png")
    (tmp_path / "set").mkdir()
    content = document()
    content["images"][0]["file_name"] = "b.png"
    path = write_coco(tmp_path / "set", content)
    (tmp_path / "set" / "b.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(LabelError, match=r"images\[0\].file_name: .* is not a file below"):
        read_labelled(path)


@pytest.mark.parametrize("text", ["", "[1, 2", "[" * 100_000, "[]", "null"])
def test_what_is_no_coco_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(LabelError, match=r"labels\.json: "):
        read_labelled(tmp_path / "labels.json")


def test_an_image_of_another_size_than_its_labels_is_refused(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["width"] = 61
    (frame,) = read_labelled(write_coco(tmp_path, content)).frames
    with pytest.raises(LabelError, match="60x40 pixels, but its labels are for 61x40"):
        frame.image()


def write_yolo(folder: Path, lines: str = "1 0.5 0.5 0.2 0.5\n", names: str = "names: [parcel, cog]") -> Path:
    write_image(folder / "images" / "train" / "a.png")
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "labels" / "train" / "a.txt").write_text(lines)
    (folder / "data.yaml").write_text(names)
    return folder


def test_a_yolo_folder_is_read(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "train" / "nothing.png")
    data = read_labelled(write_yolo(tmp_path))
    assert data.labels == ("parcel", "cog")
    assert [(frame.name, len(frame.boxes)) for frame in data.frames] == [("a.png", 1), ("nothing.png", 0)]
    assert data.frames[0].boxes == (Box(1, (24, 10, 36, 30)),)


def test_the_other_yolo_layout_and_polygons_are_read(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "images" / "a.png")
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.6\n")
    (tmp_path / "data.yaml").write_text("names: {0: parcel, 1: cog}")
    (frame,) = read_labelled(tmp_path).frames
    assert frame.boxes[0].xyxy == pytest.approx((6, 4, 30, 24))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 0.5 0.5 0.2 0.5\n2 0.5 0.5 0.2 0.5", "a.txt:2: class 2, but there are only the classes 0 to 1"),
        ("-1 0.5 0.5 0.2 0.5", "a.txt:1: class -1"),
        ("1 nan 0.5 0.2 0.5", "a.txt:1: the box .* is not finite"),
        ("1 0.5 0.5 0.2", "a.txt:1: expected class, centre x, centre y, width and height"),
        ("cog 0.5 0.5 0.2 0.5", "a.txt:1: expected a class number and fractions, found 'cog"),
        ("1 30 20 12 20", "a.txt:1: the box .* lies outside its frame"),
        ("1 0.5 0.5 0 0.5", "a.txt:1: the box .* has no area"),
    ],
)
def test_a_faulty_yolo_line_is_refused_with_its_number(lines: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=message):
        read_labelled(write_yolo(tmp_path, lines))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("names: 3", "data.yaml:1: `names` must list the classes"),
        ("names: {1: a}", "data.yaml:1: `names` must list the classes"),
        ("train: .\nnames: {0: a, b: c}", "data.yaml:2: `names` must list the classes, or map 0, 1, 2"),
        ("names: {0: a, 0: c}", "data.yaml:1: `names` must list the classes"),
        ("names: {0: a, [1]: c}", "data.yaml:1: `names` must list the classes"),
        ("names: [[", "(?s)data.yaml: not YAML: .*line 1"),
        ("train: images", "data.yaml: `names` must list the classes"),
        ("names: [a, 2]", "data.yaml:1: names: class 1 must be text, not '2': put it in quotes"),
        ("names:\n- a\n- 2001-99-99", "data.yaml:3: names: class 1 must be text, not '2001-99-99': put it in quotes"),
        ("names: [a, [b]]", "data.yaml:1: names: class 1 must be text, not a list or mapping"),
        ("names: [a, A]", "data.yaml: names: the class 'A' is listed twice"),
    ],
)
def test_a_yolo_folder_without_usable_classes_is_refused_with_the_position(
    names: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LabelError, match=message):
        read_labelled(write_yolo(tmp_path, names=names))


@pytest.mark.parametrize("text", ["cup\nplate\n", "cup\r\nplate\r\n", "cup\nplate"])
def test_classes_txt_is_read_with_the_line_ends_of_every_system(text: str, tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_bytes(text.encode())
    assert read_labelled(tmp_path).labels == ("cup", "plate")


def test_a_yolo_image_that_is_damaged_is_left_out_and_named(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "images" / "train" / "b.png").write_bytes(b"no picture")
    data = read_labelled(tmp_path)
    assert [frame.name for frame in data.frames] == ["a.png"]
    assert "b.png" in data.left_out[0]


def test_a_folder_that_is_no_dataset_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"expected a dataset folder \(with dataset.json\)"):
        read_labelled(tmp_path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A stored dataset with one corrected frame and one that has a proposal."""
    Dataset.create(tmp_path / "yard", ["parcel", "cog"])
    with Dataset.edit(tmp_path / "yard") as dataset:
        for shade, state in ((10, State.CORRECTED), (20, State.PROPOSED)):
            write_image(tmp_path / f"{shade}.png", shade)
            score = 0.6 if state is State.PROPOSED else None
            boxes = (Box(1, (10.25, 5, 30, 35), state, score),)
            frame = LabelledFrame(tmp_path / f"{shade}.png", 60, 40, boxes, state, "film.mp4", shade / 10, "new")
            assert dataset.add((tmp_path / f"{shade}.png").read_bytes(), frame)
    return Dataset.open(tmp_path / "yard")


def test_a_dataset_keeps_what_it_was_given(dataset: Dataset) -> None:
    corrected, proposed = dataset.frames
    assert (corrected.state, corrected.source, corrected.time, corrected.reason) == (
        "corrected",
        "film.mp4",
        1.0,
        "new",
    )
    assert corrected.boxes == (Box(1, (10.25, 5, 30, 35)),)
    assert proposed.boxes == (Box(1, (10.25, 5, 30, 35), State.PROPOSED, 0.6),)
    assert corrected.image()[0, 0, 0] == 10
    assert [frame.state for frame in dataset.labelled([State.PROPOSED]).frames] == [State.PROPOSED]


@pytest.mark.parametrize("export", [export_coco, export_yolo])
def test_what_is_exported_can_be_read_and_imported_as_corrected(
    export: Callable[..., None], dataset: Dataset, tmp_path: Path
) -> None:
    export(dataset.labelled(State), tmp_path / "out")
    path = tmp_path / "out" / "annotations.json" if export is export_coco else tmp_path / "out"
    data = read_labelled(path)
    assert data.labels == ("parcel", "cog")
    for frame in data.frames:
        assert frame.boxes[0].xyxy == pytest.approx((10.25, 5, 30, 35), abs=0.01)
        assert frame.state is frame.boxes[0].state is State.CORRECTED
    with Dataset.edit(dataset.folder) as changed:
        assert import_labelled(changed, data, "tool") == Imported(0, 2, ()), "the images are known by their content"
    after = Dataset.open(dataset.folder).frames
    assert {frame.state for frame in after} == {State.CORRECTED}
    assert [(one.source, one.time, one.reason) for one in after] == [
        (one.source, one.time, one.reason) for one in dataset.frames
    ]


def test_what_an_import_states_of_a_known_frame_replaces_what_was_known(dataset: Dataset) -> None:
    known = dataset.frames[0]
    told = replace(known, boxes=(), source="other.mp4", time=7.5, reason="missed")
    with Dataset.edit(dataset.folder) as changed:
        told_frames = LabelledFrames(dataset.labels, (told,))
        assert import_labelled(changed, told_frames, "tool", replace=True) == Imported(0, 1, ())
    after = Dataset.open(dataset.folder).frame(known.name)
    assert (after.boxes, after.source, after.time, after.reason) == ((), "other.mp4", 7.5, "missed")


@pytest.mark.parametrize(
    ("state", "boxes"),
    [
        (State.PROPOSED, (Box(0, (1, 1, 9, 9), State.PROPOSED, 0.9),)),
        (State.NEW, ()),
        (State.CORRECTED, ()),
        (State.CORRECTED, (Box(0, (10.25, 5, 30, 35)),)),
        (State.CORRECTED, (Box(1, (10.25, 5, 31, 35)),)),
    ],
)
def test_what_is_corrected_here_is_replaced_only_on_request(
    state: State, boxes: tuple[Box, ...], dataset: Dataset
) -> None:
    corrected, proposed = dataset.frames
    other = LabelledFrames(dataset.labels, tuple(replace(one, boxes=boxes, state=state) for one in dataset.frames))
    with Dataset.edit(dataset.folder) as changed:
        assert import_labelled(changed, other, "tool") == Imported(0, 1, (corrected.name,))
    after = Dataset.open(dataset.folder)
    assert after.frame(corrected.name) == corrected
    assert after.frame(proposed.name).boxes == boxes
    with Dataset.edit(dataset.folder) as changed:
        taken = import_labelled(changed, LabelledFrames(dataset.labels, other.frames[:1]), "tool", replace=True)
        assert taken == Imported(0, 1, ())
    assert Dataset.open(dataset.folder).frame(corrected.name).boxes == boxes


def test_of_two_labels_for_one_image_in_an_import_the_first_is_kept_and_the_other_named(
    dataset: Dataset, tmp_path: Path
) -> None:
    write_image(tmp_path / "in" / "a.png", 77)
    (tmp_path / "in" / "b").mkdir()
    (tmp_path / "in" / "b" / "a.png").write_bytes((tmp_path / "in" / "a.png").read_bytes())
    content = document()
    content["images"].append({**content["images"][0], "id": 8, "file_name": "b/a.png"})
    (tmp_path / "in" / "labels.json").write_text(json.dumps(content))
    data = read_labelled(tmp_path / "in" / "labels.json")
    done = import_labelled(dataset, data, "tool")
    assert (done.new, done.taken, len(done.kept)) == (1, 0, 1)
    assert len(dataset.frame(done.kept[0]).boxes) == 1


def test_new_frames_of_a_yolo_folder_get_its_folders_as_sources(dataset: Dataset, tmp_path: Path) -> None:
    data = read_labelled(write_yolo(tmp_path / "in"))
    with Dataset.edit(dataset.folder) as changed:
        assert import_labelled(changed, data, "tool") == Imported(1, 0, ())
    assert {frame.source for frame in Dataset.open(dataset.folder).frames} == {"film.mp4", "images/train"}


def test_an_image_that_is_added_again_keeps_its_boxes(dataset: Dataset) -> None:
    before = dataset.frames
    with Dataset.edit(dataset.folder) as changed:
        for frame in before:
            proposed = replace(frame, boxes=(), state=State.PROPOSED, source="again.mp4")
            assert not changed.add(frame.path.read_bytes(), proposed)
    assert Dataset.open(dataset.folder).frames == before


def test_frames_are_removed_all_or_none(dataset: Dataset) -> None:
    good = dataset.frames[0].name
    with pytest.raises(LabelError, match="has no frame 'typo'"), Dataset.edit(dataset.folder) as changed:
        changed.remove([good, "typo"])
    assert Dataset.open(dataset.folder).frame(good).image() is not None
    with Dataset.edit(dataset.folder) as changed:
        assert changed.remove([good, good]) == 1
    assert [frame.path for frame in Dataset.open(dataset.folder).frames] == list((dataset.folder / "frames").iterdir())


def test_an_image_goes_only_after_the_dataset_was_stored_without_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("sightd.daemon.tools.label.dataset.write_whole", full)
    with (
        pytest.raises(LabelError, match=r"dataset\.json cannot be stored: No space left"),
        Dataset.edit(dataset.folder) as changed,
    ):
        changed.remove([frame.name for frame in changed.frames])
    assert [frame.image().shape for frame in Dataset.open(dataset.folder).frames] == [(40, 60, 3)] * 2


def test_an_image_that_cannot_be_stored_is_named_and_nothing_is_left(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list((dataset.folder / "frames").iterdir())

    def full(path: Path, content: bytes) -> None:
        if "b-" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_whole(path, content)

    monkeypatch.setattr("sightd.daemon.tools.label.dataset.write_whole", full)
    message = r"frames/b-.*\.png cannot be stored: No space left on device: free disk space"
    for name, shade in (("a", 50), ("b", 60)):
        write_image(tmp_path / "in" / f"{name}.png", shade)

    def add_both() -> None:
        with Dataset.edit(dataset.folder) as changed:
            for path in sorted((tmp_path / "in").iterdir()):
                changed.add(path.read_bytes(), LabelledFrame(path, 60, 40))

    with pytest.raises(LabelError, match=message):
        add_both()
    assert sorted((dataset.folder / "frames").iterdir()) == sorted(images)
    assert Dataset.open(dataset.folder).frames == dataset.frames


def test_an_error_of_who_edits_is_not_called_one_of_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    def read_what_is_missing() -> None:
        with Dataset.edit(dataset.folder) as changed:
            changed.remove([changed.frames[0].name])
            (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError) as raised:
        read_what_is_missing()
    assert raised.value.filename == str(tmp_path / "missing")
    assert Dataset.open(dataset.folder).frames == dataset.frames


def test_a_dataset_that_cannot_be_locked_is_named(dataset: Dataset) -> None:
    (dataset.folder / ".lock").unlink()
    (dataset.folder / ".lock").mkdir()
    with pytest.raises(LabelError, match="yard cannot be stored: Is a directory"), Dataset.edit(dataset.folder):
        pass


def test_editing_what_is_no_dataset_leaves_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="not a dataset"), Dataset.edit(tmp_path / "typo"):
        pass
    assert not (tmp_path / "typo").exists()


def test_only_the_owner_can_read_a_dataset(dataset: Dataset) -> None:
    assert dataset.folder.stat().st_mode & 0o777 == 0o700


def test_an_image_that_is_removed_and_added_again_stays(dataset: Dataset) -> None:
    with Dataset.edit(dataset.folder) as changed:
        frame = changed.frames[0]
        content = frame.path.read_bytes()
        changed.remove([frame.name])
        assert changed.add(content, frame)
    assert Dataset.open(dataset.folder).frame(frame.name) == frame


def test_classes_are_matched_by_name_on_import_and_unknown_ones_refused(dataset: Dataset, tmp_path: Path) -> None:
    content = document()
    content["categories"][0]["name"] = "Parcel"
    content["categories"][1]["name"] = "lamp"
    data = read_labelled(write_coco(tmp_path / "in", content))
    assert import_labelled(dataset, data, "in") == Imported(1, 0, ()), "no box is a lamp"
    assert [frame.boxes[0].label for frame in dataset.frames if frame.source == "in"] == [0]
    content["annotations"][0]["category_id"] = 1
    data = read_labelled(write_coco(tmp_path / "in", content))
    with pytest.raises(LabelError, match="the dataset has no class 'lamp'; its classes are parcel, cog"):
        import_labelled(dataset, data, "in")


def test_an_import_with_one_unreadable_image_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    data = read_labelled(write_coco(tmp_path / "in", document()))
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    with pytest.raises(LabelError, match="not a readable image"), Dataset.edit(dataset.folder) as changed:
        import_labelled(changed, data, "in")
    assert len(Dataset.open(dataset.folder).frames) == len(list((dataset.folder / "frames").iterdir())) == 2


def test_a_change_that_fails_is_not_stored(dataset: Dataset) -> None:
    name = dataset.frames[0].name

    def change() -> None:
        with Dataset.edit(dataset.folder) as changed:
            changed.relabel(name, (), State.CORRECTED)
            changed.relabel("x", (), State.CORRECTED)

    with pytest.raises(LabelError, match="has no frame 'x'"):
        change()
    assert Dataset.open(dataset.folder).frame(name).boxes


def test_a_dataset_is_made_once(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="is a dataset already"):
        Dataset.create(dataset.folder, ["a"])
    with pytest.raises(LabelError, match="make one with `sightd label create`"):
        Dataset.open(tmp_path)
