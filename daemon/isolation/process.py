"""The process of an isolated plug-in, seen from the daemon: started, opened, watched, ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from sightd.daemon.common.redaction import redact
from sightd.daemon.isolation.channel import Channel, GoneError
from sightd.daemon.isolation.protocol import OpenFailure, OpenReply, OpenRequest, Progressed
from sightd.engines.progress import Progress
from sightd.plugins.api import PluginError

log = logging.getLogger(__name__)

OPENING_PATIENCE = 120.0
"""Seconds for which a plug-in may be silent while it opens; downloads and builds report progress every second."""
RECORD = "\x1e"
"""First character of a line on stderr that is a log record: JSON of level, logger and text."""

_LONGEST_LINE = 16384
_GRACE = 2.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


class ProcessObserver(Protocol):
    """Receives the process's resource usage; called from any thread."""

    def resident(self, size: int) -> None:
        """Its resident memory in bytes; 0 if there is no process."""

    def used(self, cpu: float) -> None:
        """CPU seconds used since the last report."""

    def restarted(self) -> None: ...


class PluginProcess:
    """Started by the constructor, which does not wait for it. Any thread; each channel one thread at a time.

    It has its own session, so that Ctrl-C reaches only the daemon, and the kernel ends it with the daemon. What it
    writes to standard error is logged.
    """

    def __init__(self, name: str, channels: int) -> None:
        self.name = name
        self.ended_for: str | None = None
        """Why it was ended on purpose, as a reason of `sightd_plugin_faults_total`; None if it was not."""
        self._why = ""
        self._ending = threading.Lock()
        pairs = [socket.socketpair() for _ in range(channels + 2)]
        theirs = [their.fileno() for _, their in pairs]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sightd.daemon.isolation.server", *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                pass_fds=theirs,
                start_new_session=True,
            )
        finally:
            for _, their in pairs:
                their.close()
        self._life, *ours = (our for our, _ in pairs)
        self.side, *self.channels = (Channel(our) for our in ours)
        self._reader = threading.Thread(target=self._read, name=f"stderr:{name}", daemon=True)
        self._reader.start()

    def open(self, order: OpenRequest, progress: Progress) -> OpenReply:
        """Opens the plug-in in it; raises PluginError with what to do. `progress` receives what the loading of models
        reports."""
        try:
            self.side.be_patient(OPENING_PATIENCE)
            self.side.send(order)
            while True:
                message, _ = self.side.receive()
                if isinstance(message, OpenReply):
                    return message
                if isinstance(message, OpenFailure):
                    raise PluginError(message.message)
                assert isinstance(message, Progressed)
                progress(message.task, message.done, message.total)
        except GoneError:
            raise PluginError(f"plug-in {self.name} cannot be opened: its process {self.death()}") from None
        except TimeoutError:
            raise PluginError(
                f"plug-in {self.name} cannot be opened: its process did not respond within {OPENING_PATIENCE:.0f} s"
            ) from None

    def end(self, reason: str, why: str) -> None:
        """Kills it. `reason` is the metric's label, `why` a phrase for `death`; the first call's are kept. Does not
        wait."""
        if self.ended_for is None:
            self.ended_for, self._why = reason, why
        self._kill()

    def death(self) -> str:
        """Returns how it ended, as a phrase that continues "its process"; kills it if it has not ended."""
        until = time.monotonic() + _GRACE  # its sockets close a moment before `waitid` sees it end
        while not (ended := self._has_ended()) and time.monotonic() < until:
            time.sleep(0.005)
        if not ended:
            self.end("crashed", "stopped responding and was killed")
        self._kill()
        code = self._reap()
        if self.ended_for is not None:
            return self._why
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")

    def usage(self) -> tuple[int, float] | None:
        """Returns resident bytes and total CPU seconds, as the kernel counts them; None if it has ended."""
        try:
            process = Path(f"/proc/{self._process.pid}")
            resident = int((process / "statm").read_text().split()[1]) * _PAGE
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            return None
        return resident, (int(fields[11]) + int(fields[12])) / _TICK  # utime and stime, proc_pid_stat(5)

    def close(self) -> None:
        """Ends it, if it has not ended, and releases everything that belongs to it."""
        self._kill()
        self._reap()
        self._reader.join(_GRACE)
        for channel in (self.side, *self.channels):
            channel.close()
        self._life.close()

    def _kill(self) -> None:
        """Kills it with everything it started, which would keep its sockets open and which nobody else ends. Call it
        before the process is reaped: until then no other group can have its number."""
        with self._ending:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _reap(self) -> int:
        """Waits until it has ended and returns its exit code. Reaps it under the lock: after that, `_kill` could hit a
        group that got its number."""
        with contextlib.suppress(ChildProcessError):  # already reaped
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._ending:
            return self._process.wait()

    def _has_ended(self) -> bool:
        """Whether it has ended; does not reap it, because `_kill` relies on that."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # already reaped
            return True

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while line := stream.readline(_LONGEST_LINE):
                self._log(line.decode(errors="replace").rstrip())

    def _log(self, line: str) -> None:
        try:
            weight, logger, text = json.loads(line[1:]) if line.startswith(RECORD) else (logging.WARNING, "", line)
        except ValueError:  # cut off when it died, or too long
            weight, logger, text = logging.WARNING, "", line
        if text:
            logging.getLogger(logger or __name__).log(weight, "plug-in %s: %s", self.name, redact(text))
