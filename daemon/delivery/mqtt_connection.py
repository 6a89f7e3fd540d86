"""A connection to an MQTT 5 broker, without a thread of its own. Imported only with paho-mqtt, which is optional."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr

from sightd.daemon.config.delivery import MqttOptions
from sightd.daemon.delivery.sink import RefusedError, UnavailableError

_KEEP_ALIVE = 30
"""Seconds; a broker that misses 1.5 times as much publishes the last will."""
SLICE = 0.2
"""Seconds after which a wait for the broker notices that it is aborted."""
_FAREWELL = 1.0
_OVERHEAD = 64
"""Bytes of a PUBLISH packet, at most, besides topic and payload."""
_PERMANENT = {135: "not authorised", 144: "invalid topic", 149: "the packet is too large", 153: "invalid payload"}
"""Reason codes that refuse an event for good."""
_TOO_LARGE = 149


class MqttConnection:
    """Publishes with QoS 1. A connection that fails is replaced by a new one, so that nothing is sent again out of
    order. All methods but `abort` are called on one thread."""

    def __init__(self, options: MqttOptions, client_id: str, status_topic: str, window: int) -> None:
        """`status_topic` has the retained text "online" or, by the last will or at the end, "offline". At most `window`
        messages are in flight, or fewer if the broker says so."""
        self._options, self._client_id, self._status, self._window = options, client_id, status_topic, window
        self._port = options.port or (8883 if options.tls else 1883)
        self.where = f"broker {options.host}:{self._port}"
        self.on_connected: Callable[[], None] = lambda: None
        """Called when a new connection is ready. Raises as the other methods do."""
        self.on_message: Callable[[str, bytes, bool], None] = lambda _topic, _payload, _retained: None
        """Called with topic, payload and whether the message was retained."""
        self._client: Client | None = None
        self._connack: Any = None
        self._lost: Any = None
        """Reason code of the broker's DISCONNECT."""
        self._answers: dict[int, Any] = {}
        self._subscribed: dict[int, Any] = {}
        self._max_packet: int | None = None
        self._most = window
        self._aborted = False

    @property
    def window(self) -> int:
        """Maximum number of messages in flight on this connection."""
        return self._most

    @property
    def answers(self) -> dict[int, Any]:
        """Reason codes of acknowledged messages by number; the caller removes those that it has seen."""
        return self._answers

    def ensure(self) -> None:
        """Connects unless connected. Raises UnavailableError."""
        if self._client is not None and self._client.is_connected():
            return
        self.drop()
        self._connack = self._lost = self._max_packet = None
        self._answers.clear()
        client = self._client = self._new_client()
        until = self.deadline()
        client.connect(self._options.host, self._port, keepalive=_KEEP_ALIVE, clean_start=True)
        self._wait(lambda: self._connack is not None, until)
        self.publish_now(self._status, b"online")
        self.on_connected()

    def subscribe(self, topic: str) -> bool:
        """Subscribes with QoS 1. Returns whether the broker permits it. Raises UnavailableError."""
        _, number = self._connected().subscribe(topic, qos=1)
        self._wait(lambda: number in self._subscribed, self.deadline())
        return not any(code.is_failure for code in self._subscribed.pop(number or 0))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ends subscriptions, without waiting."""
        self._connected().unsubscribe(list(topics))

    def settle(self, topic: str) -> None:
        """Returns when the retained messages of earlier subscriptions have arrived: those that the broker sends before
        a message at `topic`, if it permits that. Raises UnavailableError."""
        arrived: list[bool] = []
        on_message = self.on_message
        self.on_message = lambda at, payload, old: arrived.append(True) if at == topic else on_message(at, payload, old)
        try:
            if self.subscribe(topic):
                self.publish_now(topic, b"sync", retain=False)
                self._wait(lambda: bool(arrived), self.deadline())
                self.unsubscribe([topic])
        except RefusedError:
            pass  # it may subscribe and not publish: what has not arrived yet is not waited for
        finally:
            self.on_message = on_message

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None) -> int:
        """Sends a message and returns its number, without waiting. Raises RefusedError if it is too large."""
        if self._max_packet is not None and len(topic.encode()) + len(payload) + _OVERHEAD > self._max_packet:
            raise RefusedError(f"{self.where} accepts packets of {self._max_packet} bytes at most")
        properties = Properties(PacketTypes.PUBLISH)
        if content_type is not None:
            properties.ContentType = content_type
        sent = self._connected().publish(topic, payload, qos=1, retain=retain, properties=properties)
        return int(sent.mid)

    def publish_now(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Returns when the broker has acknowledged the message. Raises RefusedError or UnavailableError."""
        number = self.publish(topic, payload, retain=retain)
        self._wait(lambda: number in self._answers, self.deadline())
        self.require_success(self._answers.pop(number))

    def require_success(self, code: Any) -> None:
        """Raises RefusedError or UnavailableError if the reason code is a failure."""
        if code.is_failure:
            self._refuse(code.value, str(code))

    def loop(self, seconds: float) -> None:
        """Reads and writes what is due, waiting at most `seconds`. Raises UnavailableError if the connection is
        lost."""
        if self._connected().loop(seconds) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return
        if self._lost is not None and self._lost.value == _TOO_LARGE:
            self.drop()
            self._refuse(_TOO_LARGE, "")
        if self._connack is not None and self._connack.is_failure:
            raise UnavailableError(f"{self.where} refuses the connection: {str(self._connack).lower()}")
        reason = "" if self._lost is None else f": {str(self._lost).lower()}"
        raise UnavailableError(f"{self.where}: the connection was lost{reason}")

    def wait_slice(self, until: float) -> None:
        """Like `loop`, for a part of the time until `until` (monotonic s). Raises UnavailableError if that has
        passed."""
        left = until - time.monotonic()
        if left <= 0 or self._aborted:
            raise UnavailableError(f"{self.where} did not answer within {self._options.timeout:g} s")
        self.loop(min(left, SLICE))

    def deadline(self) -> float:
        """Returns when an attempt that begins now must be over (monotonic s)."""
        return time.monotonic() + self._options.timeout

    @contextlib.contextmanager
    def or_drop(self) -> Any:
        """Drops the connection if the block fails in any way but the refusal of an event."""
        try:
            yield
        except RefusedError:
            raise
        except BaseException as error:
            self.drop()
            if isinstance(error, (OSError, ValueError)):
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise UnavailableError(f"{self.where}: {reason}") from error
            raise

    def drop(self) -> None:
        """Closes the connection without a word, so that the broker publishes the last will."""
        if self._client is not None and (sock := self._client.socket()) is not None:
            with contextlib.suppress(OSError):
                sock.close()
        self._client = None

    def close(self) -> None:
        """Publishes "offline" and disconnects, within a second."""
        client = self._client
        if client is not None and not self._aborted and client.is_connected():
            with contextlib.suppress(UnavailableError, RefusedError, OSError, ValueError):
                until = time.monotonic() + _FAREWELL
                number = self.publish(self._status, b"offline", retain=True)
                self._wait(lambda: number in self._answers, until)
                client.disconnect()
                while client.loop(SLICE) == MQTTErrorCode.MQTT_ERR_SUCCESS and time.monotonic() < until:
                    pass
        self.drop()

    def abort(self) -> None:
        """Makes a wait in progress fail soon. Any thread."""
        self._aborted = True

    def _connected(self) -> Client:
        if self._client is None:
            raise UnavailableError(f"{self.where}: the connection was lost")
        return self._client

    def _new_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.connect_timeout = options.timeout
        client.max_inflight_messages_set(self._window)
        if options.username is not None:
            client.username_pw_set(options.username, _text(options.password))
        if options.tls:
            client.tls_set_context(ssl.create_default_context(cafile=None if options.ca is None else str(options.ca)))
        client.will_set(self._status, b"offline", qos=1, retain=True)
        client.on_connect, client.on_publish, client.on_disconnect = self._on_connect, self._on_publish, self._on_lost
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        return client

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        self._connack = code
        self._max_packet = getattr(properties, "MaximumPacketSize", None)
        allowed = getattr(properties, "ReceiveMaximum", self._window)
        self._most = min(self._window, allowed)

    def _on_publish(self, _client: Client, _data: Any, number: int, code: Any, _properties: Any) -> None:
        self._answers[number] = code

    def _on_subscribe(self, _client: Client, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        self._subscribed[number] = codes

    def _on_lost(self, _client: Client, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lost = code

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        self.on_message(message.topic, message.payload, message.retain)

    def _refuse(self, code: int, words: str) -> None:
        if code in _PERMANENT:
            raise RefusedError(f"{self.where} refuses the message: {_PERMANENT[code]}")
        raise UnavailableError(f"{self.where} does not take the message: {words.lower()}")

    def _wait(self, is_done: Callable[[], bool], until: float) -> None:
        while not is_done():
            self.wait_slice(until)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
