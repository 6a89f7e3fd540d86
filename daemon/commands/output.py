"""Output that the commands share: tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sightd.engines.printable import printable

_UNBOUNDED = 10_000
"""Columns if the output is not a terminal: programs get one line per row."""


def output() -> Console:
    """Returns standard output as a console that prints text as it is, without markup."""
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(highlight=False, markup=False, width=width)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], console: Console | None = None) -> None:
    """Prints rows in aligned columns, with unprintable characters escaped. A terminal that is too narrow wraps the last
    column. `console` is standard output by default."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, no_wrap=title != titles[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    (console or output()).print(table)
