"""Parses YAML into nodes with positions, within limits. No input can call code or grow without bound."""

from __future__ import annotations

from typing import Any

from yaml import nodes
from yaml.composer import Composer, ComposerError
from yaml.error import MarkedYAMLError
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner, ScannerError

from sightd.daemon.config import scalars
from sightd.daemon.config.positions import Position
from sightd.daemon.config.problems import ConfigProblem

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

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Resolver(BaseResolver):
    def resolve(self, kind: type[nodes.Node], value: Any, implicit: Any) -> str:
        if kind is nodes.ScalarNode:
            return scalars.kind(value) if implicit[0] else scalars.STRING
        return scalars.TAG + ("seq" if kind is nodes.SequenceNode else "map")


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
    """Returns the tree of a text, None if it is empty. Raises YamlSyntaxError, whose message quotes nothing of the
    text."""
    try:
        return _Loader(text).get_single_node()
    except ReaderError as error:
        place = _position_of(text, error.position)
        raise YamlSyntaxError(
            ConfigProblem(
                *place,
                "",
                "this character is not allowed in YAML",
                "delete it, or escape it in double quotes",
            )
        ) from None
    except (MarkedYAMLError, ComposerError, ScannerError) as error:
        raise YamlSyntaxError(_syntax_problem(error)) from None
    except (
        RecursionError,
        OverflowError,
        ValueError,
        IndexError,
    ) as error:  # PyYAML's own, on broken escapes and the like
        raise YamlSyntaxError(ConfigProblem(1, 1, "", f"is not valid YAML ({type(error).__name__})")) from None


def _syntax_problem(error: MarkedYAMLError) -> ConfigProblem:
    mark = error.problem_mark or error.context_mark
    place = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    told = error.problem or ""
    for phrase, message, hint in _SYNTAX:
        if phrase in told:
            return ConfigProblem(*place, "", message, hint)
    return ConfigProblem(
        *place, "", "is not valid YAML from here on", "look for an unclosed quote or bracket just above"
    )


def _too_deep(place: Position) -> YamlSyntaxError:
    return YamlSyntaxError(ConfigProblem(*place, "", f"nested more than {MAX_DEPTH} deep", "look for a stray bracket"))


def _too_many(place: Position) -> YamlSyntaxError:
    return YamlSyntaxError(
        ConfigProblem(
            *place, "", f"the file holds more than {MAX_NODES} keys and values", "no configuration needs so many"
        )
    )


def _position_of(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
