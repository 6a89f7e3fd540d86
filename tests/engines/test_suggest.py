"""Suggestions for misspelt names."""

from __future__ import annotations

import pytest

from sightd.engines.text import closest, did_you_mean

NAMES = ("person", "bicycle", "Cat", "car", "car")


@pytest.mark.parametrize(
    ("word", "most", "names"),
    [("persn", 1, ["person"]), ("CAT", 1, ["Cat"]), ("cas", 3, ["car", "Cat"]), ("zebra", 3, []), ("", 1, [])],
)
def test_the_most_similar_names_are_suggested_whatever_their_case(word: str, most: int, names: list[str]) -> None:
    assert sorted(closest(word, NAMES, most)) == sorted(names)


def test_a_suggestion_ends_the_message() -> None:
    assert did_you_mean("persn", NAMES) == '; did you mean "person"?'
    assert did_you_mean("ca", ["car", "cat"], 2) == '; did you mean "cat" or "car"?'
    assert did_you_mean("zebra", NAMES) == ""
    assert did_you_mean("person", []) == ""
