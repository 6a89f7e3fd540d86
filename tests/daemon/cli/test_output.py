"""What the commands print: aligned tables, and errors with their exit codes."""

from __future__ import annotations

import pytest
from rich.console import Console

from sightd.daemon.cli.output import exit_code_of, print_table
from sightd.daemon.config.problems import ConfigError, LocatedProblem


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


def fail(error: Exception) -> int:
    raise error


def test_an_action_returns_its_own_exit_code() -> None:
    assert exit_code_of(lambda: 3, {}) == 3
    assert exit_code_of(lambda: None, {}) == 0


def test_the_most_specific_class_of_an_error_decides(capsys: pytest.CaptureFixture[str]) -> None:
    codes: dict[type[Exception], int] = {LookupError: 1, KeyError: 2}
    assert exit_code_of(lambda: fail(KeyError("a")), codes) == 2
    assert exit_code_of(lambda: fail(IndexError("no\x1b")), codes) == 1
    assert capsys.readouterr().err == "sightd: 'a'\nsightd: no\\x1b\n"


def test_an_error_of_the_system_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(lambda: fail(FileNotFoundError(2, "No such file", "/a")), {OSError: 1}) == 1
    assert capsys.readouterr().err == "sightd: /a: No such file\n"


def test_a_configuration_error_begins_with_its_position(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError([LocatedProblem(("chain",), "is empty", line=3, column=1, file="a.yaml")])
    assert exit_code_of(lambda: fail(error), {ConfigError: 2}) == 2
    assert capsys.readouterr().err == "a.yaml:3:1: chain: is empty\n"


def test_any_other_error_is_raised() -> None:
    with pytest.raises(ValueError, match="fault"):
        exit_code_of(lambda: fail(ValueError("fault")), {KeyError: 1})
