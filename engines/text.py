"""Text for people: untrusted text made safe to print, times, and suggestions for misspelt names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def printable(text: str) -> str:
    r"""Returns the text with all unprintable characters escaped: control characters, terminal escapes, bidirectional
    marks, line separators, and bytes of a file name that are not valid UTF-8. "\x1b[2J" becomes "\\x1b[2J"."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_lines(text: str) -> str:
    """Applies `printable` to each line of a text; line breaks are kept."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: object, **options: Any) -> str:
    r"""Returns JSON in which other scripts stay readable and unprintable characters are escaped. `options` are those of
    `json.dumps`."""
    text = json.dumps(value, ensure_ascii=False, **options)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def local_time(at: float) -> str:
    """Formats a time, s since the epoch, in the local time zone: "2026-05-31 14:07:09"."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def closest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Returns up to `most` known names that are similar to the word, most similar first; ignores case."""
    names = {name.casefold(): name for name in sorted(known, reverse=True)}
    return [names[name] for name in get_close_matches(word.casefold(), names, most)]


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """Returns the end of a message, such as `; did you mean "a" or "b"?`; empty if no known name is similar."""
    names = [f'"{name}"' for name in closest(word, known, most)]
    return f"; did you mean {' or '.join(names)}?" if names else ""
