"""Names of networks and styles that are made here."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from sightd.daemon.training.errors import TrainingError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def name_from(text: str) -> str:
    """A name made of a file's or folder's: small letters, digits and hyphens. TrainingError where nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:63]
    if not name:
        raise TrainingError(f"no name can be made of {text!r}: give one with --name")
    return name


def checked(name: str, taken: Container[str], others: Iterable[str] = ()) -> str:
    """The name. TrainingError where it is none, is one of those that come with the product (`taken`), or that of
    something of another kind that was made here (`others`)."""
    if not _NAME.fullmatch(name):
        raise TrainingError(
            f"{name!r} is not a valid name; use at most 63 lower-case letters, digits, '.', '_' and '-'"
        )
    if name in taken:
        raise TrainingError(f"{name!r} comes with the product: give another one with --name")
    if name in others:
        raise TrainingError(f"{name!r} is a network of another kind that was made here: give another one with --name")
    return name
