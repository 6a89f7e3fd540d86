"""Runs one plug-in instance for all cameras: takes queued frames, as often as it is due, and passes them on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sightd.daemon.common.process import lower_thread_priority
from sightd.daemon.pipeline.answer import Answer
from sightd.daemon.pipeline.frame_queue import FrameQueue, FrameTask
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.plugins.api import Frame, Hidden, Picture, PluginConfig, Results

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RateLimit:
    """One per plug-in instance. Remembers, for each camera, the last frame it ran on and when the next is due.

    The next due time advances on a fixed grid, not from the actual time of a late frame, so that the mean rate is
    `max_fps` even if it does not divide the camera's rate.
    """

    every: int
    interval: float
    """Minimum mean time between frames in seconds; 0 for no limit."""
    _last_seq: dict[str, int] = field(default_factory=dict)
    _next_at: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, config: PluginConfig) -> RateLimit:
        return cls(config.every, 1 / config.max_fps if config.max_fps else 0.0)

    def due(self, frame: Frame) -> bool:
        """Whether the plug-in should run on this frame. Changes no state."""
        last = self._last_seq.get(frame.camera)
        if last is None:
            return True
        return frame.seq - last >= self.every and frame.captured_at >= self._next_at[frame.camera]

    def passed(self, frame: Frame) -> None:
        """Records that the plug-in runs on this frame."""
        now = frame.captured_at
        planned = self._next_at.get(frame.camera, now)
        self._next_at[frame.camera] = max(planned, now - self.interval) + self.interval
        self._last_seq[frame.camera] = frame.seq

    def forget(self, camera: str) -> None:
        self._last_seq.pop(camera, None)
        self._next_at.pop(camera, None)


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

        def send_on(found: Sequence[Answer] | None = None) -> None:
            if first.acquire(blocking=False):
                self._send_on(tasks, found)

        try:
            self._on_batch(len(tasks))
            send_on(self.supervisor.process([t.frame for t in tasks], [t.results for t in tasks], send_on))
        finally:  # a bug in sightd must not hold them back
            send_on()

    def _send_on(self, tasks: Sequence[FrameTask], found: Sequence[Answer] | None) -> None:
        """Passes on each task with the results of its frame, or with a prediction if there are none."""
        for n, task in enumerate(tasks):
            self._safely(lambda n=n, task=task: self._take_in(task, None if found is None else found[n]))  # type: ignore[misc]
            self._safely(lambda task=task: self._pass_on(task))  # type: ignore[misc]

    def _take_in(self, task: FrameTask, found: Answer | None) -> None:
        if found is None:
            self.carry(task)
        else:
            task.results = self._added(task.results, found.results, task.frame)
            task.processed.update(self.supervisor.plugin.gives)
            task.counts.update(found.counts)
            task.events += [(self.supervisor.name, event) for event in found.events]

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
