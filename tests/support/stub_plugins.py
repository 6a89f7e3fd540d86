"""Plug-ins for tests of the configuration: they declare what a detector and a tracker do, but do nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from sightd.daemon.config.plugin_entries import PluginSource
from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import AnyPlugin, ConfigProblem, Detections, Plugin, PluginConfig, PluginError, Tracks


class FinderConfig(PluginConfig):
    model: str | list[str] = Field("small", description="Which network.", examples=["small"])
    min_score: float = Field(0.3, ge=0, le=1, description="Least score.")
    labels: Path | None = Field(None, description="Names.")


class UploaderConfig(PluginConfig):
    key: SecretStr = Field(description="The service's key.")


class BrokenConfig(PluginConfig):
    @field_validator("every")
    @classmethod
    def _fails(cls, every: int) -> int:
        raise KeyError(every)


class PickyConfig(PluginConfig):
    word: str = "yes"
    words: list[str] = Field(default_factory=list)

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        if self.word == "fail":
            raise KeyError(self.word)
        named = [(("word",), self.word), *((("words", index), word) for index, word in enumerate(self.words))]
        return [ConfigProblem(path, "no is refused", "write another word") for path, word in named if word == "no"]


class Finder(Plugin[FinderConfig]):
    Config: ClassVar[type[PluginConfig]] = FinderConfig
    produces: ClassVar[frozenset[type]] = frozenset({Detections})


class Follower(Plugin[PluginConfig]):
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    produces: ClassVar[frozenset[type]] = frozenset({Tracks})


class Uploader(Plugin[UploaderConfig]):
    Config: ClassVar[type[PluginConfig]] = UploaderConfig


class Broken(Plugin[BrokenConfig]):
    Config: ClassVar[type[PluginConfig]] = BrokenConfig


class Picky(Plugin[PickyConfig]):
    Config: ClassVar[type[PluginConfig]] = PickyConfig


CLASSES: dict[str, type[AnyPlugin]] = {
    "finder": Finder,
    "follower": Follower,
    "uploader": Uploader,
    "broken": Broken,
    "picky": Picky,
}


def find(name: str) -> type[AnyPlugin]:
    if name not in CLASSES:
        raise PluginError(f"no plug-in {name}")
    return CLASSES[name]


def check_chain(names: Sequence[str], classes: Mapping[str, type[AnyPlugin]]) -> None:
    given: set[type] = set()
    for name in names:
        if not classes[name].requires <= given:
            raise PluginError(f"{name} requires Detections; put finder before it")
        given |= classes[name].produces


STUBS = PluginSource(find, check_chain, tuple(CLASSES))
