"""Configuration options set on the command line, such as `--set detector.min_score=0.01`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightd.daemon.config.model import Config
from sightd.daemon.config.problems import unknown
from sightd.daemon.config.yaml import YamlSyntaxError, parse


class OverrideError(ValueError):
    """A `--set` that cannot be parsed; the message explains the syntax."""


@dataclass(frozen=True, slots=True)
class Override:
    """One option: its path in the file, its value, and the command-line option it came from, for messages."""

    path: tuple[str, ...]
    value: object
    given_by: str = "--set"


def parse_override(text: str, plugins: Iterable[str] = ()) -> Override:
    """Parses `NAME.OPTION=VALUE`, where NAME is a section of the file (`render`, `cameras`, ...) or a plug-in's entry.

    VALUE is YAML: `0.5`, `true`, `[person, car]`, `2s`. `plugins` are known names, for "did you mean". Raises
    OverrideError, which never quotes the value.
    """
    way, equals, value = text.partition("=")
    path = tuple(part.strip() for part in way.split("."))
    if not equals or not all(path):
        raise OverrideError(f"--set {way}: write --set NAME.OPTION=VALUE, for example --set detector.min_score=0.4")
    if path[0] not in Config.model_fields:
        names = sorted(plugins)
        if names and path[0] not in names:
            message, hint = unknown(f'name "{path[0]}"', path[0], [*names, *Config.model_fields])
            raise OverrideError(f"--set {way}: {message} ({hint})")
        path = ("plugins", *path)
    if path[0] == "plugins" and len(path) < 3:
        raise OverrideError(f"--set {way}: no option given; write --set {way}.OPTION=VALUE")
    return Override(path, _value(way, value))


def apply(values: object, overrides: Sequence[Override]) -> dict[str, object]:
    """Returns the file's values with the overrides applied; later ones win. Does not modify `values`.

    Raises OverrideError if a path leads through a value that has no options.
    """
    result: object = values
    for override in overrides:
        result = _with(result, override.path, override)
    assert isinstance(result, dict) or not overrides
    return result if isinstance(result, dict) else {}


def _with(values: object, path: tuple[str, ...], override: Override) -> object:
    if not path:
        return override.value
    if values is not None and not isinstance(values, dict):
        raise OverrideError(f"--set {'.'.join(override.path)}: {path[0]} has no options at this level")
    current = values or {}
    return {**current, path[0]: _with(current.get(path[0]), path[1:], override)}


def _value(way: str, text: str) -> object:
    try:
        document = parse(text)
    except YamlSyntaxError as error:
        problem = error.problem
        raise OverrideError(f"--set {way}=...: {problem.message}; {problem.hint}") from None
    if document.problems:
        raise OverrideError(f"--set {way}=...: {document.problems[0].message}")
    return document.value
