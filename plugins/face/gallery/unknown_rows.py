"""Deletes rows of unknown persons, for several parts of the gallery."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

ALL_NUMBERS = "SELECT ? UNION SELECT j.value FROM unknown, json_each(unknown.joined) AS j WHERE unknown.number = ?"
"""SQL for a person's own number and those of persons merged into it; bind the number twice."""


def drop(run: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Deletes unknown persons and all their sightings, including those under merged numbers."""
    for number in numbers:
        run.execute(f"DELETE FROM sightings WHERE unknown IN ({ALL_NUMBERS})", (number, number))
        run.execute("DELETE FROM unknown WHERE number = ?", (number,))
