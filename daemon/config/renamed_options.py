"""Accepts the previous names of renamed options for one more version, with a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sightd.daemon.config.overrides import Override
from sightd.daemon.config.problems import LocatedProblem, PathKey, Position
from sightd.daemon.config.yaml import Document

_ANY = "*"
_RENAMED: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("cameras", _ANY, "reconnect"): {"first": "initial_delay", "longest": "max_delay"},
    ("events",): {"keep": "retention", "most": "max_count"},
}
"""Previous and current names of options, by the path of their section."""


class _Use(NamedTuple):
    """An option given by its previous name. `twice`: by its current name as well."""

    path: PathKey
    current: str
    twice: bool

    @property
    def message(self) -> str:
        both = ", and both names are given" if self.twice else ""
        return f"was renamed to {self.current}{both}"

    @property
    def hint(self) -> str:
        if self.twice:
            return f"use only {self.current}"
        return f"write {self.current}: the next version does not accept {self.path[-1]}"


@dataclass(slots=True)
class RenamedOptions:
    """Renames options and collects what to report about it. `problems`: options given by both names. `warnings`: one
    for each place in the file, even if several cameras share it by an alias."""

    problems: list[LocatedProblem] = field(default_factory=list)
    warnings: list[LocatedProblem] = field(default_factory=list)

    def rename(self, document: Document, file: str) -> None:
        """Gives the document's options, and their positions, their current names. `file` is its name in messages."""
        uses: list[_Use] = []
        document.value = _renamed(document.value, (), uses)
        positions, seen = document.positions, set[Position]()
        for use in uses:
            position = positions.key(use.path)
            if use.twice or position not in seen:
                self._report(use, file, position)
            seen.add(position)
            for table in (positions.keys, positions.values):
                if use.path in table and not use.twice:
                    table[(*use.path[:-1], use.current)] = table.pop(use.path)

    def renamed(self, overrides: Sequence[Override]) -> list[Override]:
        """Returns the overrides with current names in their paths and values."""
        return [self._override(override) for override in overrides]

    def _override(self, override: Override) -> Override:
        uses: list[_Use] = []
        *section, option = override.path
        current = _names(section).get(option, option)
        if current != option:
            uses.append(_Use(override.path, current, twice=False))
        value = _renamed(override.value, override.path, uses)
        for use in uses:
            self._report(use, override.given_by, Position(0, 0))
        return replace(override, path=(*section, current), value=value)

    def _report(self, use: _Use, file: str, position: Position) -> None:
        group = self.problems if use.twice else self.warnings
        group.append(LocatedProblem(use.path, use.message, use.hint, *position, file))


def _renamed(value: object, path: PathKey, uses: list[_Use]) -> object:
    """Returns the value at `path` with current names. An option that is given by both keeps the current one's value."""
    if not isinstance(value, dict) or not any(_leads_to(path, section) for section in _RENAMED):
        return value
    names, result = _names(path), dict[str, object]()
    for key, item in value.items():
        if key not in names:
            result[key] = _renamed(item, (*path, key), uses)
            continue
        twice = names[key] in value
        uses.append(_Use((*path, key), names[key], twice))
        if not twice:
            result[names[key]] = item
    return result


def _names(path: Sequence[str | int]) -> Mapping[str, str]:
    """Returns the renamed options of the section at `path`."""
    for section, names in _RENAMED.items():
        if len(path) == len(section) and _leads_to(path, section):
            return names
    return {}


def _leads_to(path: Sequence[str | int], section: Sequence[str]) -> bool:
    """Whether the section is at or below `path`."""
    return len(path) <= len(section) and all(
        expected in (step, _ANY) for step, expected in zip(path, section, strict=False)
    )
