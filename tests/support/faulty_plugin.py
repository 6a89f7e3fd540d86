"""A plug-in that fails in the way given by a file, and its installation for a daemon."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from sightd.plugins.api import Classification, Context, Frame, Plugin, PluginConfig, Results


class FaultyConfig(PluginConfig):
    orders: Path
    checking: Literal["works", "hangs"] = "works"
    """What the validation of its options does."""
    opening: Literal["works", "hangs", "spins", "leaves a thread"] = "works"

    @model_validator(mode="after")
    def _may_hang(self) -> Self:
        if self.checking == "hangs":
            threading.Event().wait()
        return self


_STANDING = ("keep raising", "keep leaking")


class Faulty(Plugin[FaultyConfig]):
    """Finds nothing; once there is a file `orders` it takes it away and does what it says. Standing orders stay."""

    Config: ClassVar[type[PluginConfig]] = FaultyConfig
    produces: ClassVar[frozenset[type]] = frozenset({Classification})

    def open(self, context: Context) -> None:
        if self.config.opening == "hangs":
            threading.Event().wait()
        while self.config.opening == "spins":
            pass
        if self.config.opening == "leaves a thread":
            threading.Thread(target=threading.Event().wait, daemon=False).start()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        orders = self.config.orders
        if orders.exists():
            order = orders.read_text()
            if order not in _STANDING:
                orders.unlink()
            return _obey(order)  # type: ignore[no-any-return]
        return [Results() for _ in frames]


def _obey(order: str) -> Any:
    match order:
        case "raise" | "keep raising":
            raise RuntimeError("as ordered")
        case "nonsense":
            return "nonsense"
        case "hang":
            threading.Event().wait()
        case "leak":  # beside `process`, which a busy machine could slow down so much that it counts as hanging
            threading.Thread(target=lambda: _leak.append(np.ones(600 * 2**20, np.uint8)), daemon=True).start()
        case "keep leaking":
            _leak.append(np.ones(2**20, np.uint8))
        case "segfault":
            ctypes.string_at(0)
    return [Results()]


_leak: list[object] = []


def installed(folder: Path) -> dict[str, str]:
    """Installs it under `folder` as `faulty`, as pip would. Returns the environment in which it is found."""
    about = folder / "faulty-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[sightd.plugins]\nfaulty = {__name__}:Faulty\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
