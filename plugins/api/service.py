"""Services: what a plug-in offers to people besides its results, such as a gallery that they add to.

A plug-in that has state of this kind returns a service from `Plugin.open_service`, and declares in `Plugin.routes` what
the daemon's API offers of it. If no daemon runs, a command opens the service itself, on the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine

ROUTE_ENTRY_POINT_GROUP = "sightd.routes"
"""Group of entry points that says whose routes are below a path without importing the plug-in: the name is the first
part of the path below `/api/v1`, such as "faces", the value that of the plug-in's own entry point."""
Role = Literal["view", "operate", "admin"]


class Mode(Enum):
    """What a service is opened for."""

    SERVE = "serve"
    """For as long as the daemon runs: it opens even if its file cannot be written at the moment."""
    READ = "read"
    """For one command that changes nothing: it works on a full or read-only disk, and creates no file."""
    WRITE = "write"
    """For one command that may change something."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What the daemon, or a command, passes to `Plugin.open_service`.

    `load_engine` loads the first available model of a preference list, as `Context.engine` does, with one thread; the
    service closes the engine. Load models when they are first needed, because most requests need none.
    """

    environ: Mapping[str, str]
    load_engine: Callable[[Sequence[str | Model]], Engine]


@dataclass(frozen=True, slots=True)
class Storage:
    """The file that keeps a service's state.

    `fault` says why it cannot be written now; None if it can. The texts are the same for all instances: `kind` is what
    the file is ("gallery"), `label` the value of `store` in the metric `sightd_state_writable` ("faces"), and `effect`
    what does not work while the file cannot be written ("faces cannot be enrolled").
    """

    path: Path
    fault: str | None
    kind: str
    label: str
    effect: str


class PluginService:
    """Base class of services. The daemon opens one for each plug-in instance in use. Any thread may call it."""

    def storage(self) -> Storage | None:
        """Returns where the state is kept, without reading the disk; None if nothing is kept."""
        return None

    def recover(self) -> str | None:
        """Retries writes that failed. Returns the remaining fault, or None. The daemon calls it every two seconds if
        there is a `storage`; it may block on the disk."""
        return None

    def close(self) -> None:
        """Releases everything. Idempotent; may be called while a request is answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns if it is not just JSON with the route's status. `content` is bytes, or a value that is
    sent as JSON. `status` is the route's own by default."""

    content: Any
    media_type: str = "application/json"
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of a service in the daemon's API: `method` on `path` below `/api/v1`, such as "/faces/{name}", for
    clients with at least this `role`. The first part of the path is registered for the plug-in in
    `ROUTE_ENTRY_POINT_GROUP`.

    `handler(service, **values)` is a plain function, called on a worker thread. It gets the parts of the path by name,
    and, if it has such parameters, `query` (a pydantic model) and `body` (a pydantic model, or the body as bytes); the
    annotations say which type, and requests that do not fit are refused. It returns a value that is sent as JSON with
    `status`, None for an empty answer (`status` 204), or an `Answer`. It raises RefusedError; an EngineError is
    answered with 503.

    `plugin` in the query chooses the plug-in instance; a model of the query must not have that field.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    role: Role
    summary: str
    handler: Callable[..., object]
    status: int = 200
    max_body: int | None = None
    """Maximum bytes of the body, 1 MiB by default."""
    max_values: int | None = None
    """For a body of bytes that is JSON: the maximum number of values in it, checked before the handler is called."""
    prepare: Callable[[Any], object] | None = None
    """Called with the service before the handler if no daemon runs, on the command's own thread: loads models, so that
    Ctrl-C during a download cleans up."""
