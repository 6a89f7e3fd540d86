"""Restores process-wide logging settings after a test, so that tests do not affect each other."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


@contextmanager
def restored() -> Iterator[None]:
    """Restores handlers, levels and hooks at the end. Inside, the web server's loggers have no level of their own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    levels = {name: logging.getLogger(name).level for name in _SERVERS}
    for name in _SERVERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    root.handlers[:], sys.excepthook = handlers, hooks[0]
    threading.excepthook, sys.unraisablehook = hooks[1:]
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.captureWarnings(False)
    structlog.reset_defaults()
