"""Text of unknown origin, made fit for a terminal, a log and a message."""

from __future__ import annotations

import json
from typing import Any


def printable(text: str) -> str:
    r"""The text with everything that does not print escaped: control characters, terminal escapes, marks that turn the
    direction of writing, line separators, and bytes of a file name that are no UTF-8. "\x1b[2J" becomes "\\x1b[2J"."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_lines(text: str) -> str:
    """As `printable`, of a text of several lines; line breaks stay."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: object, **options: Any) -> str:
    r"""JSON (`options` as of `json.dumps`) in which other scripts are readable and what does not print is escaped."""
    text = json.dumps(value, ensure_ascii=False, **options)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)
