"""What a token lets its holder do: each role may do what those before it may."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """VIEW sees pictures, state, metrics and events; OPERATE works with faces as well; ADMIN also takes persons out of
    the machine or away from it, and reloads the configuration."""

    VIEW = 1
    OPERATE = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()
