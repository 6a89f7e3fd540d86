"""Suggests known names for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Returns up to `most` known names that are similar to the word, most similar first; ignores case."""
    names = {name.casefold(): name for name in sorted(known, reverse=True)}
    return [names[name] for name in get_close_matches(word.casefold(), names, most)]


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """Returns the end of a message, such as `; did you mean "a" or "b"?`; empty if no known name is similar."""
    names = [f'"{name}"' for name in closest(word, known, most)]
    return f"; did you mean {' or '.join(names)}?" if names else ""
