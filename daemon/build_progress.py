"""Progress of an engine build on standard error: a bar on a terminal, plain lines in a file."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn


class BuildProgressBar:
    """Context manager that can be called as `engines.trt.builder.BuildProgress`; writes to standard error."""

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
