"""Locks the state, so that a second daemon cannot write to the same journal and gallery."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.events.paths import journal_of
from sightd.plugins.state import make_private, state_directory

log = logging.getLogger(__name__)

FILE = "daemon.lock"
_MOST_TEXT = 4096


class StateInUseError(Exception):
    """Another daemon uses the state; the message names it and says what to do."""


@contextmanager
def locked_state(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[None]:
    """Locks the state directory and, if it is elsewhere, the journal. Raises StateInUseError if another daemon holds a
    lock. The kernel releases the locks when the process ends, however it ends; child processes do not inherit them."""
    state, journal = state_directory(environ), journal_of(loaded.config.events, environ)
    with ExitStack() as held:
        held.enter_context(_locked(state / FILE, f"the state directory {state}", loaded.path))
        if journal.parent != state:
            held.enter_context(
                _locked(journal.with_name(f"{journal.name}.lock"), f"the journal {journal}", loaded.path)
            )
        yield


@contextmanager
def _locked(path: Path, what: str, config: Path) -> Iterator[None]:
    try:
        make_private(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:  # nobody can write there, and the journal keeps reporting that
        log.warning("%s cannot be locked (%s): make sure that no other sightd is using it", what, error.strerror)
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUseError(
                f"{what} is in use by another sightd ({_holder(descriptor)}). Stop that one, or use a "
                "separate state for this one: set SIGHTD_STATE_DIR, and events.path if it is configured"
            ) from None
        with contextlib.suppress(OSError):  # disk full: the lock holds, but the file does not name its holder
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}, configuration {config.absolute()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, _MOST_TEXT, 0).decode(errors="replace")
    return "".join(letter for letter in text.strip() if letter.isprintable()) or "unknown process"
