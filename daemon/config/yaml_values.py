"""Converts YAML nodes to plain values with positions; what is not allowed is reported, not guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yaml import nodes

from sightd.daemon.config import scalars
from sightd.daemon.config.positions import Position, Positions
from sightd.daemon.config.problems import ConfigProblem, PathKey, dotted
from sightd.daemon.config.yaml_nodes import MAX_DEPTH, compose

MAX_VALUES = 20_000
"""Maximum number of values in a file after its aliases are expanded."""
MAX_MERGED = 10 * MAX_VALUES
"""Maximum number of pairs that its merge keys may name, whether or not a pair of the same key comes before."""

_QUOTE_HINT = 'remove the tag, or put quotes around text that begins with "!"'
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True)
class Document:
    """A file's values. There may be `problems` although most of it could be read."""

    value: object
    positions: Positions
    problems: list[ConfigProblem]


def parse(text: str) -> Document:
    """Returns the values of a YAML text. Raises YamlSyntaxError if it is not YAML at all."""
    root = compose(text)
    builder = _Builder()
    value = builder.build(root, ()) if root is not None else None
    return Document(value, builder.positions, builder.problems)


@dataclass(slots=True)
class _Builder:
    positions: Positions = field(default_factory=Positions)
    problems: list[ConfigProblem] = field(default_factory=list)
    count: int = 0
    merged: int = 0
    around: list[nodes.Node] = field(default_factory=list)

    def build(self, node: nodes.Node, path: PathKey) -> object:
        self.count += 1
        self.positions.values[path] = position_of(node)
        if self.count == MAX_VALUES:
            self._tell(node, path, f"aliases make this file larger than {MAX_VALUES} values", "write the values out")
        if self.count >= MAX_VALUES:
            return None
        if any(node is outer for outer in self.around):
            self._tell(node, path, "an anchor contains an alias to itself", "write the values out")
            return None
        if len(self.around) > MAX_DEPTH:
            self._tell(node, path[:2], f"aliases make this more than {MAX_DEPTH} deep", "write the values out")
            return None
        if isinstance(node, nodes.ScalarNode):
            return self._scalar(node, path)
        self.around.append(node)
        try:
            return self._collection(node, path)
        finally:
            self.around.pop()

    def _collection(self, node: nodes.Node, path: PathKey) -> object:
        if node.tag not in (scalars.TAG + "seq", scalars.TAG + "map"):
            self._tell(node, path, "tags are not supported", _QUOTE_HINT)
        if isinstance(node, nodes.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, nodes.MappingNode)
        return self._mapping(node, path)

    def _scalar(self, node: nodes.ScalarNode, path: PathKey) -> object:
        if node.tag != scalars.STRING and node.tag not in scalars.PATTERNS:
            self._tell(node, path, "tags are not supported", _QUOTE_HINT)
            return None
        if _UNPRINTABLE.search(node.value):
            self._tell(node, path, "contains a control character", "remove NUL and control characters")
            return None
        try:
            return scalars.read(node.value, node.tag)
        except ValueError as error:
            self._tell(node, path, f"the tag does not fit the value: {error}", "remove the tag")
            return None

    def _mapping(self, node: nodes.MappingNode, path: PathKey) -> dict[str, object]:
        values: dict[str, object] = {}
        own: dict[str, Position] = {}
        for key_node, value_node in self._entries(node, path):
            if not isinstance(key_node, nodes.ScalarNode):
                self._tell(key_node, path, "a key must be plain text", 'write "key: value"')
                continue
            key = key_node.value
            if _UNPRINTABLE.search(key):
                self._tell(key_node, path, "the key contains a control character", "write keys as plain words")
                continue
            if key in own:
                first = own[key]
                self._tell(
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
                    self._tell(source, path, "<< must be an alias of a mapping", "write <<: *name")
                    continue
                before, self.merged = self.merged, self.merged + len(mapping.value)
                if self.merged > MAX_MERGED:
                    if before <= MAX_MERGED:
                        self._tell(source, path, f"<< stands for more than {MAX_MERGED} pairs", "write the values out")
                    return own
                for key, value in mapping.value:
                    if isinstance(key, nodes.ScalarNode) and key.value not in names and not _is_merge(key):
                        names.add(key.value)
                        own.append((key, value))
        return own

    def _tell(self, node: nodes.Node, path: PathKey, message: str, hint: str) -> None:
        self.problems.append(ConfigProblem(*position_of(node), dotted(path), message, hint))


def position_of(node: nodes.Node) -> Position:
    """Returns where a node begins."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _is_merge(node: nodes.Node) -> bool:
    return isinstance(node, nodes.ScalarNode) and node.value == "<<" and node.style is None
