"""The plug-in, its service and its routes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field

from sightd.engines.files import write_whole
from sightd.plugins.api import (
    Frame,
    Mode,
    Plugin,
    PluginConfig,
    PluginService,
    RefusedError,
    Results,
    Route,
    ServiceContext,
    Storage,
)


class TallyConfig(PluginConfig):
    file: Path = Field(Path("tally.txt"), description="Where the number is kept.")


class TallyService(PluginService):
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def count(self) -> int:
        return int(self._path.read_text()) if self._path.exists() else 0

    def add(self, number: int) -> None:
        write_whole(self._path, str(self.count + number).encode())

    def storage(self) -> Storage:
        return Storage(self._path, None, "tally", "tallies", "nothing can be counted")


class Step(BaseModel):
    by: int = 1


class TooMuchError(RefusedError):
    status: ClassVar[int] = 409


def show(service: TallyService) -> dict[str, int]:
    return {"count": service.count}


def add(service: TallyService, body: Step) -> dict[str, int]:
    if body.by > 100:
        raise TooMuchError(f"{body.by} is too much at once: add at most 100")
    service.add(body.by)
    return show(service)


class Tally(Plugin[TallyConfig]):
    Config: ClassVar[type[PluginConfig]] = TallyConfig
    routes: ClassVar[Sequence[Route]] = (
        Route("GET", "/tally", "view", "The number", show),
        Route("POST", "/tally", "operate", "Add to the number", add),
    )

    @classmethod
    def open_service(cls, config: TallyConfig, context: ServiceContext, mode: Mode) -> TallyService:
        return TallyService(config.file)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [Results() for _ in frames]
