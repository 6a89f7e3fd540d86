"""Accepts the previous names of renamed options, and of their values, for one more version, with a warning.

Sections of the file are listed here; a plug-in lists its own in its `Config` (`renamed_options`, `renamed_values`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sightd.daemon.config.overrides import Override
from sightd.daemon.config.problems import LocatedProblem, PathKey, Position
from sightd.daemon.config.yaml import Document
from sightd.plugins.api import AnyPlugin, PluginConfig, PluginError


class _Renames(NamedTuple):
    """Previous and current names of a section's options, and of values by the current name of their option."""

    options: Mapping[str, str] = {}
    values: Mapping[str, Mapping[str, str]] = {}


_ANY = "*"
_SECTIONS: Mapping[tuple[str, ...], _Renames] = {
    ("cameras", _ANY, "reconnect"): _Renames({"first": "initial_delay", "longest": "max_delay"}),
    ("events",): _Renames({"keep": "retention", "most": "max_count"}),
}
"""By the path of the section."""


class _Use(NamedTuple):
    """An option given by its previous name, or a value. `twice`: the option is given by its current name as well."""

    path: PathKey
    previous: str
    current: str
    twice: bool = False
    is_value: bool = False

    @property
    def message(self) -> str:
        if self.is_value:
            return f"{self.previous} was renamed to {self.current}"
        both = ", and both names are given" if self.twice else ""
        return f"was renamed to {self.current}{both}"

    @property
    def hint(self) -> str:
        if self.twice:
            return f"use only {self.current}"
        return f"write {self.current}: the next version does not accept {self.previous}"


@dataclass(slots=True)
class RenamedOptions:
    """Renames options and values, and collects what to report about them. `problems`: options given by both names.
    `warnings`: one for each place in the file, even if several cameras share it by an alias.

    `find` returns a plug-in's class by name or raises PluginError."""

    find: Callable[[str], type[AnyPlugin]]
    problems: list[LocatedProblem] = field(default_factory=list)
    warnings: list[LocatedProblem] = field(default_factory=list)

    def rename(self, document: Document, file: str, overrides: Sequence[Override]) -> list[Override]:
        """Gives the document's options, and their positions, their current names. `file` is its name in messages.
        Returns the overrides with current names in their paths and values."""
        sections = {**_SECTIONS, **self._plugins(_kinds(document.value, overrides))}
        self._rename(document, file, sections)
        return [self._override(override, sections) for override in overrides]

    def _plugins(self, kinds: Iterable[tuple[str, str]]) -> dict[tuple[str, ...], _Renames]:
        """Returns what the plug-ins of these instances renamed; nothing for one that cannot be imported, which is
        reported elsewhere."""
        found: dict[tuple[str, ...], _Renames] = {}
        for name, kind in kinds:
            try:
                options = self.find(kind).Config
            except PluginError:
                continue
            if issubclass(options, PluginConfig):
                found["plugins", name] = _Renames(options.renamed_options, options.renamed_values)
        return found

    def _rename(self, document: Document, file: str, sections: Mapping[tuple[str, ...], _Renames]) -> None:
        uses: list[_Use] = []
        document.value = _renamed(document.value, (), sections, uses)
        positions, seen = document.positions, set[Position]()
        for use in uses:
            position = positions.value(use.path) if use.is_value else positions.key(use.path)
            if use.twice or position not in seen:
                self._report(use, file, position)
            seen.add(position)
            for table in (positions.keys, positions.values):
                if use.path in table and not use.twice and not use.is_value:
                    table[(*use.path[:-1], use.current)] = table.pop(use.path)

    def _override(self, override: Override, sections: Mapping[tuple[str, ...], _Renames]) -> Override:
        *section, option = override.path
        uses: list[_Use] = []
        whole = _renamed({option: override.value}, tuple(section), sections, uses)
        assert isinstance(whole, dict)
        ((current, value),) = whole.items()
        for use in uses:
            self._report(use, override.given_by, Position(0, 0))
        return replace(override, path=(*section, current), value=value)

    def _report(self, use: _Use, file: str, position: Position) -> None:
        group = self.problems if use.twice else self.warnings
        group.append(LocatedProblem(use.path, use.message, use.hint, *position, file))


def _kinds(value: object, overrides: Sequence[Override]) -> Iterator[tuple[str, str]]:
    """Yields the name and the plug-in of each instance that the file or an override gives options."""
    plugins = value.get("plugins") if isinstance(value, dict) else None
    entries = dict(plugins) if isinstance(plugins, dict) else {}
    for override in overrides:
        match override.path:
            case ("plugins", name, "use"):
                entries[name] = {"use": override.value}
            case ("plugins", name, *_):
                entries.setdefault(name, override.value if len(override.path) == 2 else {})
    for name, options in entries.items():
        use = options.get("use") if isinstance(options, dict) else None
        if isinstance(name, str):
            yield name, use if isinstance(use, str) else name


def _renamed(value: object, path: PathKey, sections: Mapping[tuple[str, ...], _Renames], uses: list[_Use]) -> object:
    """Returns the value at `path` with current names. An option that is given by both keeps the current one's value."""
    if not isinstance(value, dict) or not any(_leads_to(path, section) for section in sections):
        return value
    renames, result = _renames(path, sections), dict[str, object]()
    for key, item in value.items():
        current = renames.options.get(key, key)
        twice = current != key and current in value
        if current != key:
            uses.append(_Use((*path, key), key, current, twice))
        if not twice:
            result[current] = _value(item, (*path, current), renames.values.get(current, {}), sections, uses)
    return result


def _value(
    value: object,
    path: PathKey,
    values: Mapping[str, str],
    sections: Mapping[tuple[str, ...], _Renames],
    uses: list[_Use],
) -> object:
    if not isinstance(value, str):
        return _renamed(value, path, sections, uses)
    current = values.get(value, value)
    if current != value:
        uses.append(_Use(path, value, current, is_value=True))
    return current


def _renames(path: Sequence[str | int], sections: Mapping[tuple[str, ...], _Renames]) -> _Renames:
    """Returns what was renamed in the section at `path`."""
    for section, renames in sections.items():
        if len(path) == len(section) and _leads_to(path, section):
            return renames
    return _Renames()


def _leads_to(path: Sequence[str | int], section: Sequence[str]) -> bool:
    """Whether the section is at or below `path`."""
    return len(path) <= len(section) and all(
        expected in (step, _ANY) for step, expected in zip(path, section, strict=False)
    )
