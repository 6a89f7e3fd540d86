"""A configuration read anew: all of it is valid and applied, or nothing changes."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import Future
from pathlib import Path

from daemon.app import Daemon
from daemon.config.changes import Changes
from daemon.config.installed import installed_plugins
from daemon.config.load import Loaded, load
from daemon.config.problems import ConfigError, Problem
from daemon.logs import configure
from daemon.service.notify import Notifier

log = logging.getLogger(__name__)


def reload(daemon: Daemon, path: Path, notifier: Notifier, answer: Future[Changes]) -> None:
    """Reads `path` and has the daemon follow it; `answer` gets what changed, or why nothing did. Main thread."""
    if not answer.set_running_or_notify_cancel():  # from now on who asked may go away, but cannot cancel it
        return
    notifier.reloading()
    try:
        loaded = _loaded(path)
        change = daemon.apply(loaded)
    except ConfigError as error:
        log.error("%s was not taken over, and nothing changed: %s", path, error)
        daemon.reloaded(None)
        answer.set_exception(error)
    else:
        configure(loaded.config.log, sys.stderr, os.environ)
        for warning in loaded.warnings:
            log.warning("%s", warning)
        log.info("%s was taken over: %s", path, change)
        if change.fixed:
            log.warning("%s: these sections take a restart: %s", path, ", ".join(change.fixed))
        daemon.reloaded(change)
        answer.set_result(change)
    finally:
        notifier.ready()


def _loaded(path: Path) -> Loaded:
    try:
        return load(path, environ=os.environ, plugins=installed_plugins())
    except OSError as error:  # as without file descriptors: what runs goes on
        raise ConfigError([Problem(0, 0, "", f"it cannot be read now: {error}", "", str(path))]) from error
