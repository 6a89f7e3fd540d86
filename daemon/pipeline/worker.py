"""Runs one plug-in instance for all cameras: takes queued frames and passes them on when they are done."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from sightd.daemon.pipeline.frame_queue import FrameQueue
from sightd.daemon.pipeline.frame_task import FrameTask
from sightd.daemon.pipeline.rate_limit import RateLimit
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.plugins.types import Frame, Hidden, Picture, Results

log = logging.getLogger(__name__)

INFERENCE_NICENESS = 10
"""If cores are scarce, inference yields to decoding, drawing and encoding: those keep the video moving."""


class Worker:
    """One plug-in instance with its queue and `threads` threads. `pass_on` receives each task after the plug-in.

    A plug-in that is not `parallel` gets one thread, so that its `process` is called one at a time.
    """

    def __init__(
        self,
        supervisor: PluginSupervisor,
        rate_limit: RateLimit,
        *,
        threads: int,
        max_batch: int,
        max_wait: float,
        on_batch: Callable[[int], None],
        pass_on: Callable[[FrameTask], None],
    ) -> None:
        self.supervisor = supervisor
        self.rate_limit = rate_limit
        self.queue = FrameQueue()
        self._for_viewers = supervisor.plugin.gives == {Picture}  # then skipped while nobody watches
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._on_batch = on_batch
        self._pass_on = pass_on
        self._threads = [
            threading.Thread(target=self._work, name=f"plugin:{supervisor.name}:{n}", daemon=True)
            for n in range(threads)
        ]

    @property
    def threads(self) -> int:
        return len(self._threads)

    def due(self, task: FrameTask) -> bool:
        """Whether the plug-in should run on this frame."""
        return self.supervisor.plugin.needs <= task.processed and self.may_be_due(task.frame, watched=task.watched)

    def may_be_due(self, frame: Frame, *, watched: bool) -> bool:
        """Like `due`, but ignores what the plug-in requires of those before it."""
        return (watched or not self._for_viewers) and self.rate_limit.due(frame) and not self._stuck

    @property
    def _stuck(self) -> bool:
        """Whether all threads are in hung calls."""
        return 0 < len(self._threads) <= self.supervisor.hanging

    def check_hung(self) -> None:
        """Releases frames stuck in a hung call, and queued frames if every thread hangs. Thread: the host's watch."""
        self.supervisor.check_hung()
        if self._stuck:
            self._send_on(self.queue.drain(), None)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def request_stop(self) -> None:
        """Asks the threads to end after the current batch; does not wait."""
        self.queue.close()

    def stop(self, deadline: float) -> bool:
        """Stops after the current batch; returns False if a thread still runs after `deadline` seconds."""
        until = time.monotonic() + deadline
        self.request_stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        lower_thread_priority()
        while tasks := self.queue.take(self._max_batch, self._max_wait):
            self._safely(lambda tasks=tasks: self._process(tasks))  # type: ignore[misc]

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # top of the thread: it serves all cameras, which would stop without it
            log.exception("plug-in %s: error in sightd itself; the frame continues without it", self.supervisor.name)

    def _process(self, tasks: Sequence[FrameTask]) -> None:
        for task in tasks:
            self.rate_limit.passed(task.frame)  # now, not when it was queued: a newer one may have replaced it
        first = threading.Lock()  # its holder passes the tasks on; nobody else touches them

        def send_on(found: Sequence[Results] | None = None) -> None:
            if first.acquire(blocking=False):
                self._send_on(tasks, found)

        try:
            self._on_batch(len(tasks))
            send_on(self.supervisor.process([t.frame for t in tasks], [t.results for t in tasks], send_on))
        finally:  # a bug in sightd must not hold them back
            send_on()

    def _send_on(self, tasks: Sequence[FrameTask], found: Sequence[Results] | None) -> None:
        """Passes on each task with the results of its frame, or with a prediction if there are none."""
        for n, task in enumerate(tasks):
            self._safely(lambda n=n, task=task: self._take_in(task, None if found is None else found[n]))  # type: ignore[misc]
            self._safely(lambda task=task: self._pass_on(task))  # type: ignore[misc]

    def _take_in(self, task: FrameTask, found: Results | None) -> None:
        if found is None:
            self.carry(task)
        else:
            task.results = self._added(task.results, found, task.frame)
            task.processed.update(self.supervisor.plugin.gives)

    def carry(self, task: FrameTask) -> None:
        """Adds the plug-in's prediction to a task on whose frame it does not run."""
        task.results = self.carried(task.frame, task.results)

    def carried(self, frame: Frame, results: Results) -> Results:
        """Returns `results` with the plug-in's prediction. If it redacts, it has not seen who is new: all is
        redacted."""
        predicted = self.supervisor.carry(frame, results)
        if self.supervisor.hides:
            predicted = predicted.merged(Results(Hidden.all_of(frame)))
        return self._added(results, predicted, frame)

    def _added(self, earlier: Results, found: Results, frame: Frame) -> Results:
        """Merges results. What one plug-in redacts stays redacted; if a redacting plug-in returns no regions, all
        is."""
        hidden, before = found.get(Hidden), earlier.get(Hidden)
        if hidden is None and self.supervisor.hides:
            hidden = Hidden.all_of(frame)
        if hidden is None:
            return earlier.merged(found)
        both = hidden if before is None else Hidden(np.concatenate((before.boxes, hidden.boxes)))
        return earlier.merged(found).merged(Results(both))


def lower_thread_priority() -> None:
    """Lowers the calling thread's priority (each Linux thread has its own), so that inference does not delay the video.

    As a batch thread it also takes no core from another thread when it wakes up (sched(7)), which an engine's threads
    do at every layer. Threads that it starts inherit both.
    """
    try:
        thread = threading.get_native_id()
        niceness = max(INFERENCE_NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        log.debug("thread keeps its priority: %s", error)
