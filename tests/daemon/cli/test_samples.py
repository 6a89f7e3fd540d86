"""`sightd samples`, as typed."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sightd.daemon.cli import samples
from tests.support import media


def sightd(directory: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    samples.add(parser.add_subparsers())
    typed = parser.parse_args(["samples", "--directory", str(directory), *arguments])
    code: int = typed.run(typed)
    return code


def test_fetch_prints_where_the_sample_lies_and_list_shows_it_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = str(media.path("chelsea.png").parent)
    assert sightd(tmp_path, "fetch", "--mirror", mirror, "chelsea.png") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "chelsea.png")
    assert sightd(tmp_path, "list") == 0
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert rows["chelsea.png"] == "stored"
    assert rows["bikes.mp4"] == "-"


def test_the_list_stands_in_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd(tmp_path, "list") == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "STORED", "LICENCE", "CONTENT"]
    begin = head.index("CONTENT")
    assert {row[begin - 1] for row in rows} == {" "}
    assert all(row[begin] != " " for row in rows)
    assert last == f"stored in {tmp_path}"


def test_a_misspelt_sample_fails_and_the_others_are_still_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = str(media.path("chelsea.png").parent)
    assert sightd(tmp_path, "fetch", "--mirror", mirror, "chelsae.png", "chelsea.png") == 1
    told = capsys.readouterr()
    assert 'did you mean "chelsea.png"' in told.err
    assert (tmp_path / "chelsea.png").exists()
