"""Rows of unknown persons, as several parts of the gallery delete them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

ALL_NUMBERS = "SELECT ? UNION SELECT j.value FROM unknown, json_each(unknown.joined) AS j WHERE unknown.number = ?"
"""A person's own number and those of persons who turned out to be the same; give the number twice."""


def drop(run: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Removes them, and when they were seen, under whichever number."""
    for number in numbers:
        run.execute(f"DELETE FROM sightings WHERE unknown IN ({ALL_NUMBERS})", (number, number))
        run.execute("DELETE FROM unknown WHERE number = ?", (number,))
