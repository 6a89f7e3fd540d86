"""Keeps Home Assistant's devices, entities and states at an MQTT broker up to date, and carries out commands."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sightd.daemon.config.delivery import HomeAssistant
from sightd.daemon.delivery.discovery import Discovery, Form, Remembered, camera_state, daemon_state, removals
from sightd.daemon.delivery.home_commands import Commands
from sightd.daemon.delivery.home_view import DaemonView, Home
from sightd.daemon.delivery.mqtt_connection import MqttConnection
from sightd.daemon.delivery.sink import RefusedError
from sightd.daemon.events.event import Event, utc
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

_EVERY = 1.0
"""Seconds between two comparisons of what the broker has with what is."""
_PICTURE_WITHIN = 30.0
"""Seconds within which the snapshot of an event must be there."""
_LARGEST = 1 << 20
"""Bytes of a retained message that is read."""


class HomeAssistantLink:
    """Publishes retained messages over an `MqttConnection`, only those that have changed.

    The broker is the memory: what an earlier run published is read after connecting, and removed if its camera or zone
    is gone. A failure here delays no event. Methods are called on the connection's thread.
    """

    def __init__(
        self, name: str, options: HomeAssistant, connection: MqttConnection, base: str, instance: str, home: Home
    ) -> None:
        """`name` is that of the sink, `base` the first part of its topics."""
        self._name, self._connection, self._home, self._base = name, connection, home, base
        self._discovery = Discovery(options.discovery_prefix, base, instance, commands=options.commands)
        self._commands = Commands(name, f"{base}/set/", home) if options.commands else None
        self._published: dict[str, bytes] = {}
        """Retained messages that the broker has, by topic."""
        self._known: dict[str, Remembered] = {}
        self._pictured: dict[str, tuple[Event, float]] = {}
        """By camera, the last event whose snapshot is not published yet, and until when to try (monotonic s)."""
        self._reading = False
        self._due = 0.0
        self._throttle = LogThrottle()
        connection.on_connected = self._connected
        connection.on_message = self._received

    def tick(self) -> None:
        """Does what is due. Raises UnavailableError."""
        if self._commands is not None and self._commands.run():
            self._due = 0.0
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY
        try:
            wanted = self._wanted(self._home.view())
        except Exception:  # the link's boundary: the view is the daemon's, and events must go on
            if self._throttle.add("view"):
                log.exception("sink %s: the state for Home Assistant cannot be determined", self._name)
            return
        self._publish(wanted)
        self._show_pictures()

    def sends(self, events: Sequence[Event]) -> None:
        """Remembers the last event with a snapshot of each camera; the snapshot is published once it is there."""
        for event in events:
            if event.snapshot and event.camera is not None:
                self._pictured[event.camera] = event, time.monotonic() + _PICTURE_WITHIN

    def _show_pictures(self) -> None:
        for camera, (event, until) in list(self._pictured.items()):
            picture = self._home.picture(event)
            if picture is not None:
                with self._logging_refusals("pictures"):
                    topic = self._discovery.picture_topic(camera)
                    self._connection.publish_now(topic, picture, retain=False)
            if picture is not None or time.monotonic() > until:
                del self._pictured[camera]

    def _connected(self) -> None:
        """Reads what the broker has of this instance."""
        self._published.clear()
        self._reading = True
        topics = f"{self._discovery.folder}/+/config", f"{self._discovery.states}/+"
        granted = [self._connection.subscribe(topic) for topic in topics]
        if not all(granted) and self._throttle.add("subscribe"):
            log.warning(
                "sink %s: the broker does not let sightd read %s: entities of removed cameras stay in Home Assistant",
                self._name,
                " and ".join(topics),
            )
        self._connection.settle(f"{self._base}/sync")
        self._connection.unsubscribe(topics)
        self._reading = False
        if self._commands is not None and not self._connection.subscribe(f"{self._base}/set/#"):
            log.warning("sink %s: the broker does not let sightd receive commands", self._name)
        self._due = 0.0

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._reading and retained and payload:
            self._read(topic, payload)
        elif self._commands is not None and not self._reading:
            self._commands.add(topic, payload, retained)

    def _read(self, topic: str, payload: bytes) -> None:
        if not topic.startswith((f"{self._discovery.folder}/", f"{self._discovery.states}/")):
            return
        self._published[topic] = payload
        camera = topic.removeprefix(f"{self._discovery.states}/")
        if camera != topic and camera not in self._known and len(payload) <= _LARGEST:
            self._known[camera] = Remembered.of_state(payload)

    def _wanted(self, view: DaemonView) -> dict[str, bytes]:
        """Returns the retained messages that the broker should have; devices come before their states."""
        now = utc(time.time())
        self._known = {one.name: self._known.get(one.name, Remembered()).after(one, now) for one in view.cameras}
        device, state = self._discovery.daemon_topics()
        wanted = {device: self._as_device(device, self._discovery.daemon_device(view))}
        for one in view.cameras:
            topic = self._discovery.camera_topics(one.name)[0]
            form = self._discovery.camera_device(one, self._known[one.name], view.version)
            wanted[topic] = self._as_device(topic, form)
        wanted[state] = _bytes(daemon_state(view))
        for one in view.cameras:
            wanted[self._discovery.camera_topics(one.name)[1]] = _bytes(camera_state(one, self._known[one.name]))
        return wanted

    def _as_device(self, topic: str, form: Form) -> bytes:
        """Returns a device's message, which also removes components that the broker has and it lacks."""
        try:
            before: Any = json.loads(self._published.get(topic, b"{}"))
            gone = removals(before, form)
        except (ValueError, KeyError, TypeError, AttributeError):
            gone = {}
        return _bytes({**form, "components": {**form["components"], **gone}})

    def _publish(self, wanted: Mapping[str, bytes]) -> None:
        changed = {topic: payload for topic, payload in wanted.items() if self._published.get(topic) != payload}
        removed = dict.fromkeys((topic for topic in self._published if topic not in wanted), b"")
        waiting, sent = deque((changed | removed).items()), dict[int, str]()
        until = self._connection.deadline()
        while waiting or sent:
            while waiting and len(sent) < self._connection.window:
                topic, payload = waiting.popleft()
                with self._logging_refusals(topic):
                    sent[self._connection.publish(topic, payload, retain=True)] = topic
                self._published[topic] = payload
            if sent:
                self._connection.wait_slice(until)
            self._settle(sent)
        for topic in removed:
            del self._published[topic]

    def _settle(self, sent: dict[int, str]) -> None:
        answers = self._connection.answers
        for number in [number for number in sent if number in answers]:
            with self._logging_refusals(sent.pop(number)):
                self._connection.require_success(answers.pop(number))

    @contextmanager
    def _logging_refusals(self, topic: str) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            if self._throttle.add(topic):
                log.warning("sink %s: %s is not published: %s", self._name, topic, error)


def _bytes(form: Form) -> bytes:
    return json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
