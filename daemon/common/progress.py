"""Progress of downloads and engine builds on standard error: a bar on a terminal, plain lines in a file."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


class ProgressBar:
    """Context manager that is also an `engines.progress.Progress`; writes to standard error.

    `unit` is what is counted: "bytes", or another plural noun.
    """

    def __init__(self, stream: TextIO | None = None, *, unit: str = "bytes") -> None:
        self._console = Console(file=stream or sys.stderr)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            *([DownloadColumn(binary_units=True)] if unit == "bytes" else [MofNCompleteColumn(), TextColumn(unit)]),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def print(self, line: str) -> None:
        """Prints a permanent line above the bar."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, task: str, done: int, total: int | None) -> None:
        if task not in self._tasks:
            for earlier in self._tasks.values():
                self._bar.update(earlier, visible=False)
            self._tasks[task] = self._bar.add_task(task, total=total)
            if not self._console.is_terminal:
                self._console.print(f"{task} …", highlight=False, soft_wrap=True)
        self._bar.update(self._tasks[task], completed=done, total=total)


class BuildProgressBar:
    """Context manager that is also a `tensorrt.builder.BuildProgress`; writes to standard error."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name = name
        self._console = Console(file=stream or sys.stderr)
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(),
            TimeElapsedColumn(), console=self._console, disable=not self._console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(name, total=None)
        self._phase = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=f"{self._name}: {phase}", completed=done, total=total)
        if phase != self._phase and not self._console.is_terminal:
            self._console.print(f"{self._name}: {phase} …", highlight=False, soft_wrap=True, markup=False)
        self._phase = phase
