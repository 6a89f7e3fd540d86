"""Analyses sources with a chain of plug-ins; writes lines of JSON and annotated copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sightd.daemon.common.streams import OutputError
from sightd.daemon.config.model import Deinterlace, Render
from sightd.daemon.isolation.opening import LoadEngine, PluginContext, opened
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.tools.analyze.annotated import AnnotatedFolder, AnnotatedPictures, AnnotatedVideo
from sightd.daemon.tools.media import Item, MediaError, MediaSequence, contents, frames, length, prefetch
from sightd.engines.sessions.engine import Engine
from sightd.engines.text import printable
from sightd.plugins.api import AnyPlugin, Canvas, Frame, JsonOptions, JsonValue, PluginConfig, Results, merged_json


@dataclass(frozen=True, slots=True)
class Record:
    """A frame's record: `values` describes the frame, and has the JSON forms of all results; `problems` says which keys
    of results were left out because they are in use."""

    values: dict[str, JsonValue]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, item: Item, results: Results, options: JsonOptions) -> Record:
        """Raises what a result's `to_json` raises."""
        frame = item.frame
        header: dict[str, JsonValue] = {
            "source": item.source,
            "frame": frame.seq,
            "pts": None if frame.pts is None else round(frame.pts, 6),
            "width": frame.width,
            "height": frame.height,
        }
        found, problems = merged_json(results, options)
        return cls(header | found, problems)

    def line(self) -> str:
        r"""Returns the record as JSON in UTF-8. Bytes of a file name that are not UTF-8 are escaped: "\xfc" becomes
        "\udcfc", which Python's `os.fsencode` turns back into the name."""
        text = json.dumps(self.values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode()


@dataclass(slots=True)
class _Link:
    """A plug-in of the chain, and what it is created from. `plugin` is None while it is being replaced."""

    name: str
    plugin_class: type[AnyPlugin]
    config: PluginConfig
    plugin: AnyPlugin | None
    has_network: bool

    def close(self) -> None:
        plugin, self.plugin = self.plugin, None
        if plugin is not None:
            plugin.close()


@dataclass(slots=True)
class OfflineChain:
    """Opens plug-ins with all cores for their engines and runs every one on every frame, whatever `every` says.

    A fault is raised, not skipped: analysing files must give complete results or an error.
    """

    load_engine: LoadEngine
    threads: int
    engines: list[Engine] = field(default_factory=list)
    _links: list[_Link] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    def open(self, chain: Sequence[tuple[str, type[AnyPlugin], PluginConfig]]) -> None:
        """Opens the plug-ins in order. Raises PluginError or EngineError."""
        for name, plugin_class, config in chain:
            context = self._context(name, config)
            link = _Link(name, plugin_class, config, opened(plugin_class, config, context), bool(context.engines))
            for engine in context.engines:
                self._closing.callback(engine.close)
            self._closing.callback(link.close)  # after its engines: what is added last is closed first
            self.engines += context.engines
            self._links.append(link)

    def renew(self, camera: str) -> None:
        """Ends a source: the next one's results, including track numbers, are as if it were the only one.

        A plug-in without a model is replaced, which costs next to nothing; one with a model forgets.
        """
        for link in self._links:
            if link.has_network and link.plugin is not None:
                link.plugin.forget(camera)
            else:
                link.close()
                link.plugin = opened(link.plugin_class, link.config, self._context(link.name, link.config))

    @property
    def plugins(self) -> list[AnyPlugin]:
        return [link.plugin for link in self._links if link.plugin is not None]

    def _context(self, name: str, config: PluginConfig) -> PluginContext:
        return PluginContext(name, self.threads, self.load_engine, config, [])

    def run(self, frame: Frame) -> Results:
        """Returns what all plug-ins find on a frame."""
        results = Results()
        for plugin in self.plugins:
            found = plugin.process([frame], [results])[0]
            results = results.merged(found.redacted(frame) if plugin.redacts else found)
        return results

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        for plugin in self.plugins:
            plugin.draw(canvas, frame, results)

    def forget(self, camera: str) -> None:
        for plugin in self.plugins:
            plugin.forget(camera)

    def __enter__(self) -> OfflineChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()


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
    sequences: tuple[MediaSequence, ...] = ()
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
        report: Callable[[str], None],
        *,
        embeddings: bool = False,
        deinterlace: Deinterlace = "auto",
    ) -> None:
        """`embeddings` adds those of faces to the lines."""
        self._chain = chain
        self._json = JsonOptions(embeddings)
        self._left_out: set[str] = set()
        self._deinterlace: Deinterlace = deinterlace
        self._report = report
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

    def _one(self, sequence: MediaSequence, out: AnalysisOutput, progress: Progress) -> None:
        task = progress.add_task(printable(sequence.name), total=length(sequence))
        try:
            self._sequence(sequence, out, progress, task)
        except (ResultsError, OutputError):
            raise
        except Exception as error:  # noqa: BLE001 — an engine or plug-in may raise anything on a strange file
            self._fault(sequence.name, error)
        finally:
            self._chain.renew(sequence.name)

    def _sequence(self, sequence: MediaSequence, out: AnalysisOutput, progress: Progress, task: TaskID) -> None:
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
                record = Record.of(item, results, self._json)
                self._report_left_out(record)
                _write(out, record.line() + "\n")
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

    def _report_left_out(self, record: Record) -> None:
        """Reports each key that a plug-in must not use once; the source counts as faulty, its lines are written."""
        self._faults += len(record.problems)
        for problem in record.problems:
            if problem not in self._left_out:
                self._left_out.add(problem)
                self._report(f"error: {problem}; report this to the plug-in's author")

    def _fault(self, source: str, error: Exception) -> None:
        self._faults += 1
        what = f"{printable(source)}: {type(error).__name__}: {error}"
        told = str(error) if isinstance(error, MediaError) else what
        self._report(f"error: {told}")


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
