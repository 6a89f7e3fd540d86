"""Runs all parts in order and reports the ones that cannot run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.gpu import bandwidth, feeds, heads, pixels, whole
from bench.gpu.desk import Image
from bench.gpu.row import Row, attempt, not_run
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.errors import EngineError
from sightd.engines.session import DeviceSession
from sightd.engines.sessions.engine import Engine

OpenEngine = Callable[[], Engine]


@dataclass(frozen=True, slots=True)
class Options:
    """`size` (width, height) and `batch` of the images for the bandwidth measurement; `seconds` is the length of each
    window; `feeds` are the numbers of cameras, with frames of that size, that are tried in order."""

    size: tuple[int, int]
    batch: int
    seconds: float
    pictures: Sequence[Image]
    feeds: Sequence[int]


def all_rows(open_gpu: Callable[[], Gpu], engines: Sequence[tuple[str, OpenEngine]], options: Options) -> list[Row]:
    """Returns the rows of all parts. `engines` holds backend names and functions that open the detector on them."""
    try:
        gpu = open_gpu()
    except EngineError as error:
        parts = ("kernels against the CPU", "kernels' bytes/s", *(f"whole way on {name}" for name, _ in engines))
        return [not_run(part, str(error)) for part in parts]
    found = [
        *attempt("picture kernels against the CPU", lambda: pixels.rows(gpu)),
        *attempt("heads against the CPU", lambda: heads.rows(gpu)),
        *attempt("kernels' bytes/s", lambda: bandwidth.rows(gpu, options.size, options.batch)),
    ]
    for name, open_engine in engines:
        found += _of_backend(name, open_engine, options)
    return found


def exit_code(rows: Sequence[Row]) -> int:
    """Returns 0 if all aims are met, 1 if one is missed, 3 if nothing could run."""
    verdicts = {row.verdict for row in rows}
    if verdicts == {"not run"}:
        return 3
    return 1 if "MISSED" in verdicts else 0


def _of_backend(name: str, open_engine: OpenEngine, options: Options) -> list[Row]:
    what = f"whole way on {name}"
    try:
        engine = open_engine()
    except EngineError as error:
        return [not_run(what, " ".join(str(error).split()))]
    try:
        if engine.gpu is None or not isinstance(engine.session, DeviceSession):
            return [not_run(what, engine.reason)]
        subject = whole.Subject(engine.gpu, engine, engine.session, options.pictures, options.seconds)
        load = feeds.Load(options.feeds, options.size, options.seconds)
        return [
            *attempt(what, lambda: whole.rows(subject)),
            *attempt(f"feeds on {name}", lambda: feeds.rows(engine, options.pictures, load)),
        ]
    finally:
        engine.close()
