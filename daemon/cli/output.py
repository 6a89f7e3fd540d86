"""Output that the commands share: tables, sizes, errors and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sightd.daemon.config.problems import ConfigError
from sightd.engines.text import printable, printable_lines

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


def mebibytes(size: int) -> str:
    """Formats a size in bytes: "12.5 MiB"."""
    return f"{size / 2**20:.1f} MiB"


def complain(error: object) -> None:
    """Prints an error on standard error, with unprintable characters escaped."""
    print(f"sightd: {printable_lines(str(error))}", file=sys.stderr)


def exit_code_of(action: Callable[[], int | None], codes: Mapping[type[Exception], int]) -> int:
    """Runs `action` and returns its exit code, 0 for None. If it raises one of the exceptions in `codes`, prints the
    error and returns the code of the most specific class."""
    try:
        return action() or 0
    except tuple(codes) as error:
        if isinstance(error, ConfigError):
            print(error, file=sys.stderr)  # begins with the file and line, as compilers' errors do
        elif isinstance(error, OSError):
            complain(f"{error.filename or 'a file'}: {error.strerror}")
        else:
            complain(error)
        return next(codes[kind] for kind in type(error).__mro__ if kind in codes)
