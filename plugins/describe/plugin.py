"""The describe plug-in: chooses what to describe, and reports the answers as events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from sightd.plugins.api import (
    MAX_EVENTS,
    Context,
    Count,
    CounterSpec,
    Detections,
    Event,
    Events,
    EventSpec,
    Frame,
    JsonValue,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
    Tracks,
)
from sightd.plugins.describe.config import DescribeConfig
from sightd.plugins.describe.crop import crop_of
from sightd.plugins.describe.endpoint import ChatEndpoint, Outcome
from sightd.plugins.describe.sender import CameraReport, Description, DescriptionRequest, Sender
from sightd.plugins.describe.subjects import Cooldown, DescribedSubject, subjects_of

log = logging.getLogger(__name__)

ANSWERED = "describe.answered"
_REQUESTS, _MILLISECONDS, _DROPPED = "describe_requests", "describe_request_milliseconds", "describe_dropped"


@dataclass(frozen=True)
class DescriptionCounts:
    """What is added to the metrics with a frame: requests that have ended since the frame before, images dropped."""

    items: tuple[Count, ...]

    def counts(self) -> Iterator[Count]:
        yield from self.items


class EventDescriber(Plugin[DescribeConfig]):
    """Asks a vision language model for one sentence about events and objects.

    `process` only cuts out images and queues them; a thread of its own asks the endpoint. An answer is returned with
    the next frame of its camera that is analysed.
    """

    Config: ClassVar[type[PluginConfig]] = DescribeConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    uses: ClassVar[frozenset[type]] = frozenset({PrivacyMask, Tracks})
    produces: ClassVar[frozenset[type]] = frozenset({DescriptionCounts, Events})
    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec(
            _REQUESTS, "Requests to the endpoint of the describe plug-in.", "outcome", tuple(map(str, Outcome))
        ),
        CounterSpec(_MILLISECONDS, "Total duration of these requests in milliseconds."),
        CounterSpec(
            _DROPPED,
            "Images that were not sent: the queue was full, or privacy leaves nothing to see.",
            "reason",
            ("queue_full", "not_visible"),
        ),
    )
    events: ClassVar[tuple[EventSpec, ...]] = (
        EventSpec(ANSWERED, "The endpoint has described an event or an object."),
    )

    def __init__(self, config: DescribeConfig) -> None:
        super().__init__(config)
        self._sender: Sender | None = None
        self._lock = threading.Lock()
        self._cooldowns: dict[str, Cooldown] = {}

    def open(self, context: Context) -> None:
        config = self.config
        if not config.is_local and not config.allow_remote:
            raise PluginError(f"plug-in {context.name}: {config.host} is not local: add allow_remote: true")
        try:
            endpoint = ChatEndpoint(config)
        except OSError as error:
            raise PluginError(f"plug-in {context.name}: ca_file {config.ca_file}: {error}") from error
        if not config.is_local:
            clear = "" if config.url.startswith("https:") else " in clear text: use https"
            log.warning("plug-in %s: images are sent to %s%s", context.name, config.host, clear)
        self._sender = Sender(
            endpoint,
            name=context.name,
            quality=config.quality,
            per_minute=config.max_per_minute,
            max_queue=config.max_queue,
        )

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        assert self._sender is not None
        return [self._processed(self._sender, *pair) for pair in zip(frames, results, strict=True)]

    def forget(self, camera: str) -> None:
        with self._lock:
            self._cooldowns.pop(camera, None)
        if self._sender is not None:
            self._sender.forget(camera)

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()

    def _processed(self, sender: Sender, frame: Frame, results: Results) -> Results:
        with self._lock:
            cooldown = self._cooldowns.setdefault(frame.camera, Cooldown(self.config.cooldown))
        for subject in subjects_of(frame, results, self.config):
            if cooldown.is_over(subject.key, frame.captured_at):
                self._describe(sender, frame, results, subject, cooldown)
        report = sender.collect(frame.camera, MAX_EVENTS)
        return Results(DescriptionCounts(tuple(_counts(report))), Events(tuple(map(_event, report.answers))))

    def _describe(
        self, sender: Sender, frame: Frame, results: Results, subject: DescribedSubject, cooldown: Cooldown
    ) -> None:
        """Queues an image of the subject. If privacy leaves nothing to see, an object is tried again on the next
        frame; an event happens only once."""
        config, hidden = self.config, results.get(PrivacyMask)
        crop = crop_of(frame.host(), subject.box, config.margin, config.max_side, hidden)
        if crop is not None:
            cooldown.begin(subject.key, frame.captured_at)
            facts = {**subject.facts, "captured": _utc(frame.wall_time)}
            sender.submit(DescriptionRequest(frame.camera, crop, facts, subject.about))
        elif subject.about is not None:
            sender.dropped(frame.camera, "not_visible")


def _utc(at: float) -> str:
    """Formats seconds since the epoch like the `time` of events."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counts(report: CameraReport) -> Iterator[Count]:
    for outcome, number in report.outcomes.items():
        yield Count(_REQUESTS, str(outcome), number)
    for reason, number in report.dropped.items():
        yield Count(_DROPPED, reason, number)
    if report.outcomes:
        yield Count(_MILLISECONDS, None, report.milliseconds)


def _event(answer: Description) -> Event:
    facts: dict[str, JsonValue] = {"text": answer.text, **answer.request.facts, "seconds": round(answer.seconds, 3)}
    return Event(ANSWERED, facts, answer.request.about)
