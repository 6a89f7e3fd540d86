"""The whole suite as one command: no test is left out, skipped unnoticed, or reported as passed when it failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.side_by_side import main, not_run_once, table_of_skips, verdict, with_compiled_modules
from tests.support.lane_files import lanes_of
from tests.support.outcomes import Outcomes

pytestmark = [pytest.mark.computing, pytest.mark.timeout(900)]

SUITE = """
import pytest

def test_of_the_clock(): pass

@pytest.mark.waiting
def test_that_waits(): pass

@pytest.mark.computing
@pytest.mark.parametrize("number", [1, 2])
def test_that_computes(number): pass

@pytest.mark.waiting
@pytest.mark.computing
def test_of_both(): pass

@pytest.mark.skip(reason="needs a moon; install one")
def test_skipped(): raise AssertionError

@pytest.mark.slow
def test_left_to_ci(): raise AssertionError

@pytest.mark.systemd
@pytest.mark.waiting
def test_of_a_booted_system(): raise AssertionError
"""


@pytest.mark.parametrize("codes", [[1, 0, 0], [0, 2, 0], [-11, 0, 0], [0, 0, -9]])
def test_tests_that_fail_or_are_killed_are_no_success(codes: list[int]) -> None:
    assert verdict(codes) != 0


def test_all_is_well_where_all_is() -> None:
    assert verdict([0, 0, 0]) == 0


@pytest.fixture(autouse=True)
def _few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts each pytest in half of the time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_timeout")


def test_every_test_runs_in_the_one_lane_of_its_marks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_small.py").write_text(SUITE)
    assert main(tmp_path) == 0
    printed = capfd.readouterr().out
    for lane in ("foreground: 1 passed, 0 failed, 1 skipped", "waiting: 1 passed", "computing: 3 passed"):
        assert lane in printed
    table = printed.partition("--- not run here: 3 tests")[2]
    assert "    1  needs a moon; install one\n" in table
    assert "    1  marked slow: run by `.ci/run`" in table
    assert "    1  marked systemd: run by `make test-systemd`" in table


MARKED = "import pytest\n\npytestmark = [pytest.mark.waiting, pytest.mark.timeout(9)]\n"
CONFTEST = """
import pytest

def pytest_itemcollected(item):
    item.add_marker(pytest.mark.computing)
"""


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("def test_a(): pass\n", {"foreground"}),
        (SUITE, {"foreground", "waiting", "computing"}),
        (MARKED, {"waiting"}),
        (f"{MARKED}\n@pytest.mark.computing\ndef test_a(): pass\n", {"waiting", "computing"}),
    ],
)
def test_a_file_is_imported_by_the_lanes_that_its_marks_name(text: str, lanes: set[str], tmp_path: Path) -> None:
    file = tmp_path / "test_small.py"
    file.write_text(text)
    assert lanes_of(file) == lanes


def test_a_folder_that_marks_its_tests_is_imported_by_that_lane(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "below" / "test_small.py").write_text("def test_a(): pass\n")
    assert lanes_of(tmp_path / "below" / "test_small.py") == {"computing"}


def test_a_failure_in_a_background_lane_and_a_mark_that_no_lane_finds_fail_the_whole(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_small.py").write_text(SUITE.replace("test_that_waits(): pass", "test_that_waits(): assert False"))
    (tmp_path / "marks.py").write_text("import pytest\n\nMARK = pytest.mark.waiting\n")
    (tmp_path / "test_marked.py").write_text("from marks import MARK\n\n@MARK\ndef test_a(): pass\n")
    assert main(tmp_path) == 1
    printed = capfd.readouterr().out
    assert "test_small.py::test_that_waits" in printed
    assert "waiting: 0 passed, 1 failed" in printed
    assert "ERROR: no lane ran" in printed


def test_a_test_that_no_lane_ran_is_named() -> None:
    wrong = not_run_once([Outcomes(collected={"a": [], "b": ["systemd"]}), Outcomes(collected={"a": ["waiting"]})])
    assert wrong == ["no lane ran a"]


def test_a_test_that_two_lanes_ran_is_named() -> None:
    lane = Outcomes(collected={"a": []}, ran={"a": 1})
    assert not_run_once([lane]) == []
    assert not_run_once([lane, lane]) == ["a ran 2 times"]


def test_skips_of_all_lanes_are_counted_by_reason() -> None:
    lanes = [Outcomes(skipped={"a": "no GPU", "b": "no disk"}), Outcomes(skipped={"c": "no GPU"})]
    assert table_of_skips(lanes).splitlines() == ["--- not run here: 3 tests", "    2  no GPU", "    1  no disk"]


def test_processes_of_the_tests_find_modules_compiled_if_no_bytecode_may_lie_beside_the_sources(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    environ = with_compiled_modules({**environ, "PYTHONDONTWRITEBYTECODE": "1"}, tmp_path)
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", "import tests.side_by_side"], env=environ, cwd=root, check=True)
    assert [path.name.split(".")[0] for path in tmp_path.rglob("side_by_side.*.pyc")] == ["side_by_side"]


def test_otherwise_the_environment_stays_as_it_is(tmp_path: Path) -> None:
    assert with_compiled_modules({"HOME": "/home/ann"}, tmp_path) == {"HOME": "/home/ann"}
