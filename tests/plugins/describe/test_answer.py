"""An answer is untrusted: one bounded line of visible characters is taken from it, or the reason why there is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.describe.answer import MAX_TEXT, cleaned, error_in, text_in


def completion(content: object) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


def test_the_text_of_the_first_choice_is_returned() -> None:
    assert text_in(completion("A man in a red coat walks by.\n")) == "A man in a red coat walks by."


def test_text_in_parts_is_joined() -> None:
    parts = [
        {"type": "text", "text": "A dog"},
        {"type": "image"},
        {"type": "text", "text": "sleeps."},
        "?",
        {"text": 1},
    ]
    assert text_in(completion(parts)) == "A dog sleeps."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("one\r\n\ttwo\u2028three\u00a0four", "one two three four"),
        ("\x1b[31mred\x1b[0m\x07\x00", "[31mred[0m"),
        ("left\u202eright\u200b\ufeff\U000e0041", "leftright"),
        ("\ud800lone", "lone"),
        ("<b>[bold]**x**[/]</b>", "<b>[bold]**x**[/]</b>"),
    ],
    ids=["white space", "control characters", "formatting characters", "surrogate", "markup"],
)
def test_only_visible_characters_remain_and_markup_stays_text(content: str, text: str) -> None:
    assert text_in(completion(content)) == text


def test_a_long_text_is_cut() -> None:
    text = text_in(completion("word " * 10_000))
    assert len(text) <= MAX_TEXT
    assert text.endswith("word…")


@given(st.text())
def test_whatever_is_answered_becomes_one_printable_line(text: str) -> None:
    line = cleaned(text, 40)
    assert len(line) <= 40
    assert line.splitlines() in ([], [line])
    assert line.isprintable()
    line.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b'"text"',
        b"{}",
        b'{"choices": {}}',
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'{"choices": [{"message": []}]}',
        b"[" * 100_000,
        b"1" * 10_000,
        *map(completion, (None, 7, "", " \n\x00", [], {"text": "x"})),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is not JSON|^it has no text"):
        text_in(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "model \\"x\\" not found\\n"}}', 'model "x" not found'),
        (b'{"error": "busy"}', "busy"),
        (b'{"error": {"message": 7}}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_message_of_an_error_is_found_if_there_is_one(body: bytes, message: str) -> None:
    assert error_in(body) == message
