"""Tables: aligned columns, one line per row unless a terminal is too narrow, nothing that controls a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from sightd.daemon.commands.output import print_table


def test_columns_are_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "FACES"), [("Ada Lovelace", "1"), ("Bo", "12")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["NAME          FACES", "Ada Lovelace  1", "Bo            12"]


def test_a_row_stays_on_one_line_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "ERROR"), [("front", "x" * 300)])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_narrow_terminal_wraps_the_last_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "ERROR"), [("front", "no answer")], Console(width=13))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["NAME   ERROR", "front  no", "       answer"]


def test_unprintable_characters_and_markup_are_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME",), [("\x1b[2J[red]",)])
    assert "\\x1b[2J[red]" in capsys.readouterr().out
