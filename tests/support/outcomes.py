"""Pytest plug-in that records what a run collected, ran and skipped: `-p tests.support.outcomes --outcomes FILE`.

`tests.side_by_side` merges the files of its runs, checks that no test was left out, and prints what was skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One run of pytest. Tests are named by node ID, marks are those of `pytest.mark`."""

    collected: dict[str, list[str]] = field(default_factory=dict)
    """Marks of each test found, including those that -m deselected."""
    ran: dict[str, int] = field(default_factory=dict)
    """How often each selected test was set up."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Reason for each test, or module, that was skipped."""
    counts: dict[str, int] = field(default_factory=dict)
    """Number of tests that passed, failed (errors included) and were skipped."""

    @staticmethod
    def read(path: Path) -> Outcomes:
        """Empty if the run died before it could write."""
        return Outcomes(**json.loads(path.read_text())) if path.exists() else Outcomes()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="JSON file to write what was collected, run and skipped to")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--outcomes"):
        config.pluginmanager.register(_Recorder(path))


class _Recorder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes = Outcomes()
        self._ran = Counter[str]()

    @pytest.hookimpl(tryfirst=True)  # before -m deselects
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        self._outcomes.collected.update(
            (item.nodeid, sorted({mark.name for mark in item.iter_markers()})) for item in items
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._outcomes.skipped[report.nodeid] = _reason(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            self._ran[report.nodeid] += 1
        if report.skipped and not hasattr(report, "wasxfail"):
            self._outcomes.skipped[report.nodeid] = _reason(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, keys in {"passed": ["passed"], "failed": ["failed", "error"], "skipped": ["skipped"]}.items():
            self._outcomes.counts[name] = sum(len(terminalreporter.stats.get(key, ())) for key in keys)
        self._outcomes.ran.update(self._ran)
        self._path.write_text(json.dumps(asdict(self._outcomes)))


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Returns the text passed to pytest.skip, without the source location."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
