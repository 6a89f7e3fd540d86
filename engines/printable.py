"""Text of unknown origin, made fit for a terminal, a log and a message."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with everything that does not print escaped: control characters, terminal escapes, marks that turn the
    direction of writing, line separators, and bytes of a file name that are no UTF-8. "\x1b[2J" becomes "\\x1b[2J"."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
