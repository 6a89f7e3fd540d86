"""Pytest plug-in that has a lane import only the files that may have tests of it: `-p tests.support.lane_files --lane
NAME`. Importing all files takes some 20 s of CPU.

`tests.side_by_side` reports tests that no lane ran: such as those whose mark comes from a helper, which is not found
here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

FOREGROUND = "foreground"
"""The lane of tests that have no mark of another one."""
_MARK = re.compile(r"\bmark\.(waiting|computing)\b")
_FOR_ALL = re.compile(r"^pytestmark = .*\bmark\.(waiting|computing)\b|^ +item\.add_marker\(", re.MULTILINE)
"""How a file, or the conftest.py of a folder, marks all its tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", help="import only the files that may have tests of this lane")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    lane = config.getoption("--lane")
    is_test = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    return True if lane and is_test and lane not in lanes_of(collection_path) else None


def lanes_of(file: Path) -> set[str]:
    """Returns the lanes that the tests of a file may belong to, at least one: those whose marks the file, or a
    conftest.py in its folder or in one above, names; and the foreground unless one of them marks all tests."""
    found = [_marks(file), *(_marks(folder / "conftest.py") for folder in file.parents)]
    lanes = {lane for marks, _ in found for lane in marks}
    return lanes if any(for_all for _, for_all in found) else {*lanes, FOREGROUND}


@cache
def _marks(file: Path) -> tuple[frozenset[str], bool]:
    """Returns the marks of lanes that a file names, and whether it gives one to all tests."""
    text = file.read_text() if file.exists() else ""
    marks = frozenset(_MARK.findall(text))
    return marks, bool(marks) and _FOR_ALL.search(text) is not None
