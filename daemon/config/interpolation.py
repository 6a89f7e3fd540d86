"""Interpolates `${env:NAME}` and `${file:PATH}` in any text of the file; `$${` stands for a literal `${`."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions
from sightd.engines.files import read_regular

MAX_FILE = 64 * 1024

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<kind>[a-z]+):(?P<name>[^{}\r\n]+)\}|\$\{")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def without_references(text: str) -> str:
    """Returns the text without its references."""
    return _REFERENCE.sub(lambda match: "" if match["kind"] else match[0], text)


class _UnresolvedError(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(slots=True)
class Resolved:
    """Values with every reference replaced. `secrets` are the texts that came from references: never print them.

    `paths`: of texts that contain references; `whole`: of texts that are a single reference and nothing else;
    `failed`: paths of those that could not be resolved.
    """

    value: object = None
    whole: set[PathKey] = field(default_factory=set)
    paths: set[PathKey] = field(default_factory=set)
    failed: set[PathKey] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    problems: list[LocatedProblem] = field(default_factory=list)


def resolve(
    value: object, positions: Positions, *, folder: Path, environ: Mapping[str, str], files: Mapping[Path, Path]
) -> Resolved:
    """Replaces the references in a file's values. A relative PATH is resolved from `folder`, the configuration file's
    own; `files` maps paths to files that are read instead.

    A byte order mark at the start of a file's text and newlines at its end are cut off. An empty value is a problem,
    because it is usually a missing secret. Before the "@" of an address a
    value is percent-encoded, so that passwords are stored as they are.
    """
    resolver = _Resolver(positions, folder, environ, files)
    resolver.resolved.value = resolver.walk(value, ())
    return resolver.resolved


class _Resolver:
    def __init__(
        self, positions: Positions, folder: Path, environ: Mapping[str, str], files: Mapping[Path, Path]
    ) -> None:
        self.positions, self.folder, self.environ, self.files = positions, folder, environ, files
        self.resolved = Resolved()

    def walk(self, value: object, path: PathKey) -> object:
        if isinstance(value, dict):
            return {key: self.walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, (*path, index)) for index, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) and "${" in value else value

    def _text(self, text: str, path: PathKey) -> str:
        sign = text.rfind("@") if _ADDRESS.match(text) else -1

        def replacement(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            self.resolved.paths.add(path)
            found = self._lookup(match)
            self.resolved.secrets |= {found, quote(found, safe="")}
            return quote(found, safe="") if match.start() < sign else found

        try:
            result = _REFERENCE.sub(replacement, text)
        except _UnresolvedError as error:
            self.resolved.problems.append(self.positions.located(path, error.message, error.hint))
            self.resolved.failed.add(path)
            return ""
        only = _REFERENCE.fullmatch(text)
        if only and only["kind"]:
            self.resolved.whole.add(path)
        return result

    def _lookup(self, match: re.Match[str]) -> str:
        kind, name = match["kind"], match["name"]
        if kind == "env" and _VARIABLE.fullmatch(name):
            return self._variable(name)
        if kind == "file":
            return self._file(name)
        raise _UnresolvedError(
            "unknown kind of reference", "write ${env:NAME} or ${file:PATH}; $${ stands for a literal ${"
        )

    def _variable(self, name: str) -> str:
        if name not in self.environ:
            raise _UnresolvedError(
                f"the environment variable {name} is not set",
                f"set {name} before starting; under systemd use Environment= or EnvironmentFile=",
            )
        value = self.environ[name]
        if not value:
            raise _UnresolvedError(
                f"the environment variable {name} is empty", f"set {name} to the value, or write the option without it"
            )
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _UnresolvedError(f"the variable {name} is not UTF-8 text", "write the value as plain text")
        return value

    def _file(self, name: str) -> str:
        path = self.folder / name
        try:
            content = read_regular(self.files.get(path, path), MAX_FILE)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a valid path"
            if isinstance(error, OSError) and error.errno == errno.EFBIG:
                raise _UnresolvedError(f"the file {path} is {reason}", "the value must be short text") from None
            raise _UnresolvedError(
                f"cannot read the file {path}: {reason}",
                "create it, let the service's user read it, or correct the path (relative to this file)",
            ) from None
        try:
            text = content.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise _UnresolvedError(f"the file {path} is not UTF-8 text", "write the value as plain text") from None
        if not text:
            raise _UnresolvedError(
                f"the file {path} is empty", "write the value into it, or write the option without the reference"
            )
        if "\0" in text:
            raise _UnresolvedError(f"the file {path} contains a NUL character", "write the value as plain text")
        return text
