"""Forwards TensorRT's messages to the program's log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightd.engines.trt import api

logger = logging.getLogger(__name__)

_LEVELS = {"INTERNAL_ERROR": logging.ERROR, "ERROR": logging.ERROR, "WARNING": logging.WARNING}
_KEPT = 8


@dataclass(frozen=True, slots=True)
class TensorRtLog:
    """`target` is the logger passed to TensorRT. It must outlive every object created with it."""

    target: api.Logger
    _errors: deque[str]

    def errors(self) -> Sequence[str]:
        """Returns the latest errors, oldest first. TensorRT itself reports only that something failed."""
        return tuple(self._errors)


def make_log(module: api.Module) -> TensorRtLog:
    """Returns a logger of TensorRT's own class. TensorRT calls it from its own threads."""
    errors: deque[str] = deque(maxlen=_KEPT)
    base: Any = module.ILogger

    class Target(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            level = _LEVELS.get(severity.name)
            if level is None:  # tens of thousands of detail lines per build
                return
            if level == logging.ERROR:
                errors.append(msg)
            logger.log(level, "%s", msg)

    return TensorRtLog(Target(), errors)
