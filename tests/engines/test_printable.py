"""External text reaches no terminal with control characters, and stays readable."""

from __future__ import annotations

import json

import pytest

from sightd.engines.text import json_text, printable, printable_lines

EVIL = ["\x1b[2J", "\x07", "\x9b31m", "a\u202eb", "\u2066", "\udce9", "\u2028", "\x7f", "zero\u200bwidth", "\x00"]


@pytest.mark.parametrize("text", EVIL)
def test_what_does_not_print_is_escaped(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) != text
    assert printable(printable(text)) == printable(text), "idempotent"
    assert printable_lines(f"one\n{text}\ntwo").split("\n") == ["one", printable(text), "two"]


@pytest.mark.parametrize("text", ["Ada Lovelace", "Zoë", "写真.jpg", "😀", "C:\\new"])
def test_what_prints_stays(text: str) -> None:
    assert printable(text) == printable_lines(text) == text


@pytest.mark.parametrize("text", [*EVIL, "Zoë 写真 😀", "line\nbreak", '"quoted"\\'])
def test_json_gives_back_what_it_was_and_prints(text: str) -> None:
    value = {text: [text, 1.5, None]}
    written = json_text(value, indent=1)
    assert json.loads(written) == value
    assert all(one.isprintable() or one == "\n" for one in written)
    assert "\\u5199" not in written, "other scripts are readable"
