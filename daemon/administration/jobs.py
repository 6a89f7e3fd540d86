"""Work that takes longer than a request, such as downloads: started by one, followed by others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sightd.daemon.administration.errors import BusyError, UnknownNameError
from sightd.daemon.common.redaction import redact
from sightd.engines.progress import Progress

log = logging.getLogger(__name__)

MOST_RUNNING = 4
_MOST_KEPT = 50
_LONGEST_ERROR = 1000

Work = Callable[[Progress], str]
"""Does the work on a thread of its own, reports progress, and returns its result in one line. It stops when the
progress function raises."""


class _CancelledError(BaseException):
    """The job was cancelled: nothing but the job itself may catch it."""


@dataclass(frozen=True, slots=True)
class Job:
    """The state of a job now. `kind` and `subject` say what it does; `doing` is its current step, of which `done` of
    `total` are done (bytes, or what the step counts; null if unknown). `result` says what came out, `error` why it
    failed. Times are in seconds since the epoch."""

    id: int
    kind: str
    subject: str
    state: Literal["running", "done", "failed", "cancelled"]
    started: float
    ended: float | None = None
    doing: str | None = None
    done: int | None = None
    total: int | None = None
    result: str | None = None
    error: str | None = None


class Jobs:
    """At most MOST_RUNNING jobs at once; the newest that have ended are kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._cancelled: set[int] = set()
        self._closed = False
        self._last = 0

    def all(self) -> Sequence[Job]:
        """Returns the jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def get(self, number: int) -> Job:
        """Raises UnknownNameError."""
        with self._lock:
            if number not in self._jobs:
                raise UnknownNameError(f"There is no job {number}.")
            return self._jobs[number]

    def start(self, kind: str, subject: str, work: Work) -> Job:
        """Starts a job, or returns the one that does the same already. Raises BusyError."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.state == "running"]
            for job in running:
                if (job.kind, job.subject) == (kind, subject) and job.id not in self._cancelled:
                    return job
            if self._closed or len(running) >= MOST_RUNNING:
                raise BusyError(f"{len(running)} jobs are running: wait for one to end, or cancel one.")
            self._last += 1
            job = self._jobs[self._last] = Job(self._last, kind, subject, "running", time.time())
            self._forget_oldest()
            thread = threading.Thread(target=self._run, args=(job.id, work), name=f"job-{job.id}", daemon=True)
            self._threads[job.id] = thread
        thread.start()
        return job

    def cancel(self, number: int) -> Job:
        """Asks a job to stop; it does at its next progress. Raises UnknownNameError."""
        with self._lock:
            if number in self._threads:
                self._cancelled.add(number)
        return self.get(number)

    def close(self, within: float) -> None:
        """Cancels all jobs, and waits up to `within` seconds for them. No more start. Idempotent."""
        with self._lock:
            self._closed = True
            self._cancelled |= self._threads.keys()
            threads = list(self._threads.values())
        until = time.monotonic() + within
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, number: int, work: Work) -> None:
        def progress(task: str, done: int, total: int | None) -> None:
            with self._lock:
                if number in self._cancelled:
                    raise _CancelledError
                self._jobs[number] = replace(self._jobs[number], doing=task, done=done, total=total)

        try:
            result = work(progress)
        except _CancelledError:
            self._ended(number, state="cancelled")
        except Exception as error:  # noqa: BLE001 — the thread's outermost handler; the job says what went wrong
            log.warning("job %d failed: %s", number, error)
            self._ended(number, state="failed", error=redact(str(error) or type(error).__name__)[:_LONGEST_ERROR])
        else:
            self._ended(number, state="done", result=redact(result))

    def _ended(
        self,
        number: int,
        state: Literal["done", "failed", "cancelled"],
        result: str | None = None,
        error: str | None = None,
    ) -> None:
        with self._lock:
            self._jobs[number] = replace(
                self._jobs[number], state=state, ended=time.time(), doing=None, result=result, error=error
            )
            self._cancelled.discard(number)
            del self._threads[number]

    def _forget_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.state != "running"]
        for number in ended[: max(0, len(self._jobs) - _MOST_KEPT)]:
            del self._jobs[number]
