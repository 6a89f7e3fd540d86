"""The plug-in contract: the base class, what the daemon passes to a plug-in, and the rules it must follow.

A plug-in is a class registered under the entry-point group `sightd.plugins`. The daemon creates one instance for each
entry under `plugins:` in the configuration. All cameras whose chain names the entry share that instance.

A package may also register functions for a model role of its own (a `Model` states its role, such as "detector") to
compare results of such models. They are imported only when a model of the role needs them. A model without them works,
but not on TensorRT, which needs a box reader for roles that sightd does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.backends import BackendName, Precision
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.tensorrt.verify import BoxReader
from sightd.plugins.api.errors import ConfigProblem
from sightd.plugins.api.frame import Canvas, Frame
from sightd.plugins.api.reports import EventSpec, MetricSpec
from sightd.plugins.api.results import Results
from sightd.plugins.api.service import Mode, PluginService, Route, ServiceContext
from sightd.plugins.api.units import Device, Duration, Size

API_VERSION = 1
ENTRY_POINT_GROUP = "sightd.plugins"


class PluginConfig(BaseModel):
    """Options that every plug-in has; a plug-in's own `Config` derives from it and adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed_options: ClassVar[Mapping[str, str]] = {}
    """Previous names of options, and their current ones. A configuration may use them; a warning names the new one."""
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """The same for values: previous and current ones by the current name of the option."""
    live_options: ClassVar[frozenset[str]] = frozenset()
    """Options that `Plugin.reconfigure` takes over while the plug-in runs. If others change, the plug-in is opened
    again, and the cameras that use it start again."""

    use: str | None = Field(
        None, description="Plug-in that this entry is an instance of; by default the name of the entry."
    )
    every: int = Field(
        1, ge=1, description="Run only on every n-th frame; results for the frames between are predicted."
    )
    max_fps: float | None = Field(
        None,
        gt=0,
        description="Maximum runs per second on each camera; results for the frames between are predicted.",
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Maximum batch size (frames of all cameras). By default 1 on a CPU, where batches save "
        "nothing, and 16 on a GPU.",
    )
    max_wait: Duration = Field(
        0.0,
        description=(
            "How long to wait for a fuller batch. By default, a batch starts immediately with the waiting frames."
        ),
    )
    backends: list[BackendName] | None = Field(
        None,
        min_length=1,
        description="Backends for its models, in order of preference; by default `engines.backends`.",
    )
    precision: Precision | None = Field(None, description="Precision of its models; by default `engines.precision`.")
    device: Device | None = Field(
        None, description="Device of its models; by default `engines.device`.", examples=["cuda:1"]
    )
    isolate: bool = Field(
        False,
        description="Run the plug-in in a separate process: a crash, hang or memory leak affects only that "
        "process, which is restarted. Costs some time per frame (docs/plugins.md).",
    )
    max_memory: Size | None = Field(
        None,
        description="Maximum resident memory of an isolated plug-in; its process is restarted if it exceeds this.",
        examples=["2GiB"],
    )

    def problems(self, networks: Catalog) -> Sequence[ConfigProblem]:
        """Returns problems that per-field validation cannot see: a missing file, an unknown model or class name.

        `networks` is the catalogue of models that may be named: the built-in ones and those created on this machine.
        Called once before the plug-in is created, and by `sightd check`, with all paths absolute, so that every problem
        is reported at once and with its line in the file rather than by `open`. Must be quick and offline: load no
        model.
        """
        return ()

    def files(self, networks: Catalog) -> Iterable[Path]:
        """Returns the files that the plug-in reads only when it is opened, such as models and labels. If one of them
        has changed, a reload opens the plug-in again, although no option has changed.

        Called if there are no `problems`, with all paths absolute. Must be quick and offline. None by default.
        """
        return ()

    def overlooks(self) -> Sequence[str]:
        """Returns the options because of which `process` may not look at all of a frame. A chain in which a plug-in
        that redacts `requires` or `uses` what this one produces is refused then, because objects that were not looked
        for would be shown. None by default. With `every` or `max_fps`, which need not be named, it is refused if the
        one that redacts only `uses` the results."""
        return ()

    def fact_values(self, camera: str) -> Mapping[str, Collection[str]]:
        """Returns the values that facts of its events have on a camera, as far as the options say so, by the fact's
        name, such as {"zone": ["yard"]}. Rules that ask for other values get a warning. None by default.

        Must be quick and offline.
        """
        return {}

    def for_embeddings(self) -> Self:
        """Returns options with which the plug-in computes the embedding of everything it finds, on every frame:
        `sightd analyze --embeddings` opens it with these. The same options by default."""
        return self


C = TypeVar("C", bound=PluginConfig)


class Context(Protocol):
    """What the daemon passes to a plug-in's `open`."""

    @property
    def name(self) -> str:
        """The instance's name in the configuration."""
        ...

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        """Loads the first available model of `choice`: catalogue names, or models built from a user's own file.

        Never substitutes a model silently; the engine's `reason` explains the choice. The daemon closes the engine.
        Raises `engines.errors.EngineError`, which says what to do, if none is available.
        """
        ...


class Plugin(Generic[C]):
    """Base class of plug-ins. One instance serves all cameras.

    Threads: `open` is called before and `close` after all other calls. `process` runs on worker threads, not always on
    the same one: one call at a time, or several at once if the class sets `parallel`. `predict`, `draw` and `forget`
    run on other threads concurrently with `process`, so `process` should publish immutable state for them to read.
    """

    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    requires: ClassVar[frozenset[type]] = frozenset()
    """Result types that an earlier plug-in of the chain must produce."""
    uses: ClassVar[frozenset[type]] = frozenset()
    """Result types that the plug-in takes into account if the chain produces them: plug-ins that do must come before
    it. One that passes images on, to a file or over the network, uses `PrivacyMask`."""
    produces: ClassVar[frozenset[type]] = frozenset()
    """Result types that `process` produces. A `JsonResult` adds to the lines of `sightd analyze`, a `CountedResult` or
    `MeasuredResult` to the metrics."""
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    """Counters that results of its own types add to, and gauges that they set. Those of the standard result types need
    not be repeated."""
    events: ClassVar[tuple[EventSpec, ...]] = ()
    """Kinds of the events that `process` returns as `Events`, which `produces` must name then."""
    parallel: ClassVar[bool] = False
    """Whether `process` is stateless, so that the daemon may run one call per core concurrently."""
    routes: ClassVar[Sequence[Route]] = ()
    """What the daemon's API offers of the plug-in's service."""

    def __init__(self, config: C) -> None:
        self.config = config

    @classmethod
    def open_service(cls, config: C, context: ServiceContext, mode: Mode) -> PluginService | None:
        """Opens the service of an instance with these options; None by default, if the plug-in offers none.

        The daemon calls it before it opens the plug-in itself, and again for a reload that changes the options. Raises
        PluginError or EngineError, which say what to do.
        """
        return None

    @property
    def redacts(self) -> bool:
        """Whether this instance redacts frames. If so, a frame is shown only after the plug-in was asked, and is hidden
        entirely unless `process` returned a `PrivacyMask` for it."""
        return False

    def open(self, context: Context) -> None:
        """Loads models and does other slow set-up. Raises PluginError or EngineError, which say what to do."""

    def reconfigure(self, config: C) -> None:
        """Takes over other options, which differ only in `live_options`. Called while all other methods may run on
        other threads. Raises PluginError if they cannot be used; the plug-in continues with the previous ones then.

        By default sets `config`, which is enough for options that each call reads from there.
        """
        self.config = config

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Analyses a batch of frames from several cameras (at most one frame per camera).

        `results[i]` holds what earlier plug-ins found on `frames[i]`; a required type may be missing if an earlier
        plug-in failed. Returns one Results per frame, in the same order, with only what this plug-in found. Frames of
        one camera arrive in order of `seq`, possibly with gaps.
        """
        raise NotImplementedError

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns this plug-in's result for a frame that `process` has not seen: a prediction or the last result.

        Called for frames that are shown before being analysed, or without it, but not across a scene cut: a frame that
        shows another scene than the last one that `process` has seen gets no result. It must be cheap (well under
        1 ms) and have no lasting effect: a frame analysed later may be older than this one. Returns nothing by default.
        """
        return Results()

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        """Draws what the standard overlay does not: boxes, labels and tracks are already drawn."""

    def forget(self, camera: str) -> None:
        """Drops all state of a camera because it was removed or its frame size changed."""

    def close(self) -> None:
        """Releases everything. Called once, also if `open` failed half-way."""


AnyPlugin = Plugin[Any]


BOX_READER_ENTRY_POINT_GROUP = "sightd.box_readers"
"""Entry points of `BoxReaderFactory` functions, by role."""
DRIFT_ENTRY_POINT_GROUP = "sightd.drift"
"""Entry points of `Drift` functions, by role."""

BoxReaderFactory = Callable[[Model], BoxReader]
"""Returns what turns a model's raw outputs into boxes: a new TensorRT engine must find those of ONNX Runtime. Raises
PluginError for a model that it cannot read."""
Drift = Callable[[Engine, Engine, Sequence[Frame]], str]
"""Says in one sentence how far the results of the second engine, the int8 one, agree with those of the first on a few
frames. Raises PluginError if it cannot run one of them."""
