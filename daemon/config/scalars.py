"""What a plain scalar of the file means: a boolean, a number, null, or text.

The rules are those of YAML 1.2, which are JSON's: `yes`, `off`, `0755`, `1:30` and `2024-01-01` are text here, not the
boolean, octal number, sexagesimal number and date that YAML 1.1 silently makes of them.
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
    """Returns the tag of a plain scalar."""
    return next((tag for tag, pattern in PATTERNS.items() if pattern.fullmatch(text)), STRING)


def read(text: str, tag: str) -> object:
    """Returns the value of a scalar under a tag. Raises ValueError if it does not fit."""
    if tag == STRING:
        return text
    if not PATTERNS[tag].fullmatch(text):
        raise ValueError(f"not {tag.removeprefix(TAG)}")
    if tag == BOOL:
        return text.lower() == "true"
    if tag == NULL:
        return None
    return int(text) if tag == INT else float(text)
