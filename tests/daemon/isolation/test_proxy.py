"""An isolated plug-in does the same as in the daemon's process: same frames, results and drawing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest

from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.errors import EngineError
from sightd.plugins.api import (
    AnyPlugin,
    FloatArray,
    Frame,
    FrameOverride,
    Image,
    LumaPlane,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
)
from tests.daemon.isolation.plugins import Careless, Faulty, Glancer, Keeper, Leaver, Meeting, Painter, scores
from tests.daemon.pipeline.plugins import Observations

Open = Callable[[type[AnyPlugin]], Instance]


@pytest.fixture
def isolated() -> Iterator[Open]:
    """Opens plug-ins in isolated processes, for two cameras each; ends them after the test."""

    def no_engines(*_: object) -> object:
        raise AssertionError("asks for no network here")

    with ExitStack() as closing:
        host = PluginManager(no_engines, lambda _: Observations(), cores=2)  # type: ignore[arg-type]
        closing.callback(host.close)

        def open_one(plugin: type[AnyPlugin]) -> Instance:
            instance = host.open(plugin.__name__.lower(), plugin, PluginConfig(isolate=True), cameras=2)
            host.add(instance)
            return instance

        yield open_one


def picture(value: int, size: tuple[int, int] = (48, 64)) -> Image:
    return np.full((*size, 3), value, np.uint8)


def seen(instance: Instance, *frames: Frame) -> list[Results]:
    answers = instance.supervisor.process(frames, [Results() for _ in frames])
    assert answers is not None, instance.supervisor.last_fault
    return [answer.results for answer in answers]


def test_sees_the_pictures_from_another_process(isolated: Open) -> None:
    instance = isolated(Faulty)
    for value, size in ((10, (48, 64)), (200, (1080, 1920)), (30, (16, 16)), (40, (1088, 1920))):
        [result] = seen(instance, Frame.of(picture(value, size)))
        pid, mean = scores(result)
        assert pid != os.getpid()
        assert mean == value
    both = seen(instance, Frame.of(picture(1), camera="a"), Frame.of(picture(2), camera="b"))
    assert [scores(result)[1] for result in both] == [1, 2]


def test_events_keep_their_phase_and_what_they_are_about(isolated: Open) -> None:
    frame = Frame.of(picture(0))
    answers = isolated(Leaver).supervisor.process([frame], [Results()])
    assert answers is not None
    assert answers[0].events == (Leaver.event(frame.wall_time),)


def test_the_thumb_comes_with_the_frame_so_its_image_need_not_be_sent(isolated: Open) -> None:
    instance = isolated(Glancer)
    image = np.random.default_rng(1).integers(0, 255, (72, 128, 3), np.uint8)

    def decode() -> Image:
        raise AssertionError("the image is sent")

    def frame(on_device: DeviceImage | None = None) -> Frame:
        luma = LumaPlane(lambda: image[..., 1], (0, 1, 0, 0))
        return Frame("a", 0, (128, 72), decode, captured_at=0, wall_time=0, on_device=on_device, luma=luma)

    thumb = frame().thumb()
    assert thumb is not None
    assert scores(seen(instance, frame())[0]) == pytest.approx(thumb[:3], abs=1e-4)
    assert scores(instance.supervisor.predict(frame(), Results())) == pytest.approx(thumb[:3], abs=1e-4)
    on_gpu = frame(SimpleNamespace(ordinal=0))  # type: ignore[arg-type]
    assert scores(instance.supervisor.predict(on_gpu, Results())) == [], "one on a GPU has none there either"
    assert instance.supervisor.faults == 0, instance.supervisor.last_fault


def test_a_frame_that_cannot_be_decoded_reaches_plugins_that_need_no_image(isolated: Open) -> None:
    def decode() -> Image:
        raise OSError("damaged")

    damaged = Frame("a", 0, (128, 72), decode, captured_at=0, wall_time=0)
    assert scores(seen(isolated(Glancer), damaged)[0]) == []


def test_a_picture_that_it_keeps_stays_what_it_was_and_none_can_be_written(isolated: Open) -> None:
    instance = isolated(Keeper)
    told = [scores(seen(instance, Frame.of(picture(value), seq=value))[0]) for value in (5, 6, 7)]
    assert told == [[5, 5, 0], [5, 6, 0], [6, 7, 0]]


class Board:
    """A canvas that records what is drawn on it, in order."""

    def __init__(self) -> None:
        self.image = picture(0, (20, 30))
        self.size = (30, 20)
        self.drawn: list[tuple[object, ...]] = []

    def box(self, xyxy: object, colour: tuple[int, int, int], label: str = "") -> None:
        self.drawn.append(("box", colour, label))
        self.image[0, 0] = 1

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        self.drawn.append((text, xy, colour))
        self.image[0, 1] = 2

    def line(self, points: FloatArray, colour: tuple[int, int, int], opacity: float = 1.0, width: float = 1.0) -> None:
        self.drawn.append(("line", points.tolist(), colour, opacity, width))


def test_paints_hides_predicts_and_draws_as_if_it_were_here(isolated: Open) -> None:
    instance = isolated(Painter)
    frame = Frame.of(picture(55))
    assert instance.supervisor.redacts
    assert instance.supervisor.plugin.produces == {FrameOverride, PrivacyMask}
    [result] = seen(instance, frame)
    painting, hidden = result.get(FrameOverride), result.get(PrivacyMask)
    assert painting is not None
    assert hidden is not None
    assert (painting.image == 200).all()
    assert hidden.boxes.tolist() == [[0, 0, 64, 24]]
    predicted = instance.supervisor.predict(frame, result)
    assert FrameOverride in predicted, "what others found comes with the frame"
    board = Board()
    instance.supervisor.draw(board, frame, result)
    line = ("line", [[1, 2], [3, 4]], (7, 8, 9), 0.5, 2.0)
    assert board.drawn == [("box", (1, 2, 3), "a box"), ("words", (3.0, 4.0), (4, 5, 6)), line]
    assert board.image[19, 29].tolist() == [7, 7, 7]
    assert board.image[0, :2, 0].tolist() == [1, 2], "what was drawn here before and after is there too"
    instance.supervisor.forget("front")
    instance.supervisor.draw(board, frame, result)
    assert board.drawn[-2][0] == "forgot front"
    assert instance.supervisor.faults == 0, instance.supervisor.last_fault


def test_a_parallel_one_is_called_several_times_at_once(isolated: Open) -> None:
    instance = isolated(Meeting)
    assert instance.worker.threads == 2
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(seen(instance, Frame.of(picture(0), seq=n)))) for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 2


class Unopenable(Faulty):
    def open(self, context: object) -> None:
        raise EngineError("no such network: fetch it")


@pytest.mark.parametrize(
    ("plugin", "told"),
    [(Unopenable, "no such network: fetch it"), (Careless, "cannot be opened: its process was killed by SIGKILL")],
)
def test_one_that_cannot_open_says_why(isolated: Open, plugin: type[AnyPlugin], told: str) -> None:
    with pytest.raises(PluginError, match=told):
        isolated(plugin)


def test_is_ended_with_its_instance_and_leaves_no_shared_memory(isolated: Open) -> None:
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    instance = isolated(Faulty)
    pid = int(scores(seen(instance, Frame.of(picture(1)))[0])[0])
    instance.worker.stop(5)
    instance.supervisor.close()
    assert not Path(f"/proc/{pid}").exists()
    assert set(os.listdir("/dev/shm")) <= before  # noqa: PTH208


def test_where_no_process_can_be_started_that_is_said(isolated: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sightd.daemon.isolation.process.socket.socketpair", none_left)
    with pytest.raises(PluginError, match=r"faulty cannot be opened: .*Too many open files"):
        isolated(Faulty)
