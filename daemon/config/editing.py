"""Edits single options in the text of a configuration file; all the rest of the text stays as it is written, comments,
order and quotes too.

Works on the positions of YAML's nodes instead of dumping a tree, because a tree cannot say to which option a comment
belongs. Every edit is checked: the new text must have exactly the intended values.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yaml import nodes

from sightd.daemon.config.problems import PathKey, dotted
from sightd.daemon.config.yaml import STRING, YamlSyntaxError, compose, parse, tag_of

_PLAIN = re.compile(r"[A-Za-z0-9_./~+][^\s,\[\]{}#&*!|>'\"%@`\x00-\x1f\x7f]*(?: [A-Za-z0-9_./()+-]+)*")
"""Texts that need no quotes anywhere."""
_ALIAS = re.compile(r"\s*(\*[^\s,\]}]+)")
_STEP = 2
"""Spaces by which a new mapping is indented."""


class EditError(Exception):
    """An option cannot be edited by itself; the message says why and what to do."""

    def __init__(self, path: PathKey, reason: str) -> None:
        super().__init__(f"{dotted(path)} {reason}; edit the text of the file instead")


def with_option(text: str, path: PathKey, value: object, *, before: str | None = None) -> str:
    """Returns the text with an option set to a JSON value. Missing mappings around it are added. A new option becomes
    the last one of its mapping, or comes before the one named. Raises EditError, or YamlSyntaxError if the text is not
    YAML."""
    expected = _values(text)
    around: Any = expected
    for step in path[:-1]:
        if not isinstance(around.get(step), dict):
            around[step] = {}
        around = around[step]
    around[path[-1]] = value
    return _checked(_set(text, path, value, before), expected, path)


def without_option(text: str, path: PathKey) -> str:
    """Returns the text without an option, and without the comment lines directly above it. Raises EditError,
    YamlSyntaxError, or KeyError if there is no such option."""
    expected = _values(text)
    around: Any = expected
    for step in path[:-1]:
        around = around.get(step) if isinstance(around, dict) else None
    if not isinstance(around, dict):
        raise KeyError(path[-1])
    del around[path[-1]]
    mapping = _mapping_at(text, path[:-1])
    if len(mapping.entries) == 1 and path[:-1]:
        return _checked(_set(text, path[:-1], {}, None), expected, path)
    return _checked(_deleted(text, mapping, mapping.index(path)), expected, path)


def with_order(text: str, path: PathKey, names: Sequence[str]) -> str:
    """Returns the text with the options of the mapping at `path` in this order, each with the comment lines directly
    above it. `names` must be those of all options. Raises EditError or YamlSyntaxError."""
    expected = _values(text)
    mapping = _mapping_at(text, path)
    order = [mapping.index((*path, name)) for name in names]
    if sorted(order) != list(range(len(mapping.entries))):
        raise EditError(path, "takes some of its options from elsewhere (<<)")
    spans = [mapping.chunk(text, index) for index in range(len(order))]
    pieces = [text[slice(*spans[index])] for index in order]
    if not mapping.in_flow:
        pieces = [piece if piece.endswith("\n") else piece + "\n" for piece in pieces]
    for span, piece in reversed(list(zip(spans, pieces, strict=True))):
        text = _replaced(text, span, piece)
    if list(_at(_values(text), path)) != list(names):
        raise EditError(path, "cannot be reordered")
    return _checked(text, expected, path)


def _values(text: str) -> dict[str, Any]:
    value = copy.deepcopy(parse(text).value)
    return value if isinstance(value, dict) else {}


def _at(value: Any, path: PathKey) -> Mapping[str, Any]:
    for step in path:
        value = value[step]
    return value if isinstance(value, dict) else {}


def _checked(text: str, expected: Mapping[str, Any], path: PathKey) -> str:
    """Returns the text if it has the expected values. An alias elsewhere may refer to what was changed."""
    try:
        found = _values(text)
    except YamlSyntaxError:
        found = {}
    if found != expected:
        raise EditError(path, "is written in a form, or shared by an alias, so that it cannot be changed by itself")
    return text


@dataclass(frozen=True, slots=True)
class _Entry:
    """An option: its name, where its key begins, and where its value begins and ends in the text."""

    name: str
    start: int
    column: int
    value_start: int
    value_end: int
    value: nodes.Node | None
    """None if it is an alias."""


@dataclass(frozen=True, slots=True)
class _Mapping:
    """A mapping with its own entries, without those of merge keys."""

    entries: Sequence[_Entry]
    in_flow: bool
    start: int
    end: int

    def index(self, path: PathKey) -> int:
        for index, entry in enumerate(self.entries):
            if entry.name == path[-1]:
                return index
        raise EditError(path, "comes from another part of the file (<<)")

    def chunk(self, text: str, index: int) -> tuple[int, int]:
        """Returns where an entry begins and ends: between brackets without the comma, else whole lines with the comment
        lines directly above it."""
        entry = self.entries[index]
        if self.in_flow:
            return entry.start, entry.value_end
        start = _line_start(text, entry.start)
        while (above := _line_start(text, start - 1)) < start and _is_comment(text[above:start], entry.column):
            start = above
        last = index + 1 == len(self.entries)
        end = self.end if last else _line_start(text, self.entries[index + 1].start)
        return start, _trimmed(text, _line_end(text, entry.start), end, entry.column)


def _trimmed(text: str, least: int, end: int, column: int) -> int:
    """Returns `end` before the blank lines and comments that do not belong to the lines above, but not below
    `least`."""
    while end > least:
        start = _line_start(text, end - 1)
        line = text[start:end].strip()
        if line and not (line.startswith("#") and _indent(text[start:end]) <= column):
            break
        end = start
    return max(end, least)


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, max(index, 0)) + 1


def _line_end(text: str, index: int) -> int:
    """Returns the index behind the line's end."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_comment(line: str, column: int) -> bool:
    return line.lstrip(" ").startswith("#") and _indent(line) == column


def _mapping_at(text: str, path: PathKey) -> _Mapping:
    """Returns the mapping at a path. Raises EditError if there is none that can be edited."""
    mapping = _mapping_of(text, compose(text), in_flow=False, path=())
    for depth, step in enumerate(path):
        here = path[: depth + 1]
        entry = mapping.entries[mapping.index((*here,))]
        del step
        mapping = _mapping_of(text, entry.value, mapping.in_flow, here)
    return mapping


def _mapping_of(text: str, node: nodes.Node | None, in_flow: bool, path: PathKey) -> _Mapping:
    if not isinstance(node, nodes.MappingNode):
        raise EditError(path, "is no mapping of its own")
    in_flow = in_flow or bool(node.flow_style)
    entries = [_entry(text, key, value) for key, value in node.value]
    return _Mapping(entries, in_flow, node.start_mark.index, node.end_mark.index)


def _entry(text: str, key: nodes.Node, value: nodes.Node) -> _Entry:
    start, colon = key.start_mark, text.index(":", key.end_mark.index)
    name = key.value if isinstance(key, nodes.ScalarNode) else ""
    if value.start_mark.index < colon:  # an alias of what was before
        alias = _ALIAS.match(text, colon + 1)
        if alias is None:
            raise EditError((name,), "is written in an unusual form")
        return _Entry(name, start.index, start.column, alias.start(1), alias.end(1), None)
    return _Entry(name, start.index, start.column, value.start_mark.index, value.end_mark.index, value)


def _set(text: str, path: PathKey, value: object, before: str | None) -> str:
    root = compose(text)
    if root is None or (isinstance(root, nodes.ScalarNode) and not root.value):
        return _with_line_end(text) + _block(_nested(path, value), 0)
    mapping = _mapping_of(text, root, in_flow=False, path=())
    for depth, step in enumerate(path):
        here, inner = path[: depth + 1], _nested(path[depth + 1 :], value)
        entry = next((one for one in mapping.entries if one.name == step), None)
        if entry is None:
            return _inserted(text, mapping, str(step), inner, before)
        if depth + 1 == len(path) or _is_empty(entry.value):
            return _with_value(text, mapping, mapping.entries.index(entry), inner)
        mapping = _mapping_of(text, entry.value, mapping.in_flow, here)
    raise AssertionError(path)


def _nested(path: PathKey, value: object) -> object:
    for step in reversed(path):
        value = {step: value}
    return value


def _is_empty(node: nodes.Node | None) -> bool:
    """Whether a value is nothing yet: null, or a mapping without entries."""
    if isinstance(node, nodes.ScalarNode):
        return node.style is None and node.value in ("", "~", "null")
    return isinstance(node, nodes.MappingNode) and not node.value


def _with_value(text: str, mapping: _Mapping, index: int, value: object) -> str:
    entry = mapping.entries[index]
    if mapping.in_flow:
        return _replaced(text, (entry.value_start, entry.value_end), _flow(value))
    colon = text.index(":", entry.start + len(entry.name)) + 1
    rest = _after_key(value, entry.column)
    if not isinstance(entry.value, nodes.CollectionNode) or entry.value.flow_style:
        if not rest.startswith("\n") and entry.value_start > colon:
            return _replaced(text, (entry.value_start, entry.value_end), rest.strip())
        end = _line_end(text, max(entry.value_end - 1, colon))
        comment = text[max(entry.value_end, colon) : end].strip()
        head, _, lines = rest.partition("\n")
        return _replaced(text, (colon, end), f"{head}{'  ' if comment else ''}{comment}\n{lines}")
    _, end = mapping.chunk(text, index)
    return _replaced(text, (colon, end), rest)


def _after_key(value: object, column: int) -> str:
    """Writes what follows the colon of an option whose key is at `column`, with the line break."""
    if isinstance(value, dict) and value:
        return "\n" + _block(value, column + _STEP)
    return f" {_flow(value)}\n"


def _inserted(text: str, mapping: _Mapping, name: str, value: object, before: str | None) -> str:
    index = next((number for number, one in enumerate(mapping.entries) if one.name == before), len(mapping.entries))
    if mapping.in_flow:
        piece = f"{_scalar(name)}: {_flow(value)}"
        if not mapping.entries:
            return _replaced(text, (mapping.start + 1, mapping.start + 1), piece)
        if index < len(mapping.entries):
            at = mapping.entries[index].start
            return _replaced(text, (at, at), f"{piece}, ")
        at = mapping.entries[-1].value_end
        return _replaced(text, (at, at), f", {piece}")
    column = mapping.entries[0].column
    last = index == len(mapping.entries)
    start, end = mapping.chunk(text, index - 1 if last else index)
    at = end if last else start
    head = _with_line_end(text[:at]) if last else text[:at]
    return head + _block({name: value}, column) + text[at:]


def _deleted(text: str, mapping: _Mapping, index: int) -> str:
    start, end = mapping.chunk(text, index)
    if mapping.in_flow and index + 1 < len(mapping.entries):
        end = mapping.entries[index + 1].start
    elif mapping.in_flow and index:
        start = mapping.entries[index - 1].value_end
    return _replaced(text, (start, end), "")


def _replaced(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


def _with_line_end(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _block(values: object, column: int) -> str:
    """Writes a mapping in lines, indented by `column`."""
    assert isinstance(values, dict)
    return "".join(f"{' ' * column}{_scalar(name)}:{_after_key(value, column)}" for name, value in values.items())


def _flow(value: object) -> str:
    """Writes a value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(str(name))}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(value: str) -> str:
    """Writes a text, in quotes if it could mean something else without them."""
    is_plain = _PLAIN.fullmatch(value) and tag_of(value) == STRING and not value.endswith(":") and ": " not in value
    return value if is_plain else json.dumps(value, ensure_ascii=False)
