"""Sources in, lines of JSON and annotated copies out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from daemon.analyze.ahead import read_ahead
from daemon.analyze.annotated import AnnotatedFolder, AnnotatedPictures, AnnotatedVideo
from daemon.analyze.chain import OfflineChain
from daemon.analyze.media import Item, MediaError, Sequence, frames, length, sequences
from daemon.analyze.record import line
from daemon.config.model import Render
from daemon.render.renderer import Renderer
from plugins.types import Results


class Job:
    """Analyses sources one after the other; a fault of one is told and does not keep the others."""

    def __init__(
        self, chain: OfflineChain, render: Render, annotated: Path | None, tell: Callable[[str], None]
    ) -> None:
        self._chain = chain
        self._tell = tell
        self._render = render.model_copy(update={"status": False})
        self._annotated = None if annotated is None else AnnotatedFolder(annotated)

    def run(self, sources: Iterable[Path], out: TextIO) -> int:
        """Writes a line for each frame to `out`; 1 where a source failed, else 0."""
        failed = 0
        with _progress() as progress:
            for source in sources:
                try:
                    for sequence in sequences(source):
                        task = progress.add_task(sequence.name, total=length(sequence))
                        self._sequence(sequence, out, progress, task)
                except Exception as error:  # noqa: BLE001 — a network or plug-in may raise anything on a strange file
                    failed = 1
                    told = str(error) if isinstance(error, MediaError) else f"{source}: {type(error).__name__}: {error}"
                    self._tell(f"error: {told}")
        return failed

    def _sequence(self, sequence: Sequence, out: TextIO, progress: Progress, task: TaskID) -> None:
        writer = None if self._annotated is None else self._annotated.writer(sequence)
        renderer = Renderer(sequence.name, self._render)
        try:
            for item in read_ahead(frames(sequence)):
                results = self._chain.run(item.frame)
                out.write(line(item, results) + "\n")
                if writer is not None:
                    self._draw(item, results, renderer, writer)
                progress.advance(task)
        finally:
            self._chain.forget(sequence.name)
            if writer is not None:
                writer.close()

    def _draw(
        self, item: Item, results: Results, renderer: Renderer, writer: AnnotatedVideo | AnnotatedPictures
    ) -> None:
        canvas = renderer.render(item.frame, results, fps=None)
        self._chain.draw(canvas, item.frame, results)
        writer.add(canvas.image, item.frame.captured_at)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
