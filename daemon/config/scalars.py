"""What a plain word of the file means: a switch, a number, nothing, or text.

The rules are YAML 1.2's, which are JSON's: `yes`, `off`, `0755`, `1:30` and `2024-01-01` are text here, not the
switch, octal number, sexagesimal number and date that YAML 1.1 makes of them without a word.
"""

from __future__ import annotations

import re

TAG = "tag:yaml.org,2002:"
STRING, BOOL, INT, FLOAT, NULL = (TAG + name for name in ("str", "bool", "int", "float", "null"))

PATTERNS = {
    BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    NULL: re.compile(r"~|null|Null|NULL|"),
    INT: re.compile(r"[-+]?(0|[1-9][0-9]{0,17})"),
    FLOAT: re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?|[-+]?\.[0-9]{1,40}"),
}


def kind(text: str) -> str:
    """The tag of a plain word."""
    return next((tag for tag, pattern in PATTERNS.items() if pattern.fullmatch(text)), STRING)


def read(text: str, tag: str) -> object:
    """The value of a word under a tag. ValueError where the word cannot have it."""
    if tag == STRING:
        return text
    if not PATTERNS[tag].fullmatch(text):
        raise ValueError(f"not {tag.removeprefix(TAG)}")
    if tag == BOOL:
        return text.lower() == "true"
    if tag == NULL:
        return None
    return int(text) if tag == INT else float(text)
