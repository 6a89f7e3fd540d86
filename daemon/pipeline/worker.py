"""Runs one plug-in instance for all cameras: takes queued frames, as often as it is due, and passes them on.

Calls run on threads of low priority. Their results are passed on by threads of normal priority: if cores are scarce,
what was found does not wait for a core behind other inference, and the next call begins meanwhile.

A quick plug-in without a model runs inline: on the thread that passes on the results of the plug-in before it, so that
no other thread has to wake up for a call of a millisecond. An inline plug-in gets threads of its own, and keeps them,
once it turns out to be slow, hangs, or is reached from a thread that must not wait, such as a camera's output.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from sightd.daemon.common.process import lower_thread_priority
from sightd.daemon.pipeline.frame_queue import FrameQueue, FrameTask
from sightd.daemon.pipeline.supervisor import Answer, PluginSupervisor
from sightd.plugins.activity.scene import is_other_scene
from sightd.plugins.api import FloatArray, Frame, FrameOverride, PluginConfig, PrivacyMask, Results

log = logging.getLogger(__name__)

INLINE_LIMIT = 0.01
"""Mean seconds of a call above which a plug-in no longer runs inline."""
LENT_LIMIT = 0.5
"""Seconds of an inline call after which the worker that lent its thread gets another one."""
_SMOOTHING = 0.1


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


class ResultThread(threading.Thread):
    """Passes on the results of `owner`. After those of each batch it runs the inline plug-ins that they reached.

    If such a plug-in keeps it, another thread takes its place, and it ends when it is free. So a call that hangs delays
    the results of the owner's other cameras once, by LENT_LIMIT and the time to the manager's next check.
    """

    def __init__(self, owner: Worker, name: str, reached: Iterable[Worker] = ()) -> None:
        super().__init__(name=name, daemon=True)
        self.lent_since: float | None = None
        """Monotonic time at which the inline call in progress began."""
        self._owner = owner
        self._lock = threading.Lock()
        self._reached = deque(reached)
        self._borrower: Worker | None = None
        self._is_replaced = False

    @property
    def is_lent(self) -> bool:
        return self._borrower is not None

    def run(self) -> None:
        self._run_reached()
        while not self._is_replaced and self._owner.pass_on_next():
            self._run_reached()

    def reach(self, worker: Worker) -> None:
        """Runs an inline worker's tasks after the current results. Thread: this one."""
        with self._lock:
            self._reached.append(worker)

    def replace_if_kept(self, now: float) -> tuple[Worker, ResultThread] | None:
        """Returns the worker that has kept this thread for more than LENT_LIMIT, and an unstarted thread to replace
        it."""
        with self._lock:
            if self._borrower is None or self.lent_since is None or now - self.lent_since <= LENT_LIMIT:
                return None
            self._is_replaced = True
            reached, self._reached = self._reached, deque()
            return self._borrower, ResultThread(self._owner, self.name, reached)

    def _run_reached(self) -> None:
        while (worker := self._next()) is not None:
            worker.run_inline(self)

    def _next(self) -> Worker | None:
        with self._lock:
            self._borrower = self._reached.popleft() if self._reached else None
            return self._borrower


class Worker:
    """One plug-in instance with its queue and `threads` threads that call it. `pass_on` receives each task afterwards.

    `threads` is also the number of `process` calls at a time: one if the plug-in is not `parallel`. As many threads
    pass on what it found. With `inline`, all are started only when the plug-in turns out to need them.
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
        inline: bool = False,
    ) -> None:
        self.supervisor = supervisor
        self.rate_limit = rate_limit
        self.queue = FrameQueue()
        self._for_viewers = supervisor.plugin.produces == {FrameOverride}  # then skipped while nobody watches
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._on_batch = on_batch
        self._pass_on = pass_on
        self._calls = threads
        self._thumbs: dict[str, FloatArray | None] = {}
        """`Frame.thumb` of each camera's last frame that the plug-in analysed."""
        self._permits = threading.Semaphore(threads)  # one is held during each call, on whichever thread
        self._inline = inline
        self._inline_seconds = 0.0
        self._lock = threading.Lock()  # guards `_inline` and the start of its threads
        self._callers: list[threading.Thread] = []
        self._passers: list[ResultThread] = []
        self._found: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """What passes on the results of each call, at most one per camera; None for each caller that has ended."""

    @property
    def threads(self) -> int:
        """Number of threads that call it; 0 while the plug-in runs inline."""
        return len(self._callers)

    def submit(self, task: FrameTask) -> None:
        """Queues a task. An inline plug-in takes it on the current thread once that has passed on its results."""
        self.queue.put(task)
        if not self._inline:
            return
        thread = threading.current_thread()
        if isinstance(thread, ResultThread):
            thread.reach(self)
        else:
            self._leave_inline()

    def due(self, task: FrameTask) -> bool:
        """Whether the plug-in should run on this frame."""
        return self.supervisor.plugin.requires <= task.processed and self.may_be_due(task.frame, watched=task.watched)

    def may_be_due(self, frame: Frame, *, watched: bool) -> bool:
        """Like `due`, but ignores what the plug-in requires of those before it."""
        return (watched or not self._for_viewers) and self.rate_limit.due(frame) and not self._stuck

    @property
    def _stuck(self) -> bool:
        """Whether all calls that may run at a time hang."""
        return 0 < self._calls <= self.supervisor.hanging

    def check_hung(self) -> None:
        """Releases frames stuck in a hung call, and queued frames if every call hangs; replaces threads that an inline
        plug-in does not return. Thread: the manager's watch."""
        self.supervisor.check_hung()
        if self._stuck:
            self._send_on(self.queue.drain(), None)
        self._replace_lent_threads()

    def start(self) -> None:
        with self._lock:
            if not self._inline:
                self._start_threads()

    def forget(self, camera: str) -> None:
        """Drops what is kept of a camera; the plug-in itself is not asked."""
        self.rate_limit.forget(camera)
        self._thumbs.pop(camera, None)

    def request_stop(self) -> None:
        """Asks the threads to end after the current batch; does not wait."""
        with self._lock:
            self._inline = False
        self.queue.close()

    def stop(self, deadline: float) -> bool:
        """Stops after the current batch; returns False if a call still runs after `deadline` seconds.

        Does not wait for a thread that runs another plug-in inline: it will not call this one again.
        """
        until = time.monotonic() + deadline
        self.request_stop()
        ended = self._wait_for_calls(until)
        for thread in self._passers if ended else ():
            if not thread.is_lent:
                thread.join(max(0.0, until - time.monotonic()))
        return ended

    def pass_on_next(self) -> bool:
        """Waits for the results of a call and passes them on; returns False if a caller has ended instead."""
        send_on = self._found.get()
        if send_on is not None:
            send_on()
        return send_on is not None

    def _call(self) -> None:
        lower_thread_priority()
        while self._call_next():
            pass
        self._found.put(None)

    def _call_next(self) -> bool:
        """Waits for a batch and runs the plug-in on it; returns False if the worker was stopped."""
        with self._permits:
            tasks = self.queue.take(self._max_batch, self._max_wait)
            if tasks:
                self._found.put(self._process(tasks))
        return bool(tasks)

    def run_inline(self, thread: ResultThread) -> None:
        """Runs all waiting batches on `thread`, which is the current one and another worker's.

        If as many calls as may run at a time are in progress, their threads run the batches instead.
        """
        while self.queue.is_ready and self._permits.acquire(blocking=False):
            try:
                if tasks := self.queue.take_ready(self._max_batch):
                    begun = thread.lent_since = time.monotonic()
                    self._process(tasks)()
                    self._inline_seconds += _SMOOTHING * (time.monotonic() - begun - self._inline_seconds)
            finally:
                thread.lent_since = None
                self._permits.release()
        if self._inline_seconds > INLINE_LIMIT:
            self._leave_inline()

    def _leave_inline(self) -> None:
        """Gives the plug-in its own threads for good."""
        with self._lock:
            if self._inline:
                self._inline = False
                self._start_threads()

    def _start_threads(self) -> None:
        name, numbers = self.supervisor.name, range(self._calls)
        self._passers = [ResultThread(self, f"results:{name}:{n}") for n in numbers]
        self._callers = [threading.Thread(target=self._call, name=f"plugin:{name}:{n}", daemon=True) for n in numbers]
        for thread in (*self._passers, *self._callers):
            thread.start()

    def _replace_lent_threads(self) -> None:
        for n, thread in enumerate(self._passers):
            replaced = thread.replace_if_kept(time.monotonic())
            if replaced is not None:
                borrower, replacement = replaced
                borrower._leave_inline()
                replacement.start()
                self._passers[n] = replacement

    def _wait_for_calls(self, until: float) -> bool:
        """Whether all calls in progress end before `until`, a monotonic time."""
        held = 0
        try:
            while held < self._calls:
                if not self._permits.acquire(timeout=max(0.0, until - time.monotonic())):
                    return False
                held += 1
            return True
        finally:
            for _ in range(held):
                self._permits.release()

    def _process(self, tasks: Sequence[FrameTask]) -> Callable[[], None]:
        """Runs the plug-in on a batch. Returns what passes it on with what was found, once: it does nothing if the call
        hung and was abandoned."""
        first = threading.Lock()  # its holder passes the tasks on; nobody else touches them

        def send_on(found: Sequence[Answer] | None = None) -> None:
            if first.acquire(blocking=False):
                self._send_on(tasks, found)

        found = None  # if there is a bug in sightd, which must not hold them back
        with self._logged():
            for task in tasks:
                self.rate_limit.passed(task.frame)  # now, not when it was queued: a newer one may have replaced it
            self._on_batch(len(tasks))
            found = self.supervisor.process([t.frame for t in tasks], [t.results for t in tasks], send_on)
        return partial(send_on, found)

    @contextmanager
    def _logged(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # top of the thread: it serves all cameras, which would stop without it
            log.exception("plug-in %s: error in sightd itself; the frame continues without it", self.supervisor.name)

    def _send_on(self, tasks: Sequence[FrameTask], found: Sequence[Answer] | None) -> None:
        """Passes on each task with the results of its frame, or with a prediction if there are none."""
        for n, task in enumerate(tasks):
            with self._logged():
                self._take_in(task, None if found is None else found[n])
            with self._logged():
                self._pass_on(task)

    def _take_in(self, task: FrameTask, found: Answer | None) -> None:
        if found is None:
            self.predict(task)
        else:
            self._thumbs[task.frame.camera] = task.frame.thumb()
            task.results = self._added(task.results, found.results, task.frame)
            task.processed.update(self.supervisor.plugin.produces)
            task.counts.update(found.counts)
            task.gauges[self.supervisor.name] = found.gauges
            task.events += [(self.supervisor.name, event) for event in found.events]

    def predict(self, task: FrameTask) -> None:
        """Adds the plug-in's prediction to a task on whose frame it does not run."""
        task.results = self.predicted(task.frame, task.results)

    def predicted(self, frame: Frame, results: Results) -> Results:
        """Returns `results` with the plug-in's prediction, which is none if the frame shows another scene than the last
        one that the plug-in analysed. If it redacts, the whole frame is redacted: it has not seen who is new."""
        is_cut = is_other_scene(self._thumbs.get(frame.camera), frame.thumb())
        predicted = Results() if is_cut else self.supervisor.predict(frame, results)
        if self.supervisor.redacts:
            predicted = predicted.merged(Results(PrivacyMask.all_of(frame)))
        return self._added(results, predicted, frame)

    def _added(self, earlier: Results, found: Results, frame: Frame) -> Results:
        """Merges results. If a redacting plug-in returns no regions, the whole frame is redacted."""
        return earlier.merged(found.redacted(frame) if self.supervisor.redacts else found)
