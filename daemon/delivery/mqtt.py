"""Publishes events to an MQTT 5 broker. Imported only if it is configured, because paho-mqtt is optional."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from sightd.daemon.config.delivery import MqttOptions
from sightd.daemon.delivery.home_assistant import HomeAssistantLink
from sightd.daemon.delivery.home_view import Home, SelectedCameras
from sightd.daemon.delivery.mqtt_connection import MqttConnection
from sightd.daemon.delivery.sink import RefusedError, body_of
from sightd.daemon.events.event import Event

_IN_FLIGHT = 32
"""Maximum messages in flight, unless the broker allows fewer."""
_COMMANDS_WITHIN = 0.3
"""Seconds within which commands are carried out."""
_NOT_IN_TOPICS = str.maketrans("+#/\0", "____")


class Mqtt:
    """A `PipelinedSink` of messages with QoS 1: several are in flight, and each is acknowledged by the broker.

    Topics: PREFIX/INSTANCE/events/KIND, and PREFIX/INSTANCE/status with the retained text "online" or, by the last
    will or at the end, "offline". Uses no thread of its own.
    """

    window = 100

    def __init__(self, name: str, options: MqttOptions, instance: str, home: Home | None = None) -> None:
        """`home` is needed for Home Assistant."""
        self._base = f"{options.prefix}/{instance}"
        self._connection = MqttConnection(options, f"sightd-{instance}-{name}", f"{self._base}/status", _IN_FLIGHT)
        self._link: HomeAssistantLink | None = None
        discovery = options.discovery
        if discovery is not None and home is not None:
            shown = home if options.cameras is None else SelectedCameras(home, options.cameras)
            self._link = HomeAssistantLink(name, discovery, self._connection, self._base, instance, shown)
        self.idle_interval: float | None = 1.0 if self._link is None else _COMMANDS_WITHIN

    def keep_alive(self) -> None:
        with self._connection.or_drop():
            self._connection.ensure()
            self._connection.loop(0.0)
            if self._link is not None:
                self._link.tick()

    def send(self, event: Event) -> None:
        self.send_many([event], lambda _ids: None)

    def send_many(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> None:
        with self._connection.or_drop():
            self._connection.ensure()
            if self._link is not None:
                self._link.sends(events)
                self._link.tick()
            _Flight(self._connection, self._base, events, acknowledged).complete()

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()


class _Flight:
    """The events of one call of `send_many`. Once one is refused, no later one is sent."""

    def __init__(
        self,
        connection: MqttConnection,
        base: str,
        events: Sequence[Event],
        acknowledged: Callable[[Collection[int]], None],
    ) -> None:
        self._connection, self._base, self._acknowledged = connection, base, acknowledged
        self._waiting = deque(events)
        self._sent: dict[int, int] = {}
        """Ids of events in flight by the numbers of their messages."""
        self._refusals: dict[int, RefusedError] = {}

    def complete(self) -> None:
        """Returns when all are acknowledged. Raises like `send_many`."""
        until = self._connection.deadline()
        while self._waiting or self._sent:
            self._send()
            if self._sent:
                self._connection.wait_slice(until)
            if self._settle():
                until = self._connection.deadline()
        if self._refusals:
            raise self._refusals[min(self._refusals)]

    def _send(self) -> None:
        while self._waiting and len(self._sent) < self._connection.window:
            event = self._waiting.popleft()
            topic = f"{self._base}/events/{event.kind.translate(_NOT_IN_TOPICS)}"
            try:
                number = self._connection.publish(topic, body_of(event).encode(), content_type="application/json")
            except RefusedError as error:
                self._refused(event.id, error)
            else:
                self._sent[number] = event.id

    def _settle(self) -> bool:
        """Handles the answers. Returns whether there were any."""
        answers = self._connection.answers
        answered = [number for number in self._sent if number in answers]
        delivered = []
        for number in answered:
            event, code = self._sent.pop(number), answers.pop(number)
            try:
                self._connection.require_success(code)
                delivered.append(event)
            except RefusedError as error:
                self._refused(event, error)
        if delivered:
            self._acknowledged(delivered)
        return bool(answered)

    def _refused(self, event: int, error: RefusedError) -> None:
        self._refusals[event] = error
        self._waiting.clear()
