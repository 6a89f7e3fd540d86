"""What a call has found is passed on as soon as it ends, whatever other calls are in progress."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from sightd.daemon.common.process import INFERENCE_NICENESS
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.daemon.pipeline.worker import RateLimit, Worker
from sightd.plugins.api import AnyPlugin, Detections, Event, Events, EventSpec, Frame, Plugin, PluginConfig, Results
from tests.daemon.pipeline.plugins import Observations, found, frame

_LONG = 30.0
"""Seconds after which something that should happen counts as not happening."""


class Gated(Plugin[PluginConfig]):
    """A plug-in whose calls last until the test opens the gate of the frame's camera, and which records its calls and
    the priority of its thread: niceness and scheduling policy."""

    def __init__(self, config: PluginConfig | None = None) -> None:
        super().__init__(config or PluginConfig())
        self.entered: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self.gates: Mapping[str, threading.Semaphore] = {camera: threading.Semaphore(0) for camera in "abc"}
        self.priority = (0, 0)

    def passes(self, frames: Sequence[Frame]) -> None:
        self.priority = priority()
        for one in frames:
            self.entered.put((one.camera, one.seq))
            assert self.gates[one.camera].acquire(timeout=_LONG)


class Model(Gated):
    """Stands for a detector with a slow model."""

    produces = frozenset({Detections})

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self.passes(frames)
        return [Results(found(one.seq)) for one in frames]


class Reporter(Gated):
    """Stands for zones: a quick plug-in that reports an event for each frame with detections."""

    requires = frozenset({Detections})
    produces = frozenset({Events})
    events = (EventSpec("things.counted", "Things were counted."),)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self.passes(frames)
        return [Results(Events((Event("things.counted", {"count": _count(one)}),))) for one in results]


def _count(results: Results) -> int:
    detections = results.get(Detections)
    assert detections is not None
    return len(detections)


class Chain:
    """A model with threads of its own and an inline reporter behind it, for the cameras a, b and c. `events` has the
    camera and the count of each event, as they come out."""

    def __init__(self, threads: int) -> None:
        self.model, self.reporter = Model(), Reporter()
        self.events: list[tuple[str, object]] = []
        self.workers = [self._worker("model", self.model, threads), self._worker("reporter", self.reporter, 1)]
        self.pipelines = {camera: CameraPipeline(camera, self.workers, self._analysed) for camera in "abc"}

    def _worker(self, name: str, plugin: AnyPlugin, threads: int) -> Worker:
        return Worker(
            PluginSupervisor(name, plugin, Observations()),
            RateLimit.of(PluginConfig()),
            threads=threads,
            max_batch=1,
            max_wait=0.0,
            on_batch=lambda _: None,
            pass_on=lambda task: self.pipelines[task.frame.camera].advance(task),
            inline=plugin is self.reporter,
        )

    def _analysed(self, task: FrameTask, seconds: float) -> None:
        self.events += [(task.frame.camera, event.facts["count"]) for _, event in task.events]

    def offer(self, camera: str, seq: int) -> FrameTask:
        task = self.pipelines[camera].offer(frame(camera, seq))
        assert task is not None
        return task


@contextmanager
def running(threads: int, *, reports: int = 100) -> Iterator[Chain]:
    """Starts the chain; the reporter's gates are open for the first `reports` frames of each camera."""
    chain = Chain(threads)
    chain.workers[0].start()
    for gate in chain.reporter.gates.values():
        if reports:
            gate.release(reports)
    try:
        yield chain
    finally:
        for gate in (*chain.model.gates.values(), *chain.reporter.gates.values()):
            gate.release(100)
        for worker in chain.workers:
            assert worker.stop(_LONG)


def priority() -> tuple[int, int]:
    """Returns the calling thread's niceness and scheduling policy."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)


@pytest.mark.parametrize("threads", [1, 2])
def test_results_and_events_of_a_camera_come_out_before_the_inference_of_the_next_has_ended(threads: int) -> None:
    with running(threads) as chain:
        first, second = chain.offer("a", 3), chain.offer("b", 5)
        assert chain.model.entered.get(timeout=_LONG) == ("a", 3)
        chain.model.gates["a"].release()
        assert chain.model.entered.get(timeout=_LONG) == ("b", 5)
        assert first.wait(_LONG)
        assert chain.events == [("a", 3)]
        assert not second.complete
        chain.model.gates["b"].release()
        assert second.wait(_LONG)
        assert chain.events == [("a", 3), ("b", 5)]


def test_the_next_inference_begins_while_plugins_still_work_on_what_the_last_one_found() -> None:
    with running(1, reports=0) as chain:
        first, second = chain.offer("a", 3), chain.offer("b", 5)
        chain.model.gates["a"].release()
        assert chain.reporter.entered.get(timeout=_LONG) == ("a", 3)
        assert [chain.model.entered.get(timeout=_LONG) for _ in range(2)] == [("a", 3), ("b", 5)]
        assert not first.complete
        chain.model.gates["b"].release()
        chain.reporter.gates["a"].release()
        assert first.wait(_LONG)
        assert not second.complete, "the plug-in has one call at a time, and this one has not ended"
        chain.reporter.gates["b"].release()
        assert second.wait(_LONG)
        assert chain.events == [("a", 3), ("b", 5)]


def test_cameras_take_turns_and_each_turn_gets_the_newest_frame() -> None:
    with running(1) as chain:
        taken, newest = [], dict.fromkeys("abc", 0)
        for camera in "abc":
            chain.offer(camera, 0)
        for _ in range(9):
            camera, seq = chain.model.entered.get(timeout=_LONG)
            taken.append((camera, newest[camera] - seq))
            for other in 3 * "abc":
                newest[other] += 1
                chain.offer(other, newest[other])
            chain.model.gates[camera].release()
        assert taken == [(camera, 0) for camera in "abcabcabc"]


def test_calls_have_the_priority_of_inference_and_what_follows_them_that_of_other_threads() -> None:
    with running(1) as chain:
        chain.model.gates["a"].release()
        assert chain.offer("a", 1).wait(_LONG)
        own = priority()
        assert chain.model.priority == (max(INFERENCE_NICENESS, own[0]), os.SCHED_BATCH)
        assert chain.reporter.priority == own


def test_a_stop_during_a_call_passes_on_what_the_call_finds_and_leaves_no_thread() -> None:
    with running(2) as chain:
        task = chain.offer("a", 4)
        chain.model.entered.get(timeout=_LONG)
        chain.workers[0].request_stop()
        chain.model.gates["a"].release()
        assert chain.workers[0].stop(_LONG)
        assert task.complete
        assert chain.events == [("a", 4)]
        until = time.monotonic() + _LONG
        for thread in threading.enumerate():
            if thread.name.startswith(("plugin:model", "results:model")):
                thread.join(until - time.monotonic())
                assert not thread.is_alive()
