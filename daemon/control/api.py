"""The API as methods: what `sightd.client` offers to programs, and commands use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict
from urllib.parse import quote

from sightd.daemon.control.client import Client, LateError

_API = "/api/v1"
RELOAD = 600.0
"""Seconds that a change of the configuration may take: a plug-in may have to download its model first."""
_POLL = 0.5

JsonObject = dict[str, Any]


class Changes(TypedDict):
    """What a change of the configuration changed: names, by kind of change."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    opened: list[str]
    replaced: list[str]
    adjusted: list[str]
    closed: list[str]
    renewed: list[str]
    sinks: list[str]
    event_rules: list[str]
    restart: list[str]


class Configuration(TypedDict):
    """The configuration file without its secrets. `read_only` says why it cannot be changed; `text` is None if it is
    not YAML."""

    path: str
    revision: str
    read_only: str | None
    text: str | None
    values: Any
    adjusted: dict[str, Any]


class Job(TypedDict):
    """Work that goes on in the daemon; `state` is running, done, failed or cancelled."""

    id: int
    kind: str
    subject: str
    state: str
    started: float
    ended: float | None
    doing: str | None
    done: int | None
    total: int | None
    result: str | None
    error: str | None


class DaemonClient(Client):
    """A daemon, by its API (docs/api.md; /api/v1/docs of a daemon has all fields). Any thread; each request opens a
    connection. Methods raise ApiError, or one of the ControlErrors, as `ApiClient` does."""

    def me(self) -> JsonObject:
        """Returns the name and role of this client."""
        return self._get("/me")

    def status(self) -> JsonObject:
        """Returns the state of the daemon: cameras, plug-ins, models, viewers, storage, versions."""
        return self._get("/status")

    def reload(self, timeout: float = RELOAD) -> Changes:
        """Has the daemon read its configuration file again. ApiError with status 409 says why it was refused."""
        changes: Changes = self.json("POST", f"{_API}/reload", timeout=timeout)
        return changes

    def cameras(self) -> list[JsonObject]:
        """Returns all cameras with their state, in the order of the configuration."""
        return self._list("/cameras")

    def camera(self, name: str) -> JsonObject:
        return self._get(f"/cameras/{quote(name, safe='')}")

    def picture(self, camera: str) -> bytes:
        """Returns the camera's current picture, annotated, as JPEG."""
        return self.request("GET", f"/{quote(camera, safe='')}.jpg").data

    def add_camera(self, name: str, source: str, *, before: str | None = None, **options: object) -> Changes:
        """Adds a camera to the configuration, as the last one or before another one. `options` are those of the
        configuration file."""
        query = {} if before is None else {"before": before}
        return self._change("POST", "/cameras", {"name": name, "source": source, **options}, query=query)

    def change_camera(self, name: str, **options: object) -> Changes:
        """Changes options of a camera in the configuration; None removes one."""
        return self._change("PATCH", f"/cameras/{quote(name, safe='')}", options)

    def remove_camera(self, name: str) -> Changes:
        return self._change("DELETE", f"/cameras/{quote(name, safe='')}")

    def order_cameras(self, names: Sequence[str]) -> Changes:
        """Brings all cameras into this order."""
        return self._change("PUT", "/cameras/order", {"names": list(names)})

    def pause(self, camera: str) -> JsonObject:
        """Pauses the analysis of a camera until the daemon's next start; video goes on. Returns the camera."""
        return self._post(f"/cameras/{quote(camera, safe='')}/pause")

    def resume(self, camera: str) -> JsonObject:
        return self._post(f"/cameras/{quote(camera, safe='')}/resume")

    def plugins(self) -> list[JsonObject]:
        """Returns the plug-ins with their options, times and faults."""
        return self._list("/plugins")

    def change_plugin(self, name: str, *, persist: bool = True, **options: object) -> Changes:
        """Changes options of a plug-in, None to the default: in the configuration, or (not `persist`) until the
        daemon's next start."""
        query = {"persist": str(persist).lower()}
        return self._change("PATCH", f"/plugins/{quote(name, safe='')}", options, query=query)

    def rules(self) -> dict[str, JsonObject]:
        """Returns the options of the rules for events, by name."""
        return self._get("/rules")

    def put_rule(self, name: str, **options: object) -> Changes:
        """Adds a rule, or replaces the one of this name."""
        return self._change("PUT", f"/rules/{quote(name, safe='')}", options)

    def remove_rule(self, name: str) -> Changes:
        return self._change("DELETE", f"/rules/{quote(name, safe='')}")

    def events(self, **query: object) -> list[JsonObject]:
        """Returns stored events, the newest by default; docs/events.md lists the parameters."""
        found: list[JsonObject] = self.json("GET", f"{_API}/events", query=query)
        return found

    @contextmanager
    def follow_events(self, **query: object) -> Iterator[Iterator[JsonObject]]:
        """Yields the events from now on, as they happen. Raises LateError if the daemon is silent for a minute."""
        with self.lines(f"{_API}/events/stream", query=query) as lines:
            yield (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {"))

    def configuration(self) -> Configuration:
        """Returns the configuration file without its secrets."""
        found: Configuration = self.json("GET", f"{_API}/configuration")
        return found

    def check_configuration(self, text: str) -> JsonObject:
        """Returns what is wrong with a text, and what it would change."""
        found: JsonObject = self.json("POST", f"{_API}/configuration/check", body={"text": text})
        return found

    def replace_configuration(self, text: str, revision: str) -> Changes:
        """Writes a text to the configuration file and applies it. `revision` is that of `configuration`, or "*".
        ApiError has the status 409 if the text is refused, 412 if the file has changed meanwhile."""
        return self._change("PUT", "/configuration", {"text": text}, headers={"if-match": revision})

    def configuration_history(self) -> list[JsonObject]:
        """Returns the versions of the configuration file, the newest first."""
        return self._list("/configuration/history")

    def restore_configuration(self, version: int) -> Changes:
        """Writes a version to the configuration file and applies it."""
        return self._change("POST", f"/configuration/history/{version}/restore")

    def models(self) -> list[JsonObject]:
        """Returns all models, and which of them are stored on the daemon's machine."""
        return self._list("/models")

    def engines(self) -> list[JsonObject]:
        """Returns the backends that can run models, or why not."""
        return self._list("/engines")

    def fetch_model(self, name: str) -> Job:
        """Starts the download of a model; `wait` waits for its end."""
        job: Job = self.json("POST", f"{_API}/models/{quote(name, safe='')}/fetch")
        return job

    def jobs(self) -> list[Job]:
        found: list[Job] = self.json("GET", f"{_API}/jobs")
        return found

    def job(self, number: int) -> Job:
        found: Job = self.json("GET", f"{_API}/jobs/{number}")
        return found

    def cancel(self, number: int) -> Job:
        """Cancels a job, which stops soon."""
        found: Job = self.json("DELETE", f"{_API}/jobs/{number}")
        return found

    def wait(self, job: Job, within: float = 3600.0) -> Job:
        """Waits for the end of a job. Raises LateError after `within` seconds."""
        until = time.monotonic() + within
        while (now := self.job(job["id"]))["state"] == "running":
            if time.monotonic() > until:
                raise LateError(f"{self}: job {job['id']} is still running")
            time.sleep(_POLL)
        return now

    def log(self, lines: int = 200) -> list[JsonObject]:
        """Returns the newest log records, the oldest of them first."""
        found: list[JsonObject] = self.json("GET", f"{_API}/log", query={"lines": lines})
        return found

    def _get(self, path: str) -> JsonObject:
        found: JsonObject = self.json("GET", _API + path)
        return found

    def _list(self, path: str) -> list[JsonObject]:
        found: list[JsonObject] = self.json("GET", _API + path)
        return found

    def _post(self, path: str) -> JsonObject:
        found: JsonObject = self.json("POST", _API + path)
        return found

    def _change(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Changes:
        changes: Changes = self.json(method, _API + path, query=query or {}, body=body, headers=headers, timeout=RELOAD)
        return changes
