"""Configuration errors: where in the file they are, what they are, and the line that fixes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sightd.daemon.common.redaction import redact
from sightd.engines.text import did_you_mean, printable_lines
from sightd.plugins.api.errors import ConfigProblem

PathKey = tuple[str | int, ...]
"""Path to a value in the file: ("cameras", "front", "chain", 0)."""


@dataclass(frozen=True, slots=True)
class LocatedProblem(ConfigProblem):
    """A configuration error with its position; `path` begins at the top of the file. `line` and `column` count from 1;
    `line` is 0 if it is not in the file's text.

    Never created with a secret in it: `message` and `hint` hold no value of a camera's source or of a reference.
    """

    line: int = 0
    column: int = 0
    file: str = ""
    name_only: bool = False
    """Only the name is wrong: what is below it can still be checked."""

    def __lt__(self, other: LocatedProblem) -> bool:
        """Whether it comes first in the file."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[int, int, str, str, str, str]:
        return self.line, self.column, dotted(self.path), self.message, self.hint, self.file

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        first = redact(": ".join(part for part in (place, dotted(self.path), self.message) if part))
        return printable_lines(f"{first}\n    {self.hint}" if self.hint else first)


class ConfigError(Exception):
    """A configuration cannot be used; `problems` holds every error found, in the order of the file.

    `warnings` would not have kept it from running; the text lists them after the errors.
    """

    def __init__(self, problems: Sequence[LocatedProblem], warnings: Sequence[LocatedProblem] = ()) -> None:
        self.problems, self.warnings = tuple(sorted(problems)), tuple(sorted(warnings))
        super().__init__("\n".join([*map(str, self.problems), *(f"warning: {warning}" for warning in self.warnings)]))


def dotted(path: PathKey) -> str:
    """Formats a path for people: `cameras.front.chain[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(key: str) -> str:
    """Formats a key for printing: quoted if it is not a plain word, shortened if it is long."""
    if key and all(letter.isalnum() or letter in "_-" for letter in key) and len(key) <= 64:
        return key
    return json.dumps(key if len(key) <= 40 else key[:37] + "...", ensure_ascii=False)


def unknown(what: str, word: str, known: Iterable[str]) -> tuple[str, str]:
    """Returns message and hint for a word that is not one of the known ones."""
    names = sorted(known)
    return f"unknown {what}{did_you_mean(word, names)}", f"known {what}s: {', '.join(names)}" if names else ""


class Position(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions by path. What came through an alias has the position of its anchor."""

    keys: dict[PathKey, Position] = field(default_factory=dict)
    values: dict[PathKey, Position] = field(default_factory=dict)

    def key(self, path: PathKey) -> Position:
        """Returns the position of the key, or of the list's value; if it is not in the file, of the nearest thing
        around it."""
        return self._nearest(path, self.keys, self.values)

    def value(self, path: PathKey) -> Position:
        """Returns where the value begins; if it is not in the file, the position of the nearest key around it."""
        if path in self.values:
            return self.values[path]
        return self.key(path)

    def located(self, path: PathKey, message: str, hint: str = "") -> LocatedProblem:
        """Returns a problem of the value at `path`, with its position."""
        return LocatedProblem(path, message, hint, *self.value(path))

    def _nearest(self, path: PathKey, *tables: dict[PathKey, Position]) -> Position:
        for length in range(len(path), -1, -1):
            for table in tables:
                if path[:length] in table:
                    return table[path[:length]]
        return START
