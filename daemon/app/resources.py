"""Resources of the process: enough file descriptors, the lock on its state, and room on the disk of the state."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.model import Config
from sightd.daemon.events.journal_reader import journal_of
from sightd.daemon.recording.store import recordings_folder
from sightd.daemon.serve.http.control_socket import MOST_CONNECTIONS
from sightd.daemon.snapshots.store import snapshots_folder
from sightd.engines.files import make_private, state_directory

_OF_RTSP, _OF_HTTP, _OF_CAMERA, _OF_PROCESS = 2, 1, 16, 128
"""File descriptors per RTSP connection (GStreamer's and ours), per HTTP connection, per camera (source, event
descriptors of its threads, the stream's four UDP sockets), and for everything else."""


def raise_limit() -> int:
    """Raises the soft limit to the hard limit, which the administrator set. Returns the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def shortage(config: Config, limit: int) -> str | None:
    """Returns advice if the configuration may need more descriptors than the limit, else None."""
    rtsp = _OF_RTSP * config.rtsp.max_connections if config.rtsp.enabled else 0
    http = _OF_HTTP * config.http.max_connections if config.http.enabled else 0
    control = _OF_HTTP * MOST_CONNECTIONS if config.control.enabled else 0
    most = rtsp + http + control + _OF_CAMERA * len(config.cameras) + _OF_PROCESS
    if limit == resource.RLIM_INFINITY or most <= limit:
        return None
    return (
        f"rtsp.max_connections, http.max_connections and {len(config.cameras)} camera(s) together may "
        f"need {most} file descriptors, but the limit is {limit}: lower them, or raise the limit "
        "(LimitNOFILE= in `systemctl edit sightd`, or `ulimit -Hn`)."
    )


log = logging.getLogger(__name__)

FILE = "daemon.lock"
_MOST_TEXT = 4096


class StateInUseError(Exception):
    """Another daemon uses the state; the message names it and says what to do."""


@contextmanager
def locked_state(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[None]:
    """Locks the state directory and, if they are elsewhere, journal, snapshots and recordings. Raises StateInUseError
    if another daemon holds a lock. The kernel releases the locks when the process ends, however it ends; child
    processes do not inherit them."""
    state, journal = state_directory(environ), journal_of(loaded.config.events, environ)
    with ExitStack() as held:
        held.enter_context(_locked(state / FILE, f"the state directory {state}", loaded.path))
        if journal.parent != state:
            held.enter_context(
                _locked(journal.with_name(f"{journal.name}.lock"), f"the journal {journal}", loaded.path)
            )
        if (options := loaded.config.recording).path is not None and (options.clips or options.segments):
            folder = recordings_folder(options, environ)
            held.enter_context(_locked(folder / FILE, f"the folder of the recordings {folder}", loaded.path))
        if (pictures := loaded.config.events.snapshots) is not None and pictures.path is not None:
            folder = snapshots_folder(pictures, environ)
            held.enter_context(_locked(folder / FILE, f"the folder of the snapshots {folder}", loaded.path))
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


def disk_room(directory: Path) -> tuple[int | None, int | None]:
    """Returns free and total bytes of the disk of `directory`, which need not exist yet; (None, None) if unknown. May
    block on the disk."""
    for place in (directory, *directory.parents):
        try:
            usage = shutil.disk_usage(place)
        except FileNotFoundError:
            continue
        except OSError:
            break
        return usage.free, usage.total
    return None, None


_MEASURED_EVERY = 10.0
"""Seconds between two measurements of a disk."""


class DiskWatch:
    """Measures the disk of a directory from time to time, on a thread of its own: a disk may not respond, which must
    not keep anything else waiting. `report` receives free and total bytes. `close` is idempotent."""

    def __init__(self, directory: Path, report: Callable[[int, int], None], every: float = _MEASURED_EVERY) -> None:
        self._directory, self._report, self._every = directory, report, every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, deadline: float = 0.5) -> None:
        """Ends the thread, or abandons it if the disk does not respond. Also works if it never started."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        while True:
            free, total = disk_room(self._directory)
            if free is not None and total is not None:
                self._report(free, total)
            if self._ending.wait(self._every):
                return
