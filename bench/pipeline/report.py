"""Tables and progress lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

_BEGAN = time.monotonic()


def progress(text: str) -> None:
    """Prints a line to standard error, so that standard output contains only results."""
    print(f"  [{time.monotonic() - _BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


def heading(text: str) -> None:
    print(f"\n{text}\n{'─' * len(text)}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their columns; the first column is left-aligned, the others right-aligned."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    for number, line in enumerate(lines):
        cells = [
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("─" * width for width in widths))
