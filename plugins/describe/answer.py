"""What an endpoint answers is untrusted text: reads it, cleans it and bounds its length. It is never interpreted."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping

MAX_TEXT = 500
"""Maximum characters of a description: with 4 bytes each, well below the size limit of an event's facts."""


def text_in(body: bytes) -> str:
    """Returns the cleaned text of a chat completion. Raises ValueError, which says what is wrong, if there is none."""
    try:
        form = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    choices = form.get("choices") if isinstance(form, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    text = cleaned(_joined(content), MAX_TEXT)
    if not text:
        raise ValueError("it has no text in choices[0].message.content; a model that reasons may need more max_tokens")
    return text


def error_in(body: bytes) -> str:
    """Returns the cleaned message of an error in the form of OpenAI's API; empty if there is none."""
    try:
        form = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = form.get("error") if isinstance(form, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    return cleaned(message, 200) if isinstance(message, str) else ""


def cleaned(text: str, longest: int) -> str:
    """Returns one line of at most `longest` characters: white space is collapsed; control and formatting characters,
    such as those that reorder text, are removed."""
    visible = "".join(" " if letter.isspace() else letter for letter in text[: 16 * longest] if _is_shown(letter))
    line = " ".join(visible.split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _is_shown(letter: str) -> bool:
    return letter.isspace() or not unicodedata.category(letter).startswith("C")


def _joined(content: object) -> str:
    """Returns the text of a message's content: text, or a list of parts of which some are text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return " ".join(text for text in texts if isinstance(text, str))
