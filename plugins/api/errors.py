"""Exceptions of the plug-in contract, and problems of options. Can be imported without NumPy and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self


class PluginError(Exception):
    """The plug-in cannot do what its configuration asks for. The message says what to change."""


class RefusedError(PluginError):
    """A service does not allow what a request asks for. The daemon answers with HTTP status `status` and
    {"error": message}; a class of your own may set another status, such as 404 or 409."""

    status: ClassVar[int] = 422


class InvalidRequestError(RefusedError):
    """A request cannot be understood. The daemon answers with {"detail": message}, as if the request did not fit its
    model."""


class UsageError(Exception):
    """Arguments of a command that are invalid, or cannot be combined."""


class ApiError(Exception):
    """The daemon answered with an error: its HTTP status, its message, and the body that contained it."""

    def __init__(self, status: int, message: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.body = status, body or {}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """An option with an unusable value.

    `path` leads to the value: ("model", 0, "file") within a plug-in's entry. `hint` says what to write instead. Neither
    text may contain a secret.
    """

    path: tuple[str | int, ...]
    message: str
    hint: str = ""

    def within(self, *path: str | int) -> Self:
        """Returns the same problem with `path` prepended to its own: a part's problem, as the whole reports it."""
        return replace(self, path=(*path, *self.path))
