"""The plug-in contract: what a plug-in is, what it is given, what it must keep to.

A plug-in is a class found through the entry-point group `sightd.plugins`. The daemon makes one instance for each
entry under `plugins:` in the configuration and shares it among all cameras whose chain names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sightd.engines.catalog import Catalog
from sightd.engines.engine import Engine
from sightd.engines.model import Model
from sightd.engines.preference import BackendName, Precision
from sightd.plugins.types import Canvas, Frame, Results
from sightd.plugins.units import Device, Duration, Size

API_VERSION = 1
ENTRY_POINT_GROUP = "sightd.plugins"


class PluginError(Exception):
    """A plug-in cannot do what its configuration asks for; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An option that cannot be used. `path` leads to its value within the plug-in's entry: ("model", 0, "file").

    `hint` says what to write instead. Neither text holds a secret.
    """

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


class PluginConfig(BaseModel):
    """Options that every plug-in has; a plug-in's own `Config` derives from it and adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str | None = Field(
        None, description="Which plug-in this entry is an instance of; the entry's own name by default."
    )
    every: int = Field(1, ge=1, description="Run on every n-th frame only; frames between are predicted.")
    max_fps: float | None = Field(
        None,
        gt=0,
        description="Run at most this often a second on each camera; frames between are predicted.",
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Largest number of cameras' frames run at once. By default 1 on a CPU, where batches save "
        "nothing, and 16 on a GPU.",
    )
    max_wait: Duration = Field(
        0.0, description="How long to wait for a fuller batch. By default a batch starts with the waiting frames."
    )
    backends: list[BackendName] | None = Field(
        None, min_length=1, description="What runs its networks, in order; the file's `engines.backends` by default."
    )
    precision: Precision | None = Field(
        None, description="What its networks compute in; the file's `engines.precision` by default."
    )
    device: Device | None = Field(
        None, description="Where its networks run; the file's `engines.device` by default.", examples=["cuda:1"]
    )
    isolate: bool = Field(
        False,
        description="Run it in a process of its own: a crash, hang or leak ends only that process, which "
        "is restarted. Costs some time for each frame (docs/plugins.md).",
    )
    max_memory: Size | None = Field(
        None,
        description="Where it is isolated: most resident memory of its process, which is replaced when it takes more.",
        examples=["2GiB"],
    )

    def faults(self, networks: Catalog) -> Sequence[Fault]:
        """What is wrong with options that are valid one by one: a file that is not there, a name that nothing has.

        `networks` are those that may be named: the catalogue's, and those made on this machine.
        Asked once before the plug-in is made, by `sightd check` as well, with all paths absolute. So that faults are
        told with their line in the file, all at once, and not by `open`. Quick and offline: it loads no network.
        `networks` are those that can be named here.
        """
        return ()


C = TypeVar("C", bound=PluginConfig)


class Context(Protocol):
    """What the daemon gives a plug-in when it opens."""

    @property
    def name(self) -> str:
        """The instance's name in the configuration."""
        ...

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        """The first model of `choice` (catalogue names, or models made of a user's own file) that can be had.

        Never another one in silence: the engine's `reason` says why it is this one. The daemon closes it.
        Raises `engines.errors.EngineError` with what to do where none can be had.
        """
        ...


class Plugin(Generic[C]):
    """Base class of plug-ins. One instance serves all cameras.

    Threads: `open` and `close` run before the first and after the last call of the others. `process` runs on a worker
    thread: one call at a time, or several at once where the class sets `parallel`. `carry`, `draw` and
    `forget` run on other threads at the same time as `process`: let `process` publish immutable state that they read.
    """

    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    needs: ClassVar[frozenset[type]] = frozenset()
    """Result types that an earlier plug-in of the chain must give."""
    gives: ClassVar[frozenset[type]] = frozenset()
    """Result types that `process` finds."""
    parallel: ClassVar[bool] = False
    """True where `process` keeps no state, so that the daemon may run one call per core at once."""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    def hides(self) -> bool:
        """True where this instance says what nobody may see, by `Hidden` for each frame: no frame is shown before it
        was asked, and where it has no answer the whole picture is hidden."""
        return False

    def open(self, context: Context) -> None:
        """Loads networks and whatever else takes time. Raises PluginError or EngineError with what to do."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        """Finds things on a batch of frames of several cameras (each camera at most once in a batch).

        `results[i]` is what earlier plug-ins found on `frames[i]`; what this one needs may be missing, where an
        earlier plug-in failed. Gives, for each frame in the same order, what this plug-in found and no more.
        Frames of one camera come in order of `seq`, perhaps with gaps.
        """
        raise NotImplementedError

    def carry(self, frame: Frame, results: Results) -> Results:
        """What this plug-in would say of a frame that `process` has not seen: a prediction or the last word.

        Called for frames that are shown before or without being analysed; cheap (well under 1 ms), and without
        lasting effect: a frame analysed later may be older than this one. Says nothing by default.
        """
        return Results()

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        """Draws what the standard overlay does not know: boxes, labels and tracks are drawn already."""

    def forget(self, camera: str) -> None:
        """Lets go of all state of a camera: it was removed, or its picture changed size."""

    def close(self) -> None:
        """Lets go of everything; called once, also after `open` failed half way."""


AnyPlugin = Plugin[Any]
