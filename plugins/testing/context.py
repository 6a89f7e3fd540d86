"""Test doubles for what the daemon passes to a plug-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sightd.engines.engine import Engine
from sightd.engines.errors import EngineError, ModelUnavailableError
from sightd.engines.model import Model

EngineLoader: TypeAlias = Callable[[Sequence[str | Model]], Engine]
"""Loads the first available model of a preference list, like `Context.engine`."""


class StubContext:
    """A context with engines from `load`; like the daemon, closes them (on `close`, or after a with-statement)."""

    def __init__(self, name: str = "checked", load: EngineLoader | None = None) -> None:
        self.name = name
        self._load = load
        self._engines: list[Engine] = []

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        if self._load is None:
            raise EngineError("this check was given no way to load networks: pass check_plugin(..., engine=...)")
        engine = self._load(choice)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        while self._engines:
            self._engines.pop().close()

    def __enter__(self) -> StubContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_network(choice: Sequence[str | Model]) -> Engine:
    """A loader on a machine where no model is available; always raises ModelUnavailableError."""
    raise ModelUnavailableError("no model is available (this is a test of what happens then)")
