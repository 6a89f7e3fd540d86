"""Exceptions of the plug-in contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


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
