"""Forbidden turns of phrase: none in messages, and fewer every time in docstrings, comments and documents."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.computing

ROOT = Path(__file__).resolve().parents[1]
CODE = ("bench", "daemon", "engines", "examples", "plugins", "tests")
DOCUMENTS = ("docs", "CHANGELOG.md", "README.md")
SETTINGS = ("config", "Containerfile", "Makefile", "pyproject.toml")

TURNS = {
    "alone": "only",
    "anew": "again, or: from scratch",
    "(to|can|could|cannot|not) be had": "is available, can be downloaded",
    "befalls?|befell": "happens to",
    "for ever": "forever, or: until …",
    "for want of": "because … is missing",
    "(for|is|are|was|were) wanted": "is required",
    "fares?": "status, or: is doing",
    "held against": "compared with",
    "in place of": "instead of",
    "in silence": "silently",
    "lest": "so that … does not",
    "likeliest": "most likely",
    "likewise": "(say it again), or: also",
    "needs? be|needs must": "must be",
    "no news": "not worth logging",
    "nobody's": "(say whose)",
    "stands? for itself|stand still|stands still": "is stuck, is self-explanatory",
    "thereby|therein|thereof|thereto|whereof|whereupon": "(two sentences)",
    "told": "reported, logged",
    "twice is safe": "idempotent",
    "(?<!matter )where (it|he|one|they|none|nobody|nothing|that|there|no) (?!comes|came)": "if …",
    "whoever": "anyone who",
    "whom": "who, or another sentence",
    "wish|wishes|wished": "preference, or: requests",
    "without a hand on it": "unattended",
}
"""Regular expressions of words that no engineer would use here, and what to write instead."""

MOST = {
    "bench: docstrings and comments": 0,
    "daemon: docstrings and comments": 0,
    "engines: docstrings and comments": 0,
    "examples: docstrings and comments": 0,
    "plugins: docstrings and comments": 0,
    "tests: docstrings and comments": 0,
    "bench: strings": 0,
    "daemon: strings": 0,
    "engines: strings": 0,
    "examples: strings": 0,
    "plugins: strings": 0,
    "tests: strings": 0,
    "documents": 0,
    "settings": 0,
}
"""A ratchet: how many an area may have, until it is rewritten. These numbers only go down."""

_TURN = re.compile("|".join(rf"(?P<t{i}>\b(?:{turn}))\b" for i, turn in enumerate(TURNS)), re.IGNORECASE)
_ANY = re.compile("|".join(rf"\b(?:{turn})\b" for turn in TURNS), re.IGNORECASE)


class Hit(NamedTuple):
    area: str
    file: str
    line: int
    words: str
    better: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.words!r}; write {self.better}"


def hits_in(text: str, area: str, file: str, line: int = 1) -> Iterator[Hit]:
    """The forbidden turns of a text whose first line is `line` of `file`."""
    better = list(TURNS.values())
    for match in _TURN.finditer(text):
        index = int(str(match.lastgroup)[1:])
        yield Hit(area, file, line + text.count("\n", 0, match.start()), match[0], better[index])


def hits_of_code(text: str, folder: str, file: str) -> Iterator[Hit]:
    """Those of strings on one side, of docstrings and comments on the other; names in the code do not count."""
    if not _ANY.search(text):
        return
    tree = ast.parse(text)
    prose, strings = f"{folder}: docstrings and comments", f"{folder}: strings"
    documenting = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:  # no key, no name
            yield from hits_in(node.value, prose if id(node) in documenting else strings, file, node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from hits_in(token.string, prose, file, token.start[0])


@cache
def all_hits() -> tuple[Hit, ...]:
    found: list[Hit] = []
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__):
                found += hits_of_code(path.read_text(encoding="utf-8"), folder, str(path.relative_to(ROOT)))
    for area, names, kinds in (
        ("documents", DOCUMENTS, {".md"}),
        ("settings", SETTINGS, {"", ".yaml", ".toml", ".sh"}),
    ):
        for path in (path for name in names for path in _files(ROOT / name) if path.suffix in kinds):
            found += hits_in(path.read_text(encoding="utf-8"), area, str(path.relative_to(ROOT)))
    return tuple(found)


def _files(path: Path) -> Iterator[Path]:
    yield from (one for one in sorted(path.rglob("*")) if one.is_file()) if path.is_dir() else [path]


@pytest.mark.parametrize("area", MOST)
def test_no_area_gets_more_forbidden_turns(area: str) -> None:
    found = [hit for hit in all_hits() if hit.area == area]
    assert len(found) <= MOST[area], "\n".join(map(str, found))
    if len(found) < MOST[area]:
        warnings.warn(f"{area}: {len(found)} forbidden turns are left, lower MOST from {MOST[area]}", stacklevel=1)


def test_the_table_names_every_area() -> None:
    areas = {hit.area for hit in all_hits()}
    assert areas <= set(MOST)


def test_turns_are_found_in_strings_and_comments_and_not_in_names() -> None:
    text = 'told = 1\n\ndef f() -> str:\n    """Made anew."""\n    return f"{told} cannot be had"  # whoever asks\n'
    found = [(hit.area, hit.line, hit.words) for hit in hits_of_code(text, "daemon", "f.py")]
    prose = "daemon: docstrings and comments"
    assert found == [(prose, 4, "anew"), ("daemon: strings", 5, "cannot be had"), (prose, 5, "whoever")]


@pytest.mark.parametrize("text", ["standalone", "renewed", "a wishlist", "where it comes from"])
def test_words_that_only_look_alike_are_not_found(text: str) -> None:
    assert not list(hits_in(text, "documents", "f.md"))


if __name__ == "__main__":  # python -m tests.test_words: all of them, and the counts of the table
    print(*all_hits(), *Counter(hit.area for hit in all_hits()).items(), sep="\n")  # noqa: T201
