"""A camera's pipeline of plug-ins: newest first, in order, bounded, and never blocking the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.frame_queue import FrameQueue, FrameTask
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.supervisor import PluginSupervisor
from sightd.daemon.pipeline.worker import RateLimit, Worker
from sightd.engines.errors import EngineError
from sightd.engines.session import Backend
from sightd.plugins.api import (
    AnyPlugin,
    Context,
    Count,
    Detections,
    Event,
    Events,
    EventSpec,
    Frame,
    FrameOverride,
    Plugin,
    PluginConfig,
    PluginError,
    Results,
    Tracks,
)
from tests.daemon.pipeline.plugins import Finder, Follower, Observations, ParallelFinder, frame
from tests.support.waiting import eventually


@contextmanager
def pipeline_of(*plugins: AnyPlugin, cameras: int = 1, **options: int) -> Iterator[list[CameraPipeline]]:
    """Yields pipelines of cameras "a", "b", … that share workers for these plug-ins."""
    pipelines: dict[str, CameraPipeline] = {}
    workers = [
        Worker(
            PluginSupervisor(type(plugin).__name__, plugin, Observations()),
            RateLimit.of(plugin.config),
            threads=options.get("threads", 1),
            max_batch=options.get("max_batch", 1),
            max_wait=0.0,
            on_batch=lambda _: None,
            pass_on=lambda task: pipelines[task.frame.camera].advance(task),
        )
        for plugin in plugins
    ]
    for camera in "abcdefgh"[:cameras]:
        pipelines[camera] = CameraPipeline(camera, workers)
    for worker in workers:
        worker.start()
    yield list(pipelines.values())
    for pipeline in pipelines.values():
        pipeline.close()
    for worker in workers:
        assert worker.stop(5.0)


def test_a_frame_passes_all_plugins_in_order() -> None:
    finder, follower = Finder(), Follower()
    with pipeline_of(finder, follower) as [pipeline]:
        task = pipeline.offer(frame(seq=3))
        assert task is not None
        assert task.wait(5)
        detections = task.results.get(Detections)
        assert detections is not None
        assert len(detections) == 3
        assert Tracks in task.results
        assert pipeline.analysed == 1
        assert pipeline.expected > 0


class Bell(Plugin[PluginConfig]):
    """Rings on each frame that it processes."""

    produces = frozenset({Events})
    events = (EventSpec("bell.rings", "It rings."),)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [Results(Events((Event("bell.rings", {"frame": each.seq}),))) for each in frames]


class SecondBell(Bell):
    """Another one."""


def test_a_task_has_the_events_of_all_plug_ins_and_the_counts_of_the_results_that_remain() -> None:
    with pipeline_of(Finder(), Bell(PluginConfig()), Finder(), SecondBell(PluginConfig())) as [pipeline]:
        task = pipeline.offer(frame(seq=3))
        assert task is not None
        assert task.wait(5)
        rings = Event("bell.rings", {"frame": 3})
        assert task.counts == {Detections: (Count("detections", "x", 3),)}
        assert task.events == [("Bell", rings), ("SecondBell", rings)]
        assert task.results.get(Events) == Events((rings, rings))


def test_a_prediction_is_not_counted() -> None:
    with pipeline_of(Finder(PluginConfig(every=2)), Bell(PluginConfig())) as [pipeline]:
        tasks = []
        for seq in (2, 3):
            task = pipeline.offer(frame(seq=seq))
            assert task is not None
            assert task.wait(5)
            eventually(lambda: pipeline._running is None)
            tasks.append(task)
        assert [Detections in task.counts for task in tasks] == [True, False]
        assert [Detections in task.results for task in tasks] == [True, True]
        assert [len(task.events) for task in tasks] == [1, 1]


class Painter(Plugin[PluginConfig]):
    """Returns an override image for each frame."""

    produces = frozenset({FrameOverride})

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        return [Results(FrameOverride(one.host())) for one in frames]


def test_what_nobody_sees_is_not_painted() -> None:
    with pipeline_of(Finder(), Painter(PluginConfig())) as [pipeline]:
        for seq, watched in enumerate((True, False)):
            task = pipeline.offer(frame(seq=seq), watched=watched)
            assert task is not None
            assert task.wait(5)
            assert Detections in task.results
            assert (FrameOverride in task.results) == watched
    with pipeline_of(Painter(PluginConfig())) as [pipeline]:
        assert pipeline.offer(frame(), watched=False) is None


def test_while_one_frame_is_analysed_the_newest_waits_and_the_others_are_superseded() -> None:
    finder = Finder()
    finder.let.clear()
    with pipeline_of(finder) as [pipeline]:
        first = pipeline.offer(frame(seq=1))
        finder.entered.acquire()
        second, third = pipeline.offer(frame(seq=2)), pipeline.offer(frame(seq=3))
        assert first is not None
        assert second is not None
        assert third is not None
        assert second.wait(5) is False
        finder.let.set()
        assert third.wait(5)
        assert first.complete
    assert finder.seen == [("a", 1), ("a", 3)]


def test_a_frame_that_no_worker_has_begun_gives_way_to_a_newer_one() -> None:
    finder = Finder()
    finder.let.clear()
    with pipeline_of(finder, cameras=2) as [a, b]:
        a.offer(frame("a", 1))
        finder.entered.acquire()
        stale = b.offer(frame("b", 1))
        fresh = b.offer(frame("b", 2))
        assert stale is not None
        assert fresh is not None
        assert stale.wait(5) is False
        finder.let.set()
        assert fresh.wait(5)
    assert finder.seen == [("a", 1), ("b", 2)]


def test_batches_grow_with_what_waits_across_cameras() -> None:
    finder = Finder()
    finder.let.clear()
    with pipeline_of(finder, cameras=4, max_batch=8) as pipelines:
        pipelines[0].offer(frame("a"))
        finder.entered.acquire()
        tasks = [pipeline.offer(frame(pipeline.camera)) for pipeline in pipelines[1:]]
        finder.let.set()
        assert all(task is not None and task.wait(5) for task in tasks)
    assert finder.batches == [1, 3]


def test_every_camera_gets_its_turn() -> None:
    finder = Finder()
    with pipeline_of(finder, cameras=4) as pipelines:
        for seq in range(200):
            for pipeline in pipelines:
                pipeline.offer(frame(pipeline.camera, seq))
        eventually(lambda: all(pipeline.analysed > 0 and pipeline._running is None for pipeline in pipelines))
        counts = [pipeline.analysed for pipeline in pipelines]
    assert min(counts) >= max(counts) / 2


def test_frames_of_a_camera_are_analysed_in_order_by_several_threads() -> None:
    finder = ParallelFinder()
    with pipeline_of(finder, cameras=2, threads=2) as pipelines:
        last = [pipeline.offer(frame(pipeline.camera, seq)) for seq in range(300) for pipeline in pipelines][-2:]
        assert all(task is not None and task.wait(5) for task in last)
    for camera in "ab":
        order = [seq for name, seq in finder.seen if name == camera]
        assert order == sorted(set(order))


def test_between_analysed_frames_plugins_predict() -> None:
    with pipeline_of(Finder(), Follower()) as [pipeline]:
        predicted = pipeline.predicted(frame(seq=7))
    tracks = predicted.get(Tracks)
    assert tracks is not None
    assert tracks.labels == ("predicted",)


def test_nothing_is_offered_where_no_plugin_is_due() -> None:
    finder = Finder(PluginConfig(every=3))
    with pipeline_of(finder, Follower()) as [pipeline]:
        for seq in range(7):
            task = pipeline.offer(frame(seq=seq))
            if task is not None:
                assert task.wait(5)
    assert [seq for _, seq in finder.seen] == [0, 3, 6]


def test_a_plugin_predicts_where_the_one_it_needs_did_not_run() -> None:
    finder, follower = Finder(PluginConfig(every=2)), Follower()

    class Beside(Finder):
        produces = frozenset({FrameOverride})

        def process(self, frames: object, results: object) -> list[Results]:
            return [Results()]

    with pipeline_of(finder, follower, Beside()) as [pipeline]:
        for seq in range(4):
            task = pipeline.offer(frame(seq=seq))
            assert task is not None
            assert task.wait(5)
    assert follower.ran == [0, 2]
    assert follower.predicted == [1, 3]


def test_after_a_fault_the_frame_goes_on_with_a_prediction() -> None:
    finder, follower = Finder(), Follower()

    def fail() -> None:
        raise RuntimeError("network lost")

    finder.before = fail
    with pipeline_of(finder, follower) as [pipeline]:
        task = pipeline.offer(frame(seq=1))
        assert task is not None
        assert task.wait(5)
        assert follower.predicted == [1]


def test_a_frame_that_replaced_another_is_the_one_that_every_counts_from() -> None:
    finder = Finder(PluginConfig(every=5))
    finder.let.clear()
    with pipeline_of(finder, cameras=2) as [a, b]:
        a.offer(frame("a", 0))
        finder.entered.acquire()
        b.offer(frame("b", 0))
        fresh = b.offer(frame("b", 5))
        finder.let.set()
        assert fresh is not None
        assert fresh.wait(5)
        assert b.offer(frame("b", 9)) is None
        assert b.offer(frame("b", 10)) is not None


def test_a_fault_in_what_counts_the_findings_stops_neither_line_nor_worker(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_task: FrameTask, _seconds: float) -> None:
        raise RuntimeError("cannot count")

    with pipeline_of(Finder()) as [pipeline]:
        pipeline._on_analysed = fails
        for seq in range(3):
            task = pipeline.offer(frame(seq=seq))
            assert task is not None
            assert task.wait(5)
            eventually(lambda: pipeline._running is None)
        assert pipeline.analysed == 3
    assert "cannot count" in caplog.text


def test_a_plugin_that_ends_its_thread_ends_nothing() -> None:
    finder = Finder()

    def leaves() -> None:
        raise SystemExit(1)

    with pipeline_of(finder) as [pipeline]:
        finder.before = leaves
        first = pipeline.offer(frame(seq=1))
        assert first is not None
        assert first.wait(5)
        finder.before = lambda: None
        second = pipeline.offer(frame(seq=2))
        assert second is not None
        assert second.wait(5)
        assert Detections in second.results


def test_closing_releases_those_who_wait() -> None:
    finder = Finder()
    finder.let.clear()
    with pipeline_of(finder) as [pipeline]:
        pipeline.offer(frame(seq=1))
        finder.entered.acquire()
        waiting = pipeline.offer(frame(seq=2))
        pipeline.close()
        assert waiting is not None
        assert waiting.wait(5) is False
        assert pipeline.offer(frame(seq=3)) is None
        finder.let.set()


class Unloadable(Finder):
    closed = 0

    def open(self, context: Context) -> None:
        raise EngineError("no such network")

    def close(self) -> None:
        type(self).closed += 1


def host(cores: int = 2) -> PluginManager:
    def no_engines(choice: object, threads: int, config: object) -> object:
        raise AssertionError("asks for no network")

    return PluginManager(no_engines, lambda name: Observations(), cores=cores)  # type: ignore[arg-type]


def test_a_plugin_that_cannot_open_is_closed_and_its_error_reported() -> None:
    plugins = host()
    with pytest.raises(EngineError, match="no such network"):
        plugins.open("finder", Unloadable, PluginConfig(), cameras=1)
    assert Unloadable.closed == 1
    plugins.close()


@pytest.mark.parametrize("broken", ["observe", "RateLimit.of", "Worker", "Worker.start"])
def test_if_no_worker_can_be_made_for_an_open_plugin_it_is_closed_with_its_engines(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class WithEngine(Finder):
        def open(self, context: Context) -> None:
            context.engine(["any"])

        def close(self) -> None:
            closed.append("plug-in")

    def fail(*_: object, **__: object) -> Observations:
        raise MemoryError

    session = SimpleNamespace(backend=Backend("onnxruntime", "cpu", "fp32"))
    model = SimpleNamespace(name="any")
    engine = SimpleNamespace(model=model, session=session, reason="", close=lambda: closed.append("engine"))
    observe = fail if broken == "observe" else lambda _: Observations()
    plugins = PluginManager(lambda *_: engine, observe)  # type: ignore[arg-type]
    if broken != "observe":
        monkeypatch.setattr(f"sightd.daemon.pipeline.manager.{broken}", fail)
    with pytest.raises(MemoryError):
        plugins.open("finder", WithEngine, PluginConfig(), cameras=1)
    assert closed == ["plug-in", "engine"]
    plugins.close()


def test_whatever_a_plugin_raises_when_it_opens_names_it() -> None:
    class Careless(Finder):
        def open(self, context: Context) -> None:
            raise KeyError("labels")

    class Unmakeable(Finder):
        def __init__(self, config: PluginConfig | None = None) -> None:
            raise ZeroDivisionError

    for cls, fault in ((Careless, "KeyError"), (Unmakeable, "ZeroDivisionError")):
        with pytest.raises(PluginError, match=f"plug-in finder cannot be opened: {fault}"):
            host().open("finder", cls, PluginConfig(), cameras=1)


@pytest.mark.parametrize(
    ("cls", "cameras", "threads"), [(ParallelFinder, 4, 2), (ParallelFinder, 1, 1), (Finder, 4, 1)]
)
def test_a_parallel_plugin_gets_a_thread_a_core_but_not_more_than_cameras(
    cls: type[Finder], cameras: int, threads: int
) -> None:
    plugins = host(cores=2)
    plugins.add(
        plugins.open("finder", cls, PluginConfig.model_validate({"max_wait": "1ms"}), cameras=cameras)
    )  # not inline
    assert plugins.instances["finder"].worker.threads == threads
    plugins.close()


class OnGpu(ParallelFinder):
    def open(self, context: Context) -> None:
        context.engine(["any"])


@pytest.mark.parametrize(("cls", "cameras", "threads"), [(OnGpu, 8, 2), (OnGpu, 1, 1)])
def test_a_parallel_plugin_whose_network_is_on_a_gpu_gets_two_threads(
    cls: type[Finder], cameras: int, threads: int
) -> None:
    session = SimpleNamespace(backend=Backend("tensorrt", "cuda:0", "fp16"))
    engine = SimpleNamespace(model=SimpleNamespace(name="any"), session=session, reason="", close=lambda: None)
    plugins = PluginManager(lambda *_: engine, lambda name: Observations(), cores=8)  # type: ignore[arg-type]
    plugins.add(plugins.open("finder", cls, PluginConfig(), cameras=cameras))
    assert plugins.instances["finder"].worker.threads == threads
    plugins.close()


def test_a_removed_camera_is_forgotten_by_plugins_and_gates() -> None:
    plugins = host()
    plugins.add(plugins.open("finder", Finder, PluginConfig(every=100), cameras=1))
    plugins.add(plugins.open("follower", Follower, PluginConfig(), cameras=1))
    for _ in range(2):
        task = plugins.pipeline("a", ["finder", "follower"]).offer(frame(seq=5))
        assert task is not None
        assert task.wait(5)
        plugins.forget("a")
    follower = plugins.instances["follower"].supervisor.plugin
    assert isinstance(follower, Follower)
    assert follower.forgot == ["a", "a"]
    plugins.close()


def unstarted_pipeline() -> tuple[CameraPipeline, Worker]:
    """Returns a pipeline whose worker has no thread, so that the test can step through its work."""
    pipelines: dict[str, CameraPipeline] = {}
    worker = Worker(
        PluginSupervisor("finder", Finder(), Observations()),
        RateLimit.of(PluginConfig()),
        threads=0,
        max_batch=1,
        max_wait=0.0,
        on_batch=lambda _: None,
        pass_on=lambda task: pipelines["a"].advance(task),
    )
    pipelines["a"] = CameraPipeline("a", [worker])
    return pipelines["a"], worker


def test_what_waited_behind_a_replaced_frame_does_not_come_after_the_newer_one() -> None:
    pipeline, worker = unstarted_pipeline()
    pipeline.offer(frame(seq=1))
    [taken] = worker.queue.take(1)
    second = pipeline.offer(frame(seq=2))
    worker.queue.put(taken)  # as when `_ended` has chosen the next frame but not yet queued it
    pipeline.offer(frame(seq=3))
    assert second is not None
    assert second.wait(0) is False
    [third] = worker.queue.take(1)
    assert third.frame.seq == 3
    pipeline.advance(third)
    assert third.complete
    assert len(worker.queue) == 0, "the older frame is gone"


def unstarted_chain(*names: str) -> tuple[CameraPipeline, list[Worker]]:
    """Returns a pipeline through several finders whose workers have no threads. The first finds every 100th frame."""
    pipelines: dict[str, CameraPipeline] = {}
    workers = [
        Worker(
            PluginSupervisor(name, Finder(), Observations()),
            RateLimit(1 if number else 100, 0.0),
            threads=0,
            max_batch=1,
            max_wait=0.0,
            on_batch=lambda _: None,
            pass_on=lambda task: pipelines["a"].advance(task),
        )
        for number, name in enumerate(names)
    ]
    pipelines["a"] = CameraPipeline("a", workers)
    return pipelines["a"], workers


def test_a_frame_gives_way_to_a_newer_one_also_behind_a_plugin_that_rests_on_both() -> None:
    pipeline, [rare, model] = unstarted_chain("rare", "model")
    rare.rate_limit.passed(frame(seq=0))
    first, second = pipeline.offer(frame(seq=1)), pipeline.offer(frame(seq=2))
    assert first is not None
    assert first.wait(0) is False
    [taken] = model.queue.take(1)
    assert taken is second
    assert taken.results.get(Detections) is not None, "the first plug-in's prediction"
    assert len(rare.queue) == 0
    pipeline.advance(taken)
    assert taken.complete
    assert pipeline._running is None


def test_a_frame_on_which_a_plugin_has_run_does_not_give_way() -> None:
    pipeline, [rare, model] = unstarted_chain("rare", "model")
    first = pipeline.offer(frame(seq=1))
    [taken] = rare.queue.take(1)
    assert taken is first
    rare.rate_limit.passed(taken.frame)
    taken.processed.add(Detections)
    pipeline.advance(taken)
    second = pipeline.offer(frame(seq=2))
    assert second is not None
    assert list(second.results) == [], "nothing was predicted for it yet"
    [taken] = model.queue.take(1)
    assert taken is first
    pipeline.advance(taken)
    [taken] = model.queue.take(1)
    assert taken is second, "it came after it, from the begin of the chain"


def test_a_worker_that_takes_a_frame_the_moment_it_is_laid_in_knows_where_that_stands() -> None:
    pipeline, worker = unstarted_pipeline()
    stages: list[int] = []

    class Snatched(FrameQueue):
        """A queue whose new task is taken by a worker before `replace` returns."""

        def replace(self, old: FrameTask, new: FrameTask) -> bool:
            done = super().replace(old, new)
            stages.extend(task.stage for task in self.take(1))
            return done

    worker.queue = Snatched()
    pipeline.offer(frame(seq=1))
    pipeline.offer(frame(seq=2))
    assert stages == [1], "else it would be handed in, and analysed, a second time"


def scene(seed: int, seq: int, camera: str = "a") -> Frame:
    patches = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    image = np.asarray(cv2.resize(patches, (320, 180), interpolation=cv2.INTER_NEAREST), np.uint8)
    return Frame.of(image, camera=camera, seq=seq, captured_at=seq * 0.04)


def test_across_a_scene_cut_nothing_is_predicted_until_the_new_scene_was_analysed() -> None:
    finder, follower = Finder(), Follower()
    with pipeline_of(finder, follower, cameras=2) as [pipeline, other]:
        assert len(pipeline.predicted(scene(1, 0))) == 2, "nothing was analysed yet, so there is no other scene"
        analysed(pipeline, scene(1, 1))
        assert len(pipeline.predicted(scene(1, 2))) == 2
        assert len(pipeline.predicted(scene(2, 3))) == 0
        assert len(other.predicted(scene(2, 3, "b"))) == 2, "another camera's scene does not count"
        analysed(pipeline, scene(2, 4))
        assert len(pipeline.predicted(scene(2, 5))) == 2
    assert follower.predicted == [0, 2, 3, 5]


def test_a_plug_in_that_rests_on_the_first_frame_of_a_scene_predicts_nothing_on_it() -> None:
    rare = Follower(PluginConfig(every=3))
    with pipeline_of(Finder(), rare) as [pipeline]:
        analysed(pipeline, scene(1, 0))
        assert Tracks in analysed(pipeline, scene(1, 1))
        assert Tracks not in analysed(pipeline, scene(2, 2))
        assert Tracks in analysed(pipeline, scene(2, 3))


def test_a_camera_that_was_forgotten_has_no_earlier_scene() -> None:
    with pipeline_of(Finder()) as [pipeline]:
        analysed(pipeline, scene(1, 0))
        pipeline.chain[0].forget("a")
        assert len(pipeline.predicted(scene(2, 1))) == 1


def analysed(pipeline: CameraPipeline, frame: Frame) -> Results:
    task = pipeline.offer(frame)
    assert task is not None
    assert task.wait(5)
    return task.results


def test_a_paused_pipeline_analyses_and_predicts_nothing_and_begins_anew() -> None:
    finder, follower = Finder(), Follower()
    with pipeline_of(finder, follower) as [pipeline]:
        first = pipeline.offer(frame(seq=1))
        assert first is not None
        assert first.wait(5)
        pipeline.paused = True
        assert pipeline.offer(frame(seq=2)) is None
        assert pipeline.offer(frame(seq=3)) is None
        assert list(pipeline.predicted(frame(seq=3))) == []
        assert follower.forgot == ["a"], "once, not for each frame"
        pipeline.paused = False
        again = pipeline.offer(frame(seq=4))
        assert again is not None
        assert again.wait(5)
        assert pipeline.analysed == 2
