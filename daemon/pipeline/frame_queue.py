"""The queue of a plug-in: at most one frame per camera; the camera that has waited longest comes first."""

from __future__ import annotations

import threading

from sightd.daemon.pipeline.frame_task import FrameTask


class FrameQueue:
    """A bounded FIFO queue of tasks keyed by camera.

    A camera's newer frame replaces its older one *and* keeps its position in the queue. So the number of cameras is the
    bound, no frame waits behind stale ones, and no camera starves.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, FrameTask] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, task: FrameTask) -> None:
        with self._changed:
            self._waiting[task.frame.camera] = task
            self._changed.notify()

    def replace(self, old: FrameTask, new: FrameTask) -> bool:
        """Puts `new` in the position of `old`. Returns False, and does nothing, if a worker has already taken `old`."""
        with self._changed:
            if self._waiting.get(old.frame.camera) is not old:
                return False
            self._waiting[old.frame.camera] = new
            return True

    def take(self, most: int, max_wait: float = 0.0) -> list[FrameTask]:
        """Takes up to `most` tasks of different cameras; blocks for the first, then up to `max_wait` s for more.

        Returns an empty list if the queue was closed.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if max_wait > 0:
                    self._changed.wait_for(lambda: len(self._waiting) >= most or self._closed, max_wait)
                if self._closed:
                    return []
                cameras = list(self._waiting)[:most]
                if cameras:  # otherwise another worker took them, or their camera was removed, during the wait
                    return [self._waiting.pop(camera) for camera in cameras]

    def drain(self) -> list[FrameTask]:
        """Removes and returns all waiting tasks; the caller must pass them on."""
        with self._changed:
            left = list(self._waiting.values())
            self._waiting.clear()
        return left

    def discard(self, camera: str) -> None:
        """Removes and supersedes the waiting task of a removed camera."""
        with self._changed:
            task = self._waiting.pop(camera, None)
        if task is not None:
            task.supersede()

    def close(self) -> None:
        """Wakes all workers so that they end, and supersedes all waiting tasks."""
        with self._changed:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            self._changed.notify_all()
        for task in left:
            task.supersede()

    def __len__(self) -> int:
        return len(self._waiting)
