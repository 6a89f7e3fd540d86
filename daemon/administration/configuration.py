"""Reads, checks and replaces the configuration file of the running daemon, and applies it."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightd.daemon.administration.errors import BusyError, NotWritableError, OutdatedError, UnknownNameError
from sightd.daemon.common.redaction import MARK
from sightd.daemon.config.diff import ConfigDiff, diff
from sightd.daemon.config.history import ConfigHistory, Version
from sightd.daemon.config.load import LoadedConfig, load_text, read_text
from sightd.daemon.config.overrides import Override
from sightd.daemon.config.placeholders import StoredText
from sightd.daemon.config.plugin_entries import PluginSource, installed_plugins
from sightd.daemon.config.problems import ConfigError, LocatedProblem
from sightd.daemon.config.secret_options import SecretOptions
from sightd.daemon.config.yaml import MAX_BYTES, YamlSyntaxError
from sightd.engines.files import write_whole

log = logging.getLogger(__name__)

RELOAD_PATIENCE = 600.0
"""Seconds that a reload may take: a plug-in may have to download its model first."""
_MOST_AT_ONCE = 4
"""Requests that work on the file or wait for it; each takes a thread."""
_TURN_PATIENCE = 20.0
_SCHEMA_PATIENCE = 60.0


class Reloading(Protocol):
    """Applies the configuration file. Thread-safe."""

    @property
    def overrides(self) -> Sequence[Override]:
        """Options that have another value than in the file, until the next start."""
        ...

    def ask(self, overrides: Sequence[Override] = (), released: Sequence[tuple[str, ...]] = ()) -> Future[ConfigDiff]:
        """Requests a reload with these further overrides, and without those at the paths `released`. The future yields
        the changes, or raises ConfigError."""
        ...


Change = Callable[[str, object], str]
"""Returns a new text, given that of the file without secrets, and its values."""


@dataclass(frozen=True, slots=True)
class ConfigurationView:
    """The file without its secrets. `text` is None if it is not YAML, so that nobody can tell what is secret in it.
    `read_only` says why the file cannot be changed; `adjusted` are options that have another value until the next
    start, by path."""

    path: str
    revision: str
    read_only: str | None
    text: str | None
    values: object
    adjusted: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a text, and what it would change; `changes` is None if it cannot be used."""

    problems: Sequence[LocatedProblem]
    warnings: Sequence[LocatedProblem]
    changes: ConfigDiff | None


class ConfigurationService:
    """The file, its history, and its application. Thread-safe; all methods block on a disk, or on a reload.

    Methods raise ConfigError if the file cannot be read or a text cannot be used, NotWritableError if it cannot be
    written, and BusyError. Secrets come out of no method.
    """

    def __init__(
        self,
        path: Path,
        loaded: Callable[[], LoadedConfig],
        reloading: Reloading,
        history: ConfigHistory,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`loaded` returns the running configuration."""
        self._path, self._loaded, self._reloading = path, loaded, reloading
        self._history, self._environ = history, environ
        self._key = secrets.token_bytes(32)
        """Revisions are no hashes that others could compute, because guesses at a secret could be checked with them."""
        self._reading, self._waiting = threading.Semaphore(_MOST_AT_ONCE), threading.Semaphore(_MOST_AT_ONCE)
        self._changing = threading.Lock()

    def view(self) -> ConfigurationView:
        with _place(self._reading):
            text = self._text()
            secret = SecretOptions(self._entries(), installed_plugins())
            adjusted = {
                ".".join(one.path): MARK if secret.holds(one.path) else one.value for one in self._reloading.overrides
            }
            shown, values = None, None
            with suppress(YamlSyntaxError):
                stored = StoredText(text, installed_plugins())
                shown, values = stored.shown, stored.values
            path, revision = str(self._path.absolute()), self._revision(text)
            return ConfigurationView(path, revision, self.read_only(), shown, values, adjusted)

    def _entries(self) -> dict[str, object]:
        """Returns which plug-in each entry of the running configuration uses, as values of a file."""
        configs = self._loaded().plugin_configs
        return {"plugins": {name: {"use": config.use or name} for name, config in configs.items()}}

    def read_only(self) -> str | None:
        """Returns why the file cannot be replaced, and what to do; None if it can."""
        path = Path(os.path.realpath(self._path))
        if os.path.ismount(path):
            return f"{path} is mounted by itself and cannot be replaced: mount its folder instead"
        for one in (path, path.parent):
            if not os.access(one, os.W_OK):
                what = "the file" if one == path else "its folder"
                return (
                    f"sightd may not write {one}, {what} of the configuration: let its user write there, and under "
                    "systemd name the folder in ReadWritePaths= (docs/service.md)"
                )
        return None

    def check(self, text: str) -> Checked:
        """Checks an edited text, whose placeholders stand for the secrets of the file, and changes nothing."""
        with _place(self._reading):
            try:
                plugins = installed_plugins()
                loaded = self._checked(self._restored(text, self._text(), plugins), plugins)
            except ConfigError as error:
                return Checked(error.problems, error.warnings, None)
            return Checked((), loaded.warnings, diff(self._loaded(), loaded))

    def replace(self, text: str, who: str, revision: str | None) -> ConfigDiff:
        """Writes an edited text to the file and applies it. Raises OutdatedError if the file does not have this
        `revision` (None: any)."""
        with self._turn():
            before, plugins = self._text(revision), installed_plugins()
            return self._applied(before, self._restored(text, before, plugins), plugins, who)

    def edit(
        self,
        change: Change,
        who: str,
        revision: str | None = None,
        released: Sequence[tuple[str, ...]] = (),
    ) -> ConfigDiff:
        """Like `replace`, with the text that `change` returns. The options at the paths `released` are not adjusted any
        more."""
        with self._turn():
            before, plugins = self._text(revision), installed_plugins()
            stored = self._stored(before, plugins)
            after = self._restored(change(stored.shown, stored.values), before, plugins)
            return self._applied(before, after, plugins, who, released)

    def stored(self) -> StoredText:
        """Returns the file. Raises ConfigError if it is not YAML."""
        with _place(self._reading):
            return self._stored(self._text(), installed_plugins())

    def versions(self) -> list[Version]:
        """Returns the versions of the file that were written or replaced by `replace`, the newest first."""
        return self._history.versions()

    def version(self, number: int) -> str | None:
        """Returns the text of a version without secrets; None if it is not YAML. Raises UnknownNameError."""
        with _place(self._reading):
            try:
                return StoredText(self._version(number), installed_plugins()).shown
            except YamlSyntaxError:
                return None

    def restore(self, number: int, who: str, revision: str | None) -> ConfigDiff:
        """Writes a version of the history to the file and applies it, with its own secrets. Raises as `replace` does,
        and UnknownNameError."""
        with self._turn():
            before = self._text(revision)
            return self._applied(before, self._version(number), installed_plugins(), who)

    def _version(self, number: int) -> str:
        try:
            return self._history.text(number)
        except KeyError:
            raise UnknownNameError(f"There is no version {number} of the configuration.") from None

    def _applied(
        self, before: str, after: str, plugins: PluginSource, who: str, released: Sequence[tuple[str, ...]] = ()
    ) -> ConfigDiff:
        self._checked(after, plugins)
        if after != before:
            if reason := self.read_only():
                raise NotWritableError(reason)
            self._keep(before)
            self._write(after)
        try:
            changes = self._reloading.ask(released=released).result(RELOAD_PATIENCE)
        except TimeoutError:
            raise BusyError("The reload is still in progress; see the log for its result.") from None
        except BaseException:
            if after != before and self._text() == after:  # nobody else has changed it meanwhile
                self._write(before)
            raise
        if after != before:
            try:
                self._history.add(after, time.time(), who, str(changes))
            except OSError as error:  # it is applied, and the version before it is kept
                log.error("the history of the configuration cannot be written: %s", error)
        return changes

    def _keep(self, text: str) -> None:
        try:
            self._history.add(text, self._path.stat().st_mtime, None, "")
        except OSError as error:
            raise NotWritableError(
                f"the history of the configuration cannot be written ({error.strerror or error}), so this change could "
                "not be undone: make room in the state directory"
            ) from error

    def _write(self, text: str) -> None:
        try:
            write_whole(self._path, text.encode())
        except OSError as error:
            raise NotWritableError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def _checked(self, text: str, plugins: PluginSource) -> LoadedConfig:
        """Loads a text with the options that are adjusted, or without those if they do not fit it."""
        for overrides in (tuple(self._reloading.overrides), ()):
            try:
                return load_text(text, self._path, environ=self._environ, plugins=plugins, overrides=overrides)
            except ConfigError:
                if not overrides:
                    raise
        raise AssertionError

    def _restored(self, text: str, stored: str, plugins: PluginSource) -> str:
        if len(text) > MAX_BYTES:
            raise ConfigError([LocatedProblem((), f"is larger than {MAX_BYTES >> 20} MiB", file=str(self._path))])
        try:
            known = StoredText(stored, plugins)
        except YamlSyntaxError:
            known = StoredText("", plugins)  # of a broken file, no secret is known
        try:
            return known.restored(text, str(self._path))
        except YamlSyntaxError as error:
            raise _located(error, self._path) from None

    def _stored(self, text: str, plugins: PluginSource) -> StoredText:
        try:
            return StoredText(text, plugins)
        except YamlSyntaxError as error:
            raise _located(error, self._path) from None

    def _text(self, revision: str | None = None) -> str:
        text = read_text(self._path)
        if revision is not None and not hmac.compare_digest(revision.encode(), self._revision(text).encode()):
            raise OutdatedError("The configuration file has changed since it was read: read it again.")
        return text

    def _revision(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One change at a time."""
        with _place(self._waiting):
            if not self._changing.acquire(timeout=_TURN_PATIENCE):
                raise BusyError("Another change of the configuration is in progress: try again later.")
            try:
                yield
            finally:
                self._changing.release()


@contextmanager
def _place(places: threading.Semaphore) -> Iterator[None]:
    """Limits requests at the same time, which need threads, and the processor that the cameras need."""
    if not places.acquire(timeout=1.0):
        raise BusyError(f"{_MOST_AT_ONCE} other requests about the configuration are in progress: try again later.")
    try:
        yield
    finally:
        places.release()


_describing = threading.Lock()


def schema_text() -> bytes:
    """Returns the JSON schema of the file, with the options of all installed plug-ins. Made once, by a process of its
    own, because all plug-ins must be imported for it. Thread-safe. Raises BusyError."""
    with _describing:
        return _described()


@functools.cache
def _described() -> bytes:
    command = [sys.executable, "-P", "-m", "sightd", "schema", "--installed"]
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=_SCHEMA_PATIENCE).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BusyError(f"The schema could not be made ({type(error).__name__}): try again later.") from error


def _located(error: YamlSyntaxError, path: Path) -> ConfigError:
    problem = error.problem
    return ConfigError([LocatedProblem((), problem.message, problem.hint, problem.line, problem.column, str(path))])
