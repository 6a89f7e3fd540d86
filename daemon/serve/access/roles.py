"""Roles of tokens and users; each role includes those before it."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """VIEW sees images, state, metrics and events; OPERATE also works with faces; ADMIN also deletes, exports and
    imports people, and reloads the configuration."""

    VIEW = 1
    OPERATE = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()
