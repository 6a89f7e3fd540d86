"""The plug-in: `process` never waits, answers come with later frames, and a camera's privacy is kept."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sightd.plugins.api import (
    AnyPlugin,
    Detections,
    Event,
    EventRef,
    Events,
    Frame,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
    Tracks,
)
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.describe.config import DescribeConfig
from sightd.plugins.describe.plugin import DescriptionCounts, EventDescriber
from sightd.plugins.testing import check_plugin
from sightd.plugins.testing.stubs import StubContext
from tests.support.chat_endpoint import ChatServer, chat_server, hanging, saying
from tests.support.waiting import eventually

LABELS = ("person", "car")
OBJECTS = Detections(np.array([[20, 20, 60, 80]], np.float32), np.array([0.9], np.float32), np.array([0]), LABELS)
GREY = 128


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(saying("A person walks.")) as running:
        yield running


def opened(url: str, **options: Any) -> EventDescriber:
    plugin = EventDescriber(DescribeConfig.model_validate({"url": url, "events": ["door.opened"], **options}))
    plugin.open(StubContext("describe"))
    return plugin


def frame(number: int = 0, camera: str = "yard") -> Frame:
    image = np.full((100, 200, 3), 250, np.uint8)
    return Frame.of(image, camera=camera, seq=number, captured_at=100.0 + number, wall_time=1.7e9 + number)


def processed(plugin: EventDescriber, number: int, *results: object, camera: str = "yard") -> Results:
    [found] = plugin.process([frame(number, camera)], [Results(*results)])
    return found


def answers(found: Results) -> tuple[Event, ...]:
    events = found.get(Events)
    assert events is not None
    return events.items


def counted(found: Results) -> dict[tuple[str, str | None], int]:
    counts = found.get(DescriptionCounts)
    assert counts is not None
    return {(count.metric, count.value): count.number for count in counts.items}


def awaited(
    plugin: EventDescriber, *results: object, camera: str = "yard", start: int = 10
) -> tuple[Event, dict[tuple[str, str | None], int]]:
    """Returns the first answer, and what is counted with it, on frames with these results from `start` on."""
    found: list[Results] = []

    def arrives() -> bool:
        found.append(processed(plugin, start + len(found), *results, camera=camera))
        return bool(answers(found[-1]))

    eventually(arrives, what="an answer")
    return answers(found[-1])[0], counted(found[-1])


def test_an_object_is_described_once_and_the_answer_comes_with_a_later_frame(server: ChatServer) -> None:
    plugin = opened(server.url)
    event, counts = awaited(plugin, OBJECTS, start=0)
    plugin.close()
    assert event.kind == "describe.answered"
    assert event.about is None
    facts = dict(event.facts)
    seconds = facts.pop("seconds")
    assert isinstance(seconds, float)
    assert seconds >= 0
    expected = {"text": "A person walks.", "class": "person", "score": 0.9, "captured": "2023-11-14T22:13:20.000Z"}
    assert facts == expected
    assert counts["describe_requests", "answered"] == 1
    assert counts["describe_request_milliseconds", None] >= 0
    assert len(server.received) == 1
    assert server.received[0].image.shape == (84, 64, 3)


def test_an_object_that_stays_is_not_described_again_during_its_cool_down(server: ChatServer) -> None:
    plugin = opened(server.url, cooldown="1h")
    for number in range(3):
        processed(plugin, number, OBJECTS)
    processed(plugin, 3, OBJECTS, Events((Event("door.opened"),)))  # its image is the last one in the queue
    eventually(lambda: any("kind" in event.facts for event in answers(processed(plugin, 4, OBJECTS))))
    plugin.close()
    assert len(server.received) == 2


def test_an_answer_about_an_event_names_it_by_kind_time_and_facts(server: ChatServer) -> None:
    plugin = opened(server.url, classes=[])
    processed(plugin, 3, Events((Event("door.opened", {"by": "hand"}), Event("door.shut"))), OBJECTS)
    event, _ = awaited(plugin)
    plugin.close()
    assert event.about == EventRef("door.opened", 1.7e9 + 3, {"by": "hand"})
    assert event.facts["kind"] == "door.opened"
    assert len(server.received) == 1


def test_the_answer_of_one_camera_does_not_come_with_a_frame_of_another(server: ChatServer) -> None:
    plugin = opened(server.url)
    processed(plugin, 0, OBJECTS, camera="yard")
    eventually(lambda: bool(server.received))
    assert not answers(processed(plugin, 0, camera="door"))
    event, _ = awaited(plugin, camera="yard")
    plugin.close()
    assert event.facts["text"] == "A person walks."


def test_what_is_hidden_on_the_frame_is_hidden_in_the_image(server: ChatServer) -> None:
    plugin = opened(server.url, margin=0)
    processed(plugin, 0, OBJECTS, PrivacyMask(np.array([[20, 20, 60, 50]], np.float32)))
    awaited(plugin)
    plugin.close()
    image = server.received[0].image.astype(int)
    assert image.shape == (60, 40, 3)
    assert abs(image[:28] - GREY).max() < 12
    assert image[32:].min() > 235


def test_nothing_is_sent_if_the_whole_frame_is_hidden_and_an_object_gets_another_chance(server: ChatServer) -> None:
    plugin = opened(server.url)
    opening = Events((Event("door.opened"),))
    found = processed(plugin, 0, OBJECTS, opening, PrivacyMask.all_of(frame()))
    assert counted(found) == {("describe_dropped", "not_visible"): 1}
    processed(plugin, 1, OBJECTS, PrivacyMask(np.zeros((0, 4), np.float32)))
    event, _ = awaited(plugin)
    plugin.close()
    assert event.facts["class"] == "person"
    assert len(server.received) == 1


def test_process_does_not_wait_for_an_endpoint_that_hangs_and_neither_does_close() -> None:
    with chat_server(hanging) as server:
        plugin = opened(server.url, timeout="10m", max_queue=2)
        people = [
            Tracks(
                OBJECTS.boxes,
                OBJECTS.scores,
                OBJECTS.class_ids,
                np.array([number]),
                np.full(1, 5, np.float32),
                np.zeros((1, 2), np.float32),
                np.zeros(1, np.int64),
                LABELS,
            )
            for number in range(9)
        ]
        processed(plugin, 0, OBJECTS, people[0])
        eventually(lambda: bool(server.received))
        dropped = sum(
            counted(processed(plugin, number, OBJECTS, people[number])).get(("describe_dropped", "queue_full"), 0)
            for number in range(1, 9)
        )
        assert dropped == 6
        sender = plugin._sender
        assert sender is not None
        plugin.close()
        eventually(lambda: not sender._thread.is_alive())
        assert len(server.received) == 1


def test_a_forgotten_camera_is_described_again_and_gets_no_old_answer(server: ChatServer) -> None:
    plugin = opened(server.url)
    processed(plugin, 0, OBJECTS)
    eventually(lambda: bool(server.received))
    plugin.forget("yard")
    assert not answers(processed(plugin, 1, OBJECTS))
    event, _ = awaited(plugin)
    plugin.close()
    assert event.facts["captured"] == "2023-11-14T22:13:21.000Z"
    assert len(server.received) == 2


def test_a_remote_endpoint_without_permission_is_not_opened() -> None:
    plugin = EventDescriber(DescribeConfig(url="https://vision.example.com/v1"))
    with pytest.raises(PluginError, match=r"vision\.example\.com is not local: add allow_remote: true"):
        plugin.open(StubContext("describe"))
    plugin.close()


@pytest.mark.parametrize(
    ("url", "message"), [("http", " in clear text: use https"), ("https", "")], ids=["http", "https"]
)
def test_images_that_leave_the_network_are_logged(url: str, message: str, caplog: pytest.LogCaptureFixture) -> None:
    plugin = opened(f"{url}://vision.example.com/v1", allow_remote=True)
    plugin.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"plug-in describe: images are sent to vision.example.com{message}"
    ]


class Redactor(Plugin[PluginConfig]):
    produces = frozenset({PrivacyMask})


class Finder(Plugin[PluginConfig]):
    produces = frozenset({Detections})


def test_a_plug_in_that_may_redact_must_come_before_it() -> None:
    classes: dict[str, type[AnyPlugin]] = {"finder": Finder, "redactor": Redactor, "describe": EventDescriber}
    with pytest.raises(PluginError, match=r"^describe uses PrivacyMask; put redactor before it$"):
        check_chain(["finder", "describe", "redactor"], classes)
    check_chain(["finder", "redactor", "describe"], classes)
    assert PrivacyMask in EventDescriber.uses


def test_its_results_can_be_sent_to_another_process() -> None:
    results = Results(DescriptionCounts(()), Events((Event("describe.answered", {}, EventRef("door.opened", 1.0)),)))
    copy = pickle.loads(pickle.dumps(results))
    assert copy.get(Events) == results.get(Events)
    Declarations.of(EventDescriber).events(copy)


def test_it_fulfils_the_contract() -> None:
    with socket.socket() as silent:  # nothing answers here
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        report = check_plugin(EventDescriber, {"url": url, "classes": ["person", "bicycle", "car"]})
    assert report.ok, report
