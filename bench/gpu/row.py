"""The rows of the result table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sightd.engines.errors import EngineError

Verdict = Literal["ok", "MISSED", "-", "not run"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its aim; for a part that could not run, `figure` is the reason."""

    what: str
    figure: str
    aim: str = ""
    verdict: Verdict = "-"


def within(what: str, figure: str, aim: str, kept: bool) -> Row:
    """Returns a figure that meets or misses its aim."""
    return Row(what, figure, aim, "ok" if kept else "MISSED")


def not_run(what: str, reason: str) -> Row:
    return Row(what, reason.splitlines()[0] if reason else "no reason is known", "", "not run")


def attempt(what: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """Returns the rows of a measurement, or one row with the error that broke it, so that the others continue."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - any error of a measurement is part of the result
        told = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        return [Row(what, " ".join(told.split())[:300], "", "MISSED")]
