"""Configuration reloads: a file is applied completely or not at all, and a reload that hangs blocks nothing."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from sightd.daemon.app.daemon import AbandonedError, Daemon
from sightd.daemon.app.logs import configure
from sightd.daemon.app.systemd import Notifier
from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.load import LoadedConfig, load
from sightd.daemon.config.overrides import Override
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError, LocatedProblem
from sightd.daemon.serve.view import ConfigurationStatus

log = logging.getLogger(__name__)

READ_LIMIT = 30.0
"""Seconds within which the file and the files it refers to must be read and validated."""
OPEN_LIMIT = 300.0
"""Seconds that opening new components may go without progress, such as that of a download or engine build."""
MAX_HUNG = 4
"""Hung reloads that are abandoned; after that, the process refuses further ones."""


class ReloadFailedError(ConfigError):
    """The reload did not complete: it hung, the daemon is stopping, or there is a bug."""


class Attempt:
    """One reload: its current step, its deadline, and whether it may still change the daemon. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._abandoned = False
        self.applying = False
        self.outcome: ConfigDiff | BaseException | None = None
        """How it ended; None while it is running."""
        self.step("reading the file", READ_LIMIT)

    def step(self, doing: str, limit: float) -> None:
        """Starts a new step, which may go `limit` seconds without progress."""
        self.doing, self.limit = doing, limit
        self.progress()

    def progress(self) -> None:
        """Records progress: the limit counts from now."""
        self._renewed_at = self._clock()

    @property
    def left(self) -> float:
        """Seconds until the deadline. There is none while changes are applied: the watchdog covers that."""
        return float("inf") if self.applying else self._renewed_at + self.limit - self._clock()

    def commit(self) -> None:
        """Marks it as applying, after which it cannot be abandoned. Raises AbandonedError if it already was."""
        with self._lock:
            if self._abandoned:
                raise AbandonedError
            self.doing, self.applying = "applying the changes", True

    def abandon(self) -> bool:
        """Prevents it from changing anything. Returns False if it is already applying changes."""
        with self._lock:
            self._abandoned = not self.applying
            return self._abandoned


class Reloads:
    """Runs one reload at a time; all requests made meanwhile share the next one. Any thread may request one.

    One thread waits for requests and enforces the deadline, another reads, opens and applies. A reload past its
    deadline fails and is abandoned; it can no longer change anything.
    """

    _daemon: Daemon

    def __init__(self, path: Path, notifier: Notifier, fail: Callable[[BaseException], None]) -> None:
        """`fail` is called with an error that left the daemon partially changed."""
        self._path, self._notifier, self._fail = path, notifier, fail
        self._changed = threading.Condition()
        self._waiting: list[Future[ConfigDiff]] = []
        self._proposed: dict[tuple[str, ...], Override | None] = {}
        self._overrides: dict[tuple[str, ...], Override] = {}
        """Options that were adjusted and applied, by path."""
        self._attempt: Attempt | None = None
        self._hung: list[threading.Thread] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self, daemon: Daemon) -> None:
        """Starts serving requests, including earlier ones, for `daemon`, which must have started."""
        self._daemon = daemon
        self._thread.start()

    @property
    def overrides(self) -> Sequence[Override]:
        """Options that were adjusted and applied."""
        return tuple(self._overrides.values())

    def ask(self, overrides: Sequence[Override] = (), released: Sequence[tuple[str, ...]] = ()) -> Future[ConfigDiff]:
        """Requests a reload. The future yields the changes, or raises a ConfigError that says why there are none.

        If it is applied, options in `overrides` have another value than in the file until the next start, also over
        further reloads, as long as the file allows it. Those at the paths `released` have the file's value again."""
        future: Future[ConfigDiff] = Future()
        with self._changed:
            self._proposed |= dict.fromkeys(released) | {override.path: override for override in overrides}
            self._waiting.append(future)
            self._changed.notify_all()
        return future

    def ask_once(self) -> None:
        """Requests a reload unless a request is already waiting."""
        with self._changed:
            if not self._waiting:
                self._waiting.append(Future())
                self._changed.notify_all()

    def progress(self) -> None:
        """Records progress of the current reload, if any."""
        if (attempt := self._attempt) is not None:
            attempt.progress()

    def close(self, deadline: float = 8.0) -> None:
        """Stops the thread. Abandons a reload in progress, or gives it `deadline` seconds if it is already applying
        changes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(deadline)
        with self._changed:
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(self._problem("the daemon is stopping"))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                asked, self._waiting = self._waiting, []
            # from here on the callers may leave, but can no longer cancel
            wanted = [future for future in asked if future.set_running_or_notify_cancel()]
            if wanted:
                self._reload(wanted)

    def _reload(self, asked: list[Future[ConfigDiff]]) -> None:
        self._notifier.reloading()
        since = time.time()
        attempt = self._attempt = Attempt()
        self._daemon.state.configuration = ConfigurationStatus("reloading", since)
        outcome = self._outcome(attempt)
        self._attempt = None
        self._report(outcome)
        self._notifier.ready()  # before the results: the caller may be systemd's ExecReload=
        for future in asked:
            if isinstance(outcome, ConfigDiff):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def _outcome(self, attempt: Attempt) -> ConfigDiff | BaseException:
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) >= MAX_HUNG:
            return self._problem(f"{MAX_HUNG} earlier reloads still hang; restart sightd")
        thread = threading.Thread(target=self._work, args=(attempt,), name="reload-work", daemon=True)
        thread.start()
        with self._changed:
            while attempt.outcome is None:
                if self._closed and attempt.abandon():
                    return self._problem("the daemon is stopping")
                if attempt.left <= 0 and attempt.abandon():
                    self._hung.append(thread)
                    return self._problem(
                        f"no progress for {attempt.limit:.0f} s while {attempt.doing}; the reload was abandoned and "
                        "the daemon continues as before. Check for a file on a hung mount, or a plug-in that hangs "
                        "while opening"
                    )
                self._changed.wait(min(max(attempt.left, 0.0), 1.0))
            return attempt.outcome

    def _work(self, attempt: Attempt) -> None:
        outcome: ConfigDiff | BaseException
        try:
            loaded, overrides = self._read()
            attempt.step("opening new cameras and plug-ins", OPEN_LIMIT)
            outcome = self._daemon.apply(loaded, attempt.commit)
            self._overrides = overrides
            self._taken_over(loaded, outcome)
        except (ConfigError, AbandonedError) as error:
            outcome = error
        except BaseException as error:  # the thread's outermost handler: nothing above could handle it
            log.exception("bug in sightd during a reload")
            if attempt.applying:
                self._fail(error)
            outcome = self._problem(f"bug in sightd: {type(error).__name__}: {error}")
        with self._changed:
            attempt.outcome = outcome
            self._changed.notify_all()

    def _read(self) -> tuple[LoadedConfig, dict[tuple[str, ...], Override]]:
        """Reads the file with the adjusted options; without those of earlier reloads if they do not fit any more, and
        without those of plug-ins on which redaction depends now."""
        with self._changed:
            proposed, self._proposed = self._proposed, {}
        wanted = {**self._overrides, **proposed}
        overrides = {path: one for path, one in wanted.items() if one is not None}
        try:
            loaded = _loaded(self._path, overrides.values())
        except ConfigError:
            if any(proposed.values()) or not overrides:
                raise
            loaded, kept = _loaded(self._path), {}
        else:
            kept = {path: one for path, one in overrides.items() if path[1] not in loaded.hiding}
            if kept == overrides:
                return loaded, overrides
            loaded = _loaded(self._path, kept.values())
        log.warning("options that were adjusted do not fit the file; the file's values apply")
        return loaded, kept

    def _taken_over(self, loaded: LoadedConfig, change: ConfigDiff) -> None:
        configure(loaded.config.log, sys.stderr, os.environ)
        for warning in loaded.warnings:
            log.warning("%s", warning)
        log.info("%s was applied: %s", self._path, change)
        if change.fixed:
            log.warning("%s: changes to these sections require a restart: %s", self._path, ", ".join(change.fixed))

    def _report(self, outcome: ConfigDiff | BaseException) -> None:
        if isinstance(outcome, ConfigDiff):
            self._daemon.state.configuration = ConfigurationStatus("current", time.time())
            self._daemon.reloaded(outcome)
        else:
            log.error("%s was not applied and nothing was changed: %s", self._path, outcome)
            state: Literal["failed", "refused"] = "failed" if isinstance(outcome, ReloadFailedError) else "refused"
            self._daemon.state.configuration = ConfigurationStatus(state, time.time(), str(outcome))
            self._daemon.reloaded(None, str(outcome))

    def _problem(self, message: str) -> ReloadFailedError:
        return ReloadFailedError([LocatedProblem((), f"cannot be reloaded: {message}", file=str(self._path))])


def _loaded(path: Path, overrides: Iterable[Override] = ()) -> LoadedConfig:
    try:
        return load(path, environ=os.environ, plugins=installed_plugins(), overrides=tuple(overrides))
    except OSError as error:  # e.g. out of file descriptors: the daemon keeps running
        raise ConfigError([LocatedProblem((), f"cannot be read: {error}", file=str(path))]) from error
