"""Reads YAML into plain values with positions, within limits. No input can call code or grow without bound, and
what is not allowed is reported, not guessed.

Plain scalars follow the rules of YAML 1.2, which are JSON's: `yes`, `off`, `0755`, `1:30` and `2024-01-01` are
text here, not the boolean, octal number, sexagesimal number and date that YAML 1.1 silently makes of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yaml import nodes
from yaml.composer import Composer, ComposerError
from yaml.error import MarkedYAMLError
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner, ScannerError

from sightd.daemon.config.problems import LocatedProblem, PathKey, Position, Positions

TAG = "tag:yaml.org,2002:"
STRING, BOOL, INT, FLOAT, NULL = (TAG + name for name in ("str", "bool", "int", "float", "null"))

PATTERNS = {
    BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    NULL: re.compile(r"~|null|Null|NULL|"),
    INT: re.compile(r"[-+]?(0|[1-9][0-9]{0,17})"),
    FLOAT: re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?|[-+]?\.[0-9]{1,40}"),
}


def tag_of(text: str) -> str:
    """Returns the tag of a plain scalar."""
    return next((tag for tag, pattern in PATTERNS.items() if pattern.fullmatch(text)), STRING)


def read_scalar(text: str, tag: str) -> object:
    """Returns the value of a scalar under a tag. Raises ValueError if it does not fit."""
    if tag == STRING:
        return text
    if not PATTERNS[tag].fullmatch(text):
        raise ValueError(f"not {tag.removeprefix(TAG)}")
    if tag == BOOL:
        return text.lower() == "true"
    if tag == NULL:
        return None
    return int(text) if tag == INT else float(text)


MAX_BYTES = 2**20
MAX_DEPTH = 20
MAX_NODES = 50_000
"""Maximum number of keys, values and aliases in a file. PyYAML reads some ten thousand a second."""

_SYNTAX = (
    ("'\\t'", "a tab is used for indentation", "indent with spaces: YAML does not allow tabs"),
    (
        "mapping values are not allowed",
        'unexpected ":"',
        'check the indentation of this line, or put quotes around text that contains ": "',
    ),
    (
        "that cannot start any token",
        "a value cannot begin with this character",
        'put quotes around it: "..."',
    ),
    ("undefined alias", "no anchor has this name", 'put quotes around text that begins with "*"'),
    ("second occurrence", "this anchor is already defined", "give each anchor (&name) a different name"),
    ("unexpected end of stream", "a quote is not closed", "close the quotes"),
    ("document separator", "a quote is not closed", "close the quotes"),
    ("could not find expected ':'", "this line is neither `key: value` nor an item of a list", 'write "key: value"'),
    ("expected <block end>", "this line does not fit the lines above", "indent all keys of a section equally"),
    ("expected ',' or", "a bracket is not closed or a comma is missing", "write lists as [one, two]"),
    ("escape", "unknown escape in double quotes", "write \\\\ for a backslash, or use single quotes"),
    ("another document", "a second document begins here", 'remove "---": a file holds one configuration'),
    ("<document start>", "directives (% lines) are not supported", "remove the line"),
    ("tag", "tags are not supported", 'remove it, or put quotes around text that begins with "!"'),
    ("expected alphabetic", "expected a name", 'put quotes around text that begins with "*" or "&"'),
)


class YamlSyntaxError(Exception):
    """The text is not YAML that is supported here; it holds the one problem found."""

    def __init__(self, problem: LocatedProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Resolver(BaseResolver):
    def resolve(self, kind: type[nodes.Node], value: Any, implicit: Any) -> str:
        if kind is nodes.ScalarNode:
            return tag_of(value) if implicit[0] else STRING
        return TAG + ("seq" if kind is nodes.SequenceNode else "map")


class _Loader(Reader, Scanner, Parser, Composer, _Resolver):
    """PyYAML's composer with limits on depth and number; without a constructor, so no tag can create anything."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = self._count = 0

    def compose_node(self, parent: nodes.Node | None, index: int) -> nodes.Node | None:
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > MAX_DEPTH or self._count > MAX_NODES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            place = Position(mark.line + 1, mark.column + 1)
            raise _too_deep(place) if self._depth > MAX_DEPTH else _too_many(place)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def compose(text: str) -> nodes.Node | None:
    """Returns the tree of a text, None if it is empty. Raises YamlSyntaxError, whose message does not quote the
    text."""
    try:
        return _Loader(text).get_single_node()
    except ReaderError as error:
        message, hint = "this character is not allowed in YAML", "delete it, or escape it in double quotes"
        raise YamlSyntaxError(LocatedProblem((), message, hint, *_position_of(text, error.position))) from None
    except (MarkedYAMLError, ComposerError, ScannerError) as error:
        raise YamlSyntaxError(_syntax_problem(error)) from None
    except (
        RecursionError,
        OverflowError,
        ValueError,
        IndexError,
    ) as error:  # PyYAML's own, on broken escapes and the like
        raise YamlSyntaxError(LocatedProblem((), f"is not valid YAML ({type(error).__name__})", "", 1, 1)) from None


def _syntax_problem(error: MarkedYAMLError) -> LocatedProblem:
    mark = error.problem_mark or error.context_mark
    place = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    told = error.problem or ""
    for phrase, message, hint in _SYNTAX:
        if phrase in told:
            return LocatedProblem((), message, hint, *place)
    return LocatedProblem(
        (), "is not valid YAML from here on", "look for an unclosed quote or bracket just above", *place
    )


def _too_deep(place: Position) -> YamlSyntaxError:
    return YamlSyntaxError(LocatedProblem((), f"nested more than {MAX_DEPTH} deep", "look for a stray bracket", *place))


def _too_many(place: Position) -> YamlSyntaxError:
    return YamlSyntaxError(
        LocatedProblem(
            (), f"the file holds more than {MAX_NODES} keys and values", "no configuration needs so many", *place
        )
    )


def _position_of(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


MAX_VALUES = 20_000
"""Maximum number of values in a file after its aliases are expanded."""
MAX_MERGED = 10 * MAX_VALUES
"""Maximum number of pairs that its merge keys may name, whether or not a pair of the same key comes before."""

_QUOTE_HINT = 'remove the tag, or put quotes around text that begins with "!"'
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True)
class Document:
    """A file's values. There may be `problems` although most of it could be read. `root` is the tree of the text, and
    `scalars` its texts, numbers and booleans by path; several paths have the same one if aliases refer to it."""

    value: object
    positions: Positions
    problems: list[LocatedProblem]
    root: nodes.Node | None = None
    scalars: dict[PathKey, nodes.ScalarNode] = field(default_factory=dict)


def parse(text: str) -> Document:
    """Returns the values of a YAML text. Raises YamlSyntaxError if it is not YAML at all."""
    root = compose(text)
    builder = _Builder()
    value = builder.build(root, ()) if root is not None else None
    return Document(value, builder.positions, builder.problems, root, builder.scalars)


@dataclass(slots=True)
class _Builder:
    positions: Positions = field(default_factory=Positions)
    problems: list[LocatedProblem] = field(default_factory=list)
    scalars: dict[PathKey, nodes.ScalarNode] = field(default_factory=dict)
    count: int = 0
    merged: int = 0
    around: list[nodes.Node] = field(default_factory=list)

    def build(self, node: nodes.Node, path: PathKey) -> object:
        self.count += 1
        self.positions.values[path] = position_of(node)
        if self.count == MAX_VALUES:
            self._add_problem(
                node, path, f"aliases make this file larger than {MAX_VALUES} values", "write the values out"
            )
        if self.count >= MAX_VALUES:
            return None
        if any(node is outer for outer in self.around):
            self._add_problem(node, path, "an anchor contains an alias to itself", "write the values out")
            return None
        if len(self.around) > MAX_DEPTH:
            self._add_problem(node, path[:2], f"aliases make this more than {MAX_DEPTH} deep", "write the values out")
            return None
        if isinstance(node, nodes.ScalarNode):
            self.scalars[path] = node
            return self._scalar(node, path)
        self.around.append(node)
        try:
            return self._collection(node, path)
        finally:
            self.around.pop()

    def _collection(self, node: nodes.Node, path: PathKey) -> object:
        if node.tag not in (TAG + "seq", TAG + "map"):
            self._add_problem(node, path, "tags are not supported", _QUOTE_HINT)
        if isinstance(node, nodes.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, nodes.MappingNode)
        return self._mapping(node, path)

    def _scalar(self, node: nodes.ScalarNode, path: PathKey) -> object:
        if node.tag != STRING and node.tag not in PATTERNS:
            self._add_problem(node, path, "tags are not supported", _QUOTE_HINT)
            return None
        if _UNPRINTABLE.search(node.value):
            self._add_problem(node, path, "contains a control character", "remove NUL and control characters")
            return None
        try:
            return read_scalar(node.value, node.tag)
        except ValueError as error:
            self._add_problem(node, path, f"the tag does not fit the value: {error}", "remove the tag")
            return None

    def _mapping(self, node: nodes.MappingNode, path: PathKey) -> dict[str, object]:
        values: dict[str, object] = {}
        own: dict[str, Position] = {}
        for key_node, value_node in self._entries(node, path):
            if not isinstance(key_node, nodes.ScalarNode):
                self._add_problem(key_node, path, "a key must be plain text", 'write "key: value"')
                continue
            key = key_node.value
            if _UNPRINTABLE.search(key):
                self._add_problem(key_node, path, "the key contains a control character", "write keys as plain words")
                continue
            if key in own:
                first = own[key]
                self._add_problem(
                    key_node,
                    (*path, key),
                    f"duplicate key; first at line {first.line}, column {first.column}",
                    "keep one of the two",
                )
                continue
            own[key] = self.positions.keys[(*path, key)] = position_of(key_node)
            values[key] = self.build(value_node, (*path, key))
        return values

    def _entries(self, node: nodes.MappingNode, path: PathKey) -> list[tuple[nodes.Node, nodes.Node]]:
        """Returns a mapping's pairs. Those of a merge key (`<<: *anchor`) follow its own, except for keys that it has
        itself."""
        own = [pair for pair in node.value if not _is_merge(pair[0])]
        names = {key.value for key, _ in own if isinstance(key, nodes.ScalarNode)}
        for merge, source in node.value:
            if not _is_merge(merge):
                continue
            for mapping in source.value if isinstance(source, nodes.SequenceNode) else [source]:
                if not isinstance(mapping, nodes.MappingNode):
                    self._add_problem(source, path, "<< must be an alias of a mapping", "write <<: *name")
                    continue
                before, self.merged = self.merged, self.merged + len(mapping.value)
                if self.merged > MAX_MERGED:
                    if before <= MAX_MERGED:
                        self._add_problem(
                            source, path, f"<< stands for more than {MAX_MERGED} pairs", "write the values out"
                        )
                    return own
                for key, value in mapping.value:
                    if isinstance(key, nodes.ScalarNode) and key.value not in names and not _is_merge(key):
                        names.add(key.value)
                        own.append((key, value))
        return own

    def _add_problem(self, node: nodes.Node, path: PathKey, message: str, hint: str) -> None:
        self.problems.append(LocatedProblem(path, message, hint, *position_of(node)))


def position_of(node: nodes.Node) -> Position:
    """Returns where a node begins."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _is_merge(node: nodes.Node) -> bool:
    return isinstance(node, nodes.ScalarNode) and node.value == "<<" and node.style is None
