"""Names of custom models and styles."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from sightd.daemon.training.errors import TrainingError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def name_from(text: str) -> str:
    """Makes a name from that of a file or folder: lower-case letters, digits, hyphens. Raises TrainingError if none is
    left."""
    name = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:63]
    if not name:
        raise TrainingError(f"cannot derive a name from {text!r}: specify one with --name")
    return name


def checked(name: str, taken: Container[str], others: Iterable[str] = ()) -> str:
    """Returns the name. Raises TrainingError if it is not valid, is one of the built-in names (`taken`), or belongs to
    a custom model of another kind (`others`)."""
    if not _NAME.fullmatch(name):
        raise TrainingError(
            f"{name!r} is not a valid name; use at most 63 lower-case letters, digits, '.', '_' and '-'"
        )
    if name in taken:
        raise TrainingError(f"{name!r} is built in: choose another name with --name")
    if name in others:
        raise TrainingError(f"{name!r} is already used by another kind of model: choose another name with --name")
    return name
