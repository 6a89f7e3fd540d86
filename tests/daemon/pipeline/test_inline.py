"""A quick plug-in without a model runs on the thread that passes on the results of the one before it, and harms nobody
there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest

from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.manager import STOP_DEADLINE, PluginManager
from sightd.engines.session import Backend
from sightd.plugins.api import AnyPlugin, Context, Detections, Frame, Plugin, PluginConfig, Results, Tracks
from tests.daemon.pipeline.plugins import Finder, Follower, Observations, ParallelFinder, found, frame
from tests.support.waiting import eventually

HANGS_AFTER = 4.0
"""Longer than a thread is lent, so that the tests tell one from the other."""


class Detector(Finder):
    """A finder with a model: it always has threads of its own."""

    def open(self, context: Context) -> None:
        context.engine(["any"])


class ParallelDetector(Detector, ParallelFinder):
    """Several calls at a time, each of which takes some time."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        time.sleep(0.002)
        return [Results(found(1)) for _ in frames]


class Tracker(Follower):
    """Records its threads and calls; hangs, fails or is slow on command."""

    def __init__(self, config: PluginConfig | None = None) -> None:
        super().__init__(config)
        self.seen: list[tuple[str, int]] = []
        self.threads: set[str] = set()
        self.let = threading.Event()
        self.let.set()
        self.entered = threading.Semaphore(0)
        self.seconds = 0.0
        self.fails = False
        self.ended: list[str] = []
        self.most_at_once = 0
        self._at_once = 0

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.threads.add(threading.current_thread().name)
        self.seen += [(one.camera, one.seq) for one in frames]
        self.entered.release()
        time.sleep(self.seconds)
        assert self.let.wait(30)
        self._at_once -= 1
        self.ended.append("returned")
        if self.fails:
            raise RuntimeError("cannot follow")
        return super().process(frames, results)

    def close(self) -> None:
        self.ended.append("closed")


class WithModel(Tracker):
    def open(self, context: Context) -> None:
        context.engine(["any"])


@pytest.fixture
def plugins() -> Iterator[PluginManager]:
    session = SimpleNamespace(backend=Backend("onnxruntime", "cpu", "fp32"))
    engine = SimpleNamespace(model=SimpleNamespace(name="any"), session=session, reason="", close=lambda: None)
    manager = PluginManager(
        lambda *_: engine,  # type: ignore[arg-type]
        lambda _: Observations(),
        cores=4,
        hangs_after=HANGS_AFTER,
    )
    yield manager
    for instance in manager.instances.values():
        if isinstance(instance.supervisor.plugin, Tracker):
            instance.supervisor.plugin.let.set()
    manager.close()


def added(
    plugins: PluginManager, name: str, plugin: type[AnyPlugin], config: PluginConfig | None = None, cameras: int = 1
) -> AnyPlugin:
    plugins.add(plugins.open(name, plugin, config or PluginConfig(), cameras))
    return plugins.instances[name].supervisor.plugin


def tracker(plugins: PluginManager, name: str = "tracker", cls: type[Tracker] = Tracker) -> Tracker:
    plugin = added(plugins, name, cls)
    assert isinstance(plugin, Tracker)
    return plugin


def offered(pipeline: CameraPipeline, seq: int) -> FrameTask:
    task = pipeline.offer(frame(pipeline.camera, seq))
    assert task is not None
    return task


def analysed(pipeline: CameraPipeline, seq: int) -> FrameTask:
    task = offered(pipeline, seq)
    assert task.wait(20)
    return task


def threads_of(name: str, what: str = "plugin") -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"{what}:{name}:")]


def test_it_runs_on_the_thread_that_passes_on_the_results_of_the_plugin_before_it(plugins: PluginManager) -> None:
    added(plugins, "detector", Detector)
    following, second = tracker(plugins), tracker(plugins, "second")
    pipeline = plugins.pipeline("a", ["detector", "tracker", "second"])
    assert Tracks in analysed(pipeline, 1).processed
    assert following.threads == second.threads == {"results:detector:0"}
    assert plugins.instances["tracker"].worker.threads == 0
    assert threads_of("tracker") == threads_of("second") == []


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (WithModel, PluginConfig()),
        (Tracker, PluginConfig(max_batch=2)),
        (Tracker, PluginConfig.model_validate({"max_wait": "1ms"})),
    ],
)
def test_one_with_a_model_or_that_gathers_batches_has_its_own_thread(
    plugins: PluginManager, cls: type[Tracker], config: PluginConfig
) -> None:
    added(plugins, "detector", Detector)
    following = added(plugins, "tracker", cls, config)
    assert isinstance(following, Tracker)
    analysed(plugins.pipeline("a", ["detector", "tracker"]), 1)
    assert following.threads == {"plugin:tracker:0"}


def test_the_first_of_a_chain_never_keeps_the_thread_that_offers_a_frame(plugins: PluginManager) -> None:
    finder = added(plugins, "finder", Finder)
    assert isinstance(finder, Finder)
    finder.let.clear()
    task = offered(plugins.pipeline("a", ["finder"]), 1)  # would hang here
    assert threads_of("finder") == ["plugin:finder:0"]
    finder.let.set()
    assert task.wait(20)


def test_frames_of_many_cameras_stay_in_order_and_one_call_runs_at_a_time(plugins: PluginManager) -> None:
    added(plugins, "detector", ParallelDetector, cameras=4)
    following = tracker(plugins)
    pipelines = [plugins.pipeline(camera, ["detector", "tracker"]) for camera in "abcd"]
    for seq in range(40):
        for task in [offered(pipeline, seq) for pipeline in pipelines]:
            assert task.wait(20)
            assert Tracks in task.processed
    assert following.most_at_once == 1
    for camera in "abcd":
        assert [seq for name, seq in following.seen if name == camera] == list(range(40))
    assert len(threads_of("detector")) == 4
    assert threads_of("tracker") == []


def test_a_fault_is_its_own_and_takes_only_itself_out(plugins: PluginManager) -> None:
    added(plugins, "detector", Detector)
    following = tracker(plugins)
    following.fails = True
    pipeline = plugins.pipeline("a", ["detector", "tracker"])
    for seq in range(5):
        task = analysed(pipeline, seq)
        assert task.processed == {Detections}
    assert len(following.seen) == 3, "the breaker opened"
    assert plugins.instances["tracker"].supervisor.state is BreakerState.OPEN
    assert plugins.instances["detector"].supervisor.state is BreakerState.CLOSED


def test_while_it_hangs_the_detector_and_other_cameras_go_on(plugins: PluginManager) -> None:
    """Long before the call counts as hung: the detector's results get another thread."""
    detector = added(plugins, "detector", Detector)
    assert isinstance(detector, Detector)
    following = tracker(plugins)
    hung, other = plugins.pipeline("a", ["detector", "tracker"]), plugins.pipeline("b", ["detector"])
    following.let.clear()
    begun = time.monotonic()
    stuck = offered(hung, 1)
    following.entered.acquire()
    analysed(other, 1)
    assert time.monotonic() - begun < HANGS_AFTER
    assert not stuck.complete
    assert plugins.instances["tracker"].worker.threads == 1, "from now on it hangs on its own"
    assert stuck.wait(20), "its frame goes on once it counts as hung"
    assert stuck.results.get(Tracks) is None, "the breaker is open"
    assert plugins.instances["tracker"].supervisor.state is BreakerState.OPEN
    assert analysed(hung, 2).processed == {Detections}
    assert ("a", 2) in detector.seen
    following.let.set()
    eventually(lambda: plugins.instances["tracker"].supervisor.hanging == 0)
    plugins.instances["tracker"].supervisor._breakers["process"].retry_at = 0.0
    assert Tracks in analysed(hung, 3).processed
    assert following.threads == {"results:detector:0", "plugin:tracker:0"}
    eventually(lambda: threads_of("detector", "results") == ["results:detector:0"])  # the one that was kept has ended


def test_what_the_kept_thread_was_to_do_next_is_done_by_the_one_in_its_place(plugins: PluginManager) -> None:
    detector = added(plugins, "detector", Detector, PluginConfig(max_batch=2))
    assert isinstance(detector, Detector)
    hanging, healthy = tracker(plugins, "hanging"), tracker(plugins, "healthy")
    first = plugins.pipeline("a", ["detector", "hanging"])
    second, third = plugins.pipeline("b", ["detector", "healthy"]), plugins.pipeline("c", ["detector"])
    hanging.let.clear()
    detector.let.clear()
    offered(third, 1)
    detector.entered.acquire()
    tasks = [offered(first, 1), offered(second, 1)]  # one batch, as both wait behind the first
    detector.let.set()
    hanging.entered.acquire()
    assert detector.batches == [1, 2]
    assert tasks[1].wait(HANGS_AFTER)
    assert Tracks in tasks[1].processed
    assert healthy.threads == {"results:detector:0"}


def test_one_that_is_slow_gets_its_own_thread(plugins: PluginManager) -> None:
    added(plugins, "detector", Detector)
    following = tracker(plugins)
    pipeline = plugins.pipeline("a", ["detector", "tracker"])
    following.seconds = 0.04
    for seq in range(20):
        analysed(pipeline, seq)
    assert following.threads == {"results:detector:0", "plugin:tracker:0"}
    assert following.seen == [("a", seq) for seq in range(20)]
    assert following.most_at_once == 1


def test_after_a_hung_plugin_it_does_not_run_on_the_thread_that_watches(plugins: PluginManager) -> None:
    added(plugins, "detector", Detector)
    hanging, following = tracker(plugins, "hanging", WithModel), tracker(plugins)
    hanging.let.clear()
    task = analysed(plugins.pipeline("a", ["detector", "hanging", "tracker"]), 1)
    assert Tracks in task.processed
    assert following.threads == {"plugin:tracker:0"}


def test_removing_it_waits_for_its_call_on_the_other_thread(plugins: PluginManager) -> None:
    added(plugins, "detector", Detector)
    following = tracker(plugins)
    following.let.clear()
    task = offered(plugins.pipeline("a", ["detector", "tracker"]), 1)
    following.entered.acquire()
    threading.Timer(0.2, following.let.set).start()
    plugins.remove("tracker")
    assert following.ended == ["returned", "closed"]
    assert task.wait(20)


class Closing(Detector):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_one_that_hangs_is_left_behind_at_a_stop_and_the_plugin_before_it_is_closed(plugins: PluginManager) -> None:
    detector = added(plugins, "detector", Closing)
    assert isinstance(detector, Closing)
    following = tracker(plugins)
    following.let.clear()
    offered(plugins.pipeline("a", ["detector", "tracker"]), 1)
    following.entered.acquire()
    begun = time.monotonic()
    plugins.close(within=0.4)
    assert time.monotonic() - begun < 3
    assert detector.is_closed
    assert following.ended == []
    following.let.set()
    eventually(lambda: threads_of("detector") == threads_of("detector", "results") == [])


def test_removing_the_plugin_before_it_does_not_wait_for_it(plugins: PluginManager) -> None:
    detector = added(plugins, "detector", Closing)
    assert isinstance(detector, Closing)
    following = tracker(plugins)
    following.let.clear()
    offered(plugins.pipeline("a", ["detector", "tracker"]), 1)
    following.entered.acquire()
    begun = time.monotonic()
    plugins.remove("detector")
    assert time.monotonic() - begun < STOP_DEADLINE / 2
    assert detector.is_closed


class Counting(Plugin[PluginConfig]):
    """`process` in several calls at a time, on command."""

    requires = frozenset({Detections})
    produces = frozenset({Tracks})
    parallel = True
    together = threading.Barrier(2)

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        self.together.wait(10)
        return [Results(Tracks.none()) for _ in frames]


def test_a_parallel_one_runs_on_several_threads_at_a_time(plugins: PluginManager) -> None:
    added(plugins, "detector", ParallelDetector, cameras=2)
    added(plugins, "counting", Counting, cameras=2)
    tasks = [offered(plugins.pipeline(camera, ["detector", "counting"]), 1) for camera in "ab"]
    for task in tasks:
        assert task.wait(20)
        assert Tracks in task.processed
