"""Makes untrusted text safe for terminals, logs and messages."""

from __future__ import annotations

import json
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
