"""What is wrong with an option. `sightd.plugins.api` exports it; here it can be imported without NumPy and models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


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
