"""YOLO folders: one text file per image with lines `class cx cy w h` in fractions of its size, classes in `data.yaml`.

Both common layouts are read, images/train/a.jpg with labels/train/a.txt, and train/images/a.jpg with
train/labels/a.txt; without `data.yaml`, the file `classes.txt` names the classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from sightd.daemon.tools.label.labelled import (
    MOST_BOXES,
    MOST_FRAMES,
    Box,
    LabelError,
    LabelledFrame,
    LabelledFrames,
    checked_box,
    checked_labels,
)
from sightd.daemon.tools.media import PICTURES
from sightd.engines.files import read_regular
from sightd.plugins.images.still import StillError, read_still

_MOST_BYTES = 4 << 20
DATA, CLASSES = "data.yaml", "classes.txt"
_STRING = "tag:yaml.org,2002:str"


def is_yolo(folder: Path) -> bool:
    """Returns whether a folder names its classes as YOLO datasets do."""
    return (folder / DATA).is_file() or (folder / CLASSES).is_file()


def read_yolo(folder: Path) -> LabelledFrames:
    """Reads every image below `folder` that has a labels file, and those without one as frames without objects if they
    lie in an `images` folder. The paths in `data.yaml` are not followed. Raises LabelError with file and line."""
    labels, base = _labels(folder), folder.resolve()
    frames: list[LabelledFrame] = []
    left_out: list[str] = []
    for path in _images(folder):
        if not path.resolve().is_relative_to(base):
            raise LabelError(f"{path}: leads out of {folder} by a link: copy the image instead")
        if len(frames) == MOST_FRAMES:
            raise LabelError(f"{folder}: more than {MOST_FRAMES} images")
        try:
            height, width = read_still(path).shape[:2]
        except StillError as error:
            left_out.append(str(error))
            continue
        boxes = _boxes(_labels_file(path, folder), width, height, len(labels))
        frames.append(LabelledFrame(path, width, height, boxes, folder=str(path.parent.relative_to(folder))))
    if not frames:
        raise LabelError(f"{folder}: contains no readable image" + "".join(f"\n  {line}" for line in left_out))
    return LabelledFrames(labels, tuple(frames), tuple(left_out))


def write_yolo(data: LabelledFrames, folder: Path, names: dict[Path, str]) -> None:
    """Writes labels and `data.yaml` to `folder`, whose `images` folder holds the images as `names`. Raises OSError."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for frame in data.frames:
        lines = [_line(box, frame) for box in frame.boxes]
        target = folder / "labels" / Path(names[frame.path]).with_suffix(".txt").name
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    document = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(data.labels))}
    (folder / DATA).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _line(box: Box, frame: LabelledFrame) -> str:
    x1, y1, x2, y2 = box.xyxy
    sides = (x1 + x2) / 2 / frame.width, (y1 + y2) / 2 / frame.height, (x2 - x1) / frame.width, (y2 - y1) / frame.height
    return " ".join([str(box.label), *(f"{value:.6f}" for value in sides)])


def _labels(folder: Path) -> tuple[str, ...]:
    path = folder / DATA
    if not path.is_file():
        path = folder / CLASSES
        return checked_labels(_text(path).splitlines(), str(path))
    names = [_name(node, number, path) for number, node in enumerate(_listed(path))]
    return checked_labels(names, f"{path}: names")


def _listed(path: Path) -> list[yaml.Node]:
    """Returns the nodes of the classes in `data.yaml`. Nodes, unlike values, have a position, and no date among them
    can be invalid."""
    try:
        document = yaml.compose(_text(path), yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise LabelError(f"{path}: not YAML: {error}") from None
    pairs = document.value if isinstance(document, yaml.MappingNode) else []
    names = next((value for key, value in pairs if key.value == "names"), None)
    if isinstance(names, yaml.SequenceNode):
        return list(names.value)
    if isinstance(names, yaml.MappingNode):
        by_number = {key.value: value for key, value in names.value if isinstance(key, yaml.ScalarNode)}
        numbers = [str(number) for number in range(len(names.value))]
        if by_number.keys() == set(numbers):
            return [by_number[number] for number in numbers]
    where = f"{path}:{names.start_mark.line + 1}" if names else str(path)
    raise LabelError(f"{where}: `names` must list the classes, or map 0, 1, 2, … to them")


def _name(node: yaml.Node, number: int, path: Path) -> str:
    if isinstance(node, yaml.ScalarNode) and node.tag == _STRING:
        return str(node.value)
    found = f"{str(node.value)[:80]!r}: put it in quotes" if isinstance(node, yaml.ScalarNode) else "a list or mapping"
    raise LabelError(f"{path}:{node.start_mark.line + 1}: names: class {number} must be text, not {found}")


def _text(path: Path) -> str:
    try:
        return read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise LabelError(f"{path}: not UTF-8 text") from None


def _images(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file():
            in_images = "images" in path.relative_to(folder).parts[:-1]
            if in_images or path.with_suffix(".txt").is_file():
                yield path


def _labels_file(image: Path, folder: Path) -> Path:
    """Returns the path of an image's labels: the last folder `images` above it becomes `labels`."""
    parts = list(image.relative_to(folder).parts)
    for n in reversed(range(len(parts) - 1)):
        if parts[n] == "images":
            parts[n] = "labels"
            return folder.joinpath(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def _boxes(path: Path, width: int, height: int, classes: int) -> tuple[Box, ...]:
    if not path.exists():
        return ()
    boxes: list[Box] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        if len(boxes) == MOST_BOXES:
            raise LabelError(f"{path}:{number}: more than {MOST_BOXES} boxes")
        boxes.append(_box(line.split(), width, height, classes, f"{path}:{number}"))
    return tuple(boxes)


def _box(fields: list[str], width: int, height: int, classes: int, where: str) -> Box:
    """Reads a line; one with more than five fields is a polygon, whose bounding box is used."""
    try:
        label, values = int(fields[0]), [float(field) for field in fields[1:]]
    except ValueError:
        raise LabelError(f"{where}: expected a class number and fractions, found {' '.join(fields)[:80]!r}") from None
    if not 0 <= label < classes:
        raise LabelError(f"{where}: class {label}, but there are only the classes 0 to {classes - 1}")
    if len(values) == 4:
        cx, cy, w, h = values
        corners = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    elif len(values) >= 6 and len(values) % 2 == 0:
        corners = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
    else:
        raise LabelError(f"{where}: expected class, centre x, centre y, width and height")
    x1, y1, x2, y2 = corners
    return Box(label, checked_box((x1 * width, y1 * height, x2 * width, y2 * height), width, height, where))
