"""Analyses sources; writes lines of JSON and annotated copies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sightd.daemon.analyze.annotated import AnnotatedFolder, AnnotatedPictures, AnnotatedVideo
from sightd.daemon.analyze.chain import OfflineChain
from sightd.daemon.analyze.media import Item, MediaError, Sequence, contents, frames, length
from sightd.daemon.analyze.prefetch import prefetch
from sightd.daemon.analyze.record import line
from sightd.daemon.capture.deinterlace import Deinterlace
from sightd.daemon.config.model import Render
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.streams import OutputError
from sightd.engines.printable import printable
from sightd.plugins.types import Results


class ResultsError(Exception):
    """The results cannot be written: not the fault of a source, and going on makes no sense."""


class AnalysisOutput(Protocol):
    """Where the lines are written. Both methods raise OSError or ResultsError."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


@dataclass(frozen=True, slots=True)
class AnalysisInput:
    """What was named on the command line, and its sequences; there are none if `fault` says why. `left_out` are lines
    that say which files of a folder are not read."""

    path: Path
    sequences: tuple[Sequence, ...] = ()
    left_out: tuple[str, ...] = ()
    fault: str = ""


def examined(path: Path) -> AnalysisInput:
    """Lists the files of a source without opening one."""
    try:
        found = contents(path)
    except MediaError as error:
        return AnalysisInput(path, fault=str(error))
    except OSError as error:
        return AnalysisInput(path, fault=f"{printable(str(path))}: {error.strerror or type(error).__name__}")
    return AnalysisInput(path, found.sequences, found.left_out)


class Job:
    """Analyses sources one after the other; a fault of one is reported and does not stop the others."""

    def __init__(
        self,
        chain: OfflineChain,
        render: Render,
        annotated: Path | None,
        tell: Callable[[str], None],
        *,
        embeddings: bool = False,
        deinterlace: Deinterlace = "auto",
    ) -> None:
        """`embeddings` adds those of faces to the lines."""
        self._chain = chain
        self._embeddings = embeddings
        self._deinterlace: Deinterlace = deinterlace
        self._tell = tell
        self._render = render.model_copy(update={"status": False})
        self._faults = 0
        self._annotated = None if annotated is None else AnnotatedFolder(annotated)
        self.frames = 0
        """Number of frames analysed so far."""

    def run(self, sources: Collection[AnalysisInput], out: AnalysisOutput) -> int:
        """Writes a line for each frame to `out`; returns how many sources had a fault. Raises ResultsError if `out`
        fails."""
        failed = 0
        if self._annotated is not None:
            self._annotated.spare(file for source in sources for each in source.sequences for file in each.files)
        with _progress() as progress:
            for source in sources:
                before = self._faults
                for sequence in source.sequences:
                    self._one(sequence, out, progress)
                failed += self._faults > before
            _flush(out)
        return failed

    def _one(self, sequence: Sequence, out: AnalysisOutput, progress: Progress) -> None:
        task = progress.add_task(printable(sequence.name), total=length(sequence))
        try:
            self._sequence(sequence, out, progress, task)
        except (ResultsError, OutputError):
            raise
        except Exception as error:  # noqa: BLE001 — an engine or plug-in may raise anything on a strange file
            self._fault(sequence.name, error)
        finally:
            self._chain.renew(sequence.name)

    def _sequence(self, sequence: Sequence, out: AnalysisOutput, progress: Progress, task: TaskID) -> None:
        writer = None if self._annotated is None else self._annotated.writer(sequence)
        renderer = Renderer(sequence.name, self._render)
        size: tuple[int, int] | None = None
        try:
            for item in prefetch(frames(sequence, self._deinterlace)):
                progress.advance(task)
                if isinstance(item, MediaError):
                    self._fault(sequence.name, item)
                    continue
                if size not in (None, (item.frame.width, item.frame.height)):
                    self._chain.forget(sequence.name)
                size = item.frame.width, item.frame.height
                results = self._chain.run(item.frame)
                _write(out, line(item, results, embeddings=self._embeddings) + "\n")
                self.frames += 1
                if writer is not None:
                    self._draw(item, results, renderer, writer)
        finally:
            if writer is not None:
                writer.close()

    def _draw(
        self, item: Item, results: Results, renderer: Renderer, writer: AnnotatedVideo | AnnotatedPictures
    ) -> None:
        canvas = renderer.render(item.frame, results, fps=None)
        self._chain.draw(canvas, item.frame, results)
        writer.add(canvas.image, item)

    def _fault(self, source: str, error: Exception) -> None:
        self._faults += 1
        what = f"{printable(source)}: {type(error).__name__}: {error}"
        told = str(error) if isinstance(error, MediaError) else what
        self._tell(f"error: {told}")


def _write(out: AnalysisOutput, text: str) -> None:
    try:
        out.write(text)
    except OSError as error:
        raise ResultsError(error.strerror or str(error)) from error


def _flush(out: AnalysisOutput) -> None:
    try:
        out.flush()
    except OSError as error:
        raise ResultsError(error.strerror or str(error)) from error


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
