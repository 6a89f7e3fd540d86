"""One camera's pipeline of plug-ins: one frame is analysed at a time, and the newest one waits behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.worker import Worker
from sightd.plugins.api import Canvas, Frame, FrameOverride, Results

_SMOOTHING = 0.15


class CameraPipeline:
    """Offers frames to the camera's chain of plug-ins and measures how long their analysis takes.

    Order is kept because only one frame is analysed at a time; at most two frames are held. A frame that is offered
    during an analysis waits, and a newer one replaces it. No image is lost by that, because frames are shown whether
    they were analysed or not.
    """

    def __init__(
        self,
        camera: str,
        chain: Sequence[Worker],
        on_analysed: Callable[[FrameTask, float], None] = lambda _task, _seconds: None,
        clock: Callable[[], float] = time.monotonic,
        on_forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        self.camera = camera
        self.chain = tuple(chain)
        self.replaces_picture = any(FrameOverride in worker.supervisor.plugin.produces for worker in chain)
        self.redacts = any(worker.supervisor.redacts for worker in chain)
        """Whether frames must not be shown before the plug-ins have processed them, because they redact."""
        self.expected = 0.0
        """Mean seconds from submission to results, including the wait for a free worker."""
        self.analysed = 0
        """Number of frames analysed so far."""
        self._on_analysed, self._on_forgotten = on_analysed, on_forgotten
        self._clock = clock
        self._lock = threading.Lock()
        self._running: FrameTask | None = None
        self._waiting: FrameTask | None = None
        self._closed = False
        self.paused = False
        """Whether frames are neither analysed nor predicted for; may be set from any thread, but not if the pipeline
        redacts."""
        self._rests = False

    def offer(self, frame: Frame, *, watched: bool = True) -> FrameTask | None:
        """Submits a frame for analysis; returns None if no plug-in is due on it, or the pipeline is paused or closed.
        Thread: the camera's output."""
        if self.paused:
            if not self._rests:
                self.forget_past()
            self._rests = True
            return None
        self._rests = False
        first = [worker for worker in self.chain if not worker.supervisor.plugin.requires]
        if not any(worker.may_be_due(frame, watched=watched) for worker in first):
            return None
        task = FrameTask(frame, self._ended, watched=watched)
        prepared_for = self._prepare_to_replace(self._running, task)
        with self._lock:
            if self._closed:
                return None
            running, waiting = self._running, self._waiting
            if running is prepared_for and self._replaced(prepared_for, task):
                superseded = [running, waiting]
                self._running, self._waiting = task, None
            else:
                superseded = [waiting]
                task.stage, task.results = 0, Results()
                self._running, self._waiting = (task, None) if running is None else (running, task)
        for older in superseded:
            if older is not None:
                older.supersede()
        if running is None:
            self._submit(task)
        return task

    def predicted(self, frame: Frame) -> Results:
        """Returns what the plug-ins predict for a frame that was not, or not yet, analysed; nothing while paused."""
        results = Results()
        for worker in () if self.paused else self.chain:
            results = worker.predicted(frame, results)
        return results

    def advance(self, task: FrameTask) -> None:
        """Sends a task to its next plug-in that is due, or finishes it. Thread: the one that owns the task."""
        while task.stage < len(self.chain):
            worker = self.chain[task.stage]
            task.stage += 1
            if worker.due(task):
                worker.submit(task)
                return
            worker.predict(task)
        task.finish()

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        """Lets each plug-in draw what the standard overlay does not cover."""
        for worker in self.chain:
            worker.supervisor.draw(canvas, frame, results)

    def forget_past(self) -> None:
        """Clears what plug-ins remember of the camera: its frame size changed, so it no longer fits."""
        for worker in self.chain:
            worker.supervisor.forget(self.camera)
        self._on_forgotten()

    def close(self) -> None:
        """Stops accepting frames and supersedes those that wait."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.supersede()
        for worker in self.chain:
            worker.queue.discard(self.camera)

    def _prepare_to_replace(self, running: FrameTask | None, task: FrameTask) -> FrameTask | None:
        """Prepares `task` for the queue in which `running` waits, with predictions of the plug-ins before that. Returns
        `running`, or None if a plug-in has already run on it: what that found would be lost."""
        if running is None:
            return None
        stage = running.stage  # read first: `processed` then has all that was found before this stage
        if stage == 0 or running.processed:
            return None
        for worker in self.chain[: stage - 1]:
            worker.predict(task)
        task.stage, task.submitted_at = stage, running.submitted_at  # before a worker can see it
        return running

    def _replaced(self, running: FrameTask | None, task: FrameTask) -> bool:
        """Replaces `running` by `task` if it still waits in the queue that `task` is prepared for; returns whether it
        did."""
        return running is not None and self.chain[task.stage - 1].queue.replace(running, task)

    def _submit(self, task: FrameTask) -> None:
        task.submitted_at = self._clock()
        self.advance(task)

    def _ended(self, task: FrameTask) -> None:
        try:
            if task.processed:
                self._note(task)
        finally:  # even if `_note` raises: a pipeline that does not move on stops for good
            with self._lock:
                following, self._waiting = self._waiting, None
                self._running = following
            if following is not None:
                self._submit(following)

    def _note(self, task: FrameTask) -> None:
        took = self._clock() - task.submitted_at
        self.expected = took if self.expected == 0.0 else self.expected + _SMOOTHING * (took - self.expected)
        self.analysed += 1
        self._on_analysed(task, took)
