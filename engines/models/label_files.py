"""Reads files of class names in the dialects that training tools write, and assigns the names to a model's outputs.

Dialects: one name per line; `id name` or `id: name` per line; `names` of a YOLO `data.yaml` (list or mapping); JSON (a
list of names, a mapping from ids to names, or COCO's `categories`); and TensorFlow's `item { id: 1 name: "…" }`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from sightd.engines.errors import EngineError
from sightd.engines.files import read_regular
from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_LABELS
from sightd.engines.text import printable

_MOST_BYTES = 1 << 20
_MOST_JSON = 1 << 26
"""COCO's annotations come with the categories."""
_MOST_CLASSES = 20_000
_MOST_NAME = 200
_PLACEHOLDERS = frozenset({"???", "n/a"})
"""What files write for ids that have no class."""


class LabelsError(EngineError):
    """A labels file cannot be read, or does not fit the model."""


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names by id. `numbered` is True if the source states the ids, and False if they are positions."""

    by_id: Mapping[int, str]
    numbered: bool

    @classmethod
    def listed(cls, names: Sequence[str]) -> ClassNames:
        return cls(dict(enumerate(names)), numbered=False)

    def __len__(self) -> int:
        return len(self.by_id)

    def in_order(self) -> tuple[str, ...]:
        """Returns the names in the order of their ids, without gaps."""
        return tuple(self.by_id[key] for key in sorted(self.by_id))

    def _from(self, first: int) -> tuple[str, ...]:
        """Returns a name for each id from `first` on; "" for ids that have none."""
        return tuple(self.by_id.get(key, "") for key in range(first, max(self.by_id) + 1))

    def for_classes(self, classes: int | None, *, from_one: bool = False, background: bool = False) -> tuple[str, ...]:
        """Returns the name of each class of a model with that number of classes, or None if the file does not show it.

        `from_one` says that the model counts its classes from 1. `background` says that it may have one class more, the
        last, that is no object. Raises LabelsError if the names do not fit.
        """
        fits = {classes, classes - 1} if background and classes is not None else {classes}
        if from_one and classes is None and self.in_order() == COCO_LABELS:
            return COCO_IDENTIFIER_LABELS[1:]
        if classes is not None and self.in_order() == COCO_LABELS and len(self) not in fits:
            for spread in (COCO_IDENTIFIER_LABELS, COCO_IDENTIFIER_LABELS[1:]):
                if len(spread) == classes:
                    return spread
        forms = self._forms(from_one=from_one)
        if classes is None:
            return forms[0]
        for form in forms:
            if len(form) in fits:
                return form
        if self.numbered and len(forms[-1]) < classes:
            return forms[-1] + ("",) * (classes - len(forms[-1]))
        raise LabelsError(f"{classes} classes, but {len(self)} labels are given")

    def _forms(self, *, from_one: bool) -> list[tuple[str, ...]]:
        """Returns how the names may be assigned, the most likely first."""
        if not self.numbered:
            return [self.in_order()]
        first = min(self.by_id)
        if first == 0:
            return [self._from(1 if from_one and self.by_id[0].casefold() == "background" else 0)]
        spread = self._from(1) if from_one else self._from(0)
        return [spread, self.in_order()] if from_one else [self.in_order(), spread]


def read_class_names(path: Path) -> ClassNames:
    """Reads a labels file of any dialect. Raises LabelsError, which says where and what is wrong, if it cannot be read,
    is not UTF-8, or has no names, too many, or an empty one."""
    names = _parsed(_text(path), path)
    if not names.by_id:
        raise LabelsError(f"labels file {path} is empty: write one name per line, in the order of the model output")
    if len(names) > _MOST_CLASSES or max(names.by_id) >= _MOST_CLASSES:
        raise LabelsError(f"labels file {path} has more than {_MOST_CLASSES} classes")
    for name in names.by_id.values():
        if len(name) > _MOST_NAME:
            raise LabelsError(f"labels file {path}: a name is longer than {_MOST_NAME} characters: {name[:40]}…")
    return ClassNames({key: _cleaned(name) for key, name in names.by_id.items()}, names.numbered)


def _cleaned(name: str) -> str:
    return "" if name.strip().casefold() in _PLACEHOLDERS else printable(name.strip())


def _text(path: Path) -> str:
    limit = _MOST_JSON if path.suffix.lower() == ".json" else _MOST_BYTES
    try:
        data = read_regular(path, limit)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise LabelsError(f"cannot read labels file {path} ({error.strerror})") from None
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise LabelsError(
            f"cannot read labels file {path}: line {line}, column {column} (byte 0x{data[error.start]:02x}) is not "
            "UTF-8: save it as UTF-8"
        ) from None


_NUMBERED = re.compile(r"(\d{1,6})\s*[:\s]\s*(\S.*)")
_NAMES_KEY = re.compile(r"^[\"']?names[\"']?\s*:", re.MULTILINE)
_ITEM = re.compile(r"\bitem\s*\{([^{}]*)\}")
_FIELD = re.compile(r"\b(id|name|display_name)\s*:\s*(?:(\d{1,6})|'([^'\n]*)'|\"([^\"\n]*)\")")


def _parsed(text: str, path: Path) -> ClassNames:
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return _of_json(text, path)
    if _ITEM.search(text) or text.lstrip().startswith("item"):
        return _of_items(text, path)
    if path.suffix.lower() in (".yaml", ".yml") or _NAMES_KEY.search(text):
        return _of_yaml(text, path)
    return _of_lines(text, path)


def _of_lines(text: str, path: Path) -> ClassNames:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise LabelsError(f"labels file {path}: line {lines.index('') + 1} is empty; write one name per line")
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = {int(match[1]): match[2] for match in matches if match}
    if lines and len(numbered) == len(lines):
        return ClassNames(numbered, numbered=True)
    return ClassNames.listed(lines)


def _of_json(text: str, path: Path) -> ClassNames:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise LabelsError(
            f"labels file {path}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise LabelsError(f"labels file {path} is nested too deeply") from None
    return _of_value(value, path)


def _of_yaml(text: str, path: Path) -> ClassNames:
    try:
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise LabelsError(f"labels file {path}: {where}not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise LabelsError(f"labels file {path}: not valid YAML") from None
    return _of_value(value, path)


def _of_value(value: object, path: Path) -> ClassNames:
    """Reads a list of names, a mapping from ids, or what holds one of them as `names` or `categories`."""
    if isinstance(value, dict):
        for key in ("categories", "names"):
            if isinstance(value.get(key), (list, dict)):
                return _of_value(value[key], path)
        if value and all(_is_id(key) and isinstance(name, str) for key, name in value.items()):
            return ClassNames({int(key): name for key, name in value.items()}, numbered=True)
    if isinstance(value, list):
        if all(isinstance(name, str) for name in value):
            return ClassNames.listed(value)
        entries = [(one.get("id"), one.get("name")) for one in value if isinstance(one, dict)]
        if len(entries) == len(value) and all(_is_id(key) and isinstance(name, str) for key, name in entries):
            return _distinct([(int(str(key)), str(name)) for key, name in entries], path)
    raise LabelsError(
        f"labels file {path} has no names: expected a list of names, a mapping from ids to names, `names:` as in a "
        "YOLO data.yaml, or `categories` as in COCO"
    )


def _is_id(key: object) -> bool:
    if isinstance(key, int):
        return not isinstance(key, bool) and 0 <= key < 10**6
    return isinstance(key, str) and re.fullmatch(r"[0-9]{1,6}", key) is not None


def _of_items(text: str, path: Path) -> ClassNames:
    found = []
    for item in _ITEM.finditer(text):
        fields = {field[1]: field[2] or field[3] or field[4] or "" for field in _FIELD.finditer(item[1])}
        name = fields.get("display_name") or fields.get("name")
        if not name or not _is_id(fields.get("id")):
            line = text.count("\n", 0, item.start()) + 1
            raise LabelsError(f"labels file {path}: line {line}: an item needs an id and a name or display_name")
        found.append((int(fields["id"]), name))
    if not found:
        raise LabelsError(f"labels file {path}: no complete item {{ id: 1 name: '…' }}")
    return _distinct(found, path)


def _distinct(found: Sequence[tuple[int, str]], path: Path) -> ClassNames:
    names = dict(found)
    if len(names) != len(found):
        twice = next(key for key in names if sum(key == other for other, _ in found) > 1)
        raise LabelsError(f"labels file {path}: the id {twice} is there twice")
    return ClassNames(names, numbered=True)
