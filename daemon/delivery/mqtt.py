"""Publishes events to an MQTT 5 broker. Imported only if it is configured, because paho-mqtt is optional."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr

from sightd.daemon.config.delivery import MqttOptions
from sightd.daemon.delivery.sink import RefusedError, UnavailableError, body_of
from sightd.daemon.events.event import Event

_KEEP_ALIVE = 30
"""Seconds; a broker that misses 1.5 times as much publishes the last will."""
_SLICE = 0.2
"""Seconds after which a wait for the broker notices that it is aborted."""
_FAREWELL = 1.0
_OVERHEAD = 64
"""Bytes of a PUBLISH packet, at most, besides topic and payload."""
_PERMANENT = {135: "not authorised", 144: "invalid topic", 149: "the packet is too large", 153: "invalid payload"}
"""Reason codes that refuse an event for good."""
_TOO_LARGE = 149
_NOT_IN_TOPICS = str.maketrans("+#/\0", "____")


class Mqtt:
    """A `Sink` of messages with QoS 1, acknowledged one by one.

    Topics: PREFIX/INSTANCE/events/KIND, and PREFIX/INSTANCE/status with the retained text "online" or, by the last
    will or at the end, "offline". Uses no thread of its own; a connection that fails is replaced by a new one, so that
    nothing is sent again out of order.
    """

    idle_interval: float | None = 1.0

    def __init__(self, name: str, options: MqttOptions, instance: str) -> None:
        self._options = options
        self._port = options.port or (8883 if options.tls else 1883)
        self._where = f"broker {options.host}:{self._port}"
        self._base = f"{options.prefix}/{instance}"
        self._client_id = f"sightd-{instance}-{name}"
        self._client: Client | None = None
        self._connack: Any = None
        self._lost: Any = None
        """Reason code of the broker's DISCONNECT."""
        self._acknowledged: dict[int, Any] = {}
        self._max_packet: int | None = None
        self._aborted = False

    def keep_alive(self) -> None:
        with self._or_drop():
            client = self._connected()
            self._loop(client, 0.0)

    def send(self, event: Event) -> None:
        topic = f"{self._base}/events/{event.kind.translate(_NOT_IN_TOPICS)}"
        payload = body_of(event).encode()
        with self._or_drop():
            client = self._connected()
            if self._max_packet is not None and len(topic.encode()) + len(payload) + _OVERHEAD > self._max_packet:
                raise RefusedError(f"{self._where} accepts packets of {self._max_packet} bytes at most")
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = "application/json"
            self._publish(client, topic, payload, self._deadline(), properties=properties)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(UnavailableError, RefusedError, OSError, ValueError):
            if not self._aborted and client.is_connected():
                until = time.monotonic() + _FAREWELL
                self._publish(client, f"{self._base}/status", b"offline", until, retain=True)
                client.disconnect()
                while client.loop(_SLICE) == MQTTErrorCode.MQTT_ERR_SUCCESS and time.monotonic() < until:
                    pass
        _close(client)

    def abort(self) -> None:
        self._aborted = True

    @contextlib.contextmanager
    def _or_drop(self) -> Any:
        """Drops the connection if the block fails in any way but the refusal of an event."""
        try:
            yield
        except RefusedError:
            raise
        except BaseException as error:
            if self._client is not None:
                _close(self._client)
                self._client = None
            if isinstance(error, (OSError, ValueError)):
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise UnavailableError(f"{self._where}: {reason}") from error
            raise

    def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected():
            return self._client
        if self._client is not None:
            _close(self._client)
        self._connack = self._lost = self._max_packet = None
        client = self._client = self._new_client()
        until = self._deadline()
        client.connect(self._options.host, self._port, keepalive=_KEEP_ALIVE, clean_start=True)
        self._wait(client, lambda: self._connack is not None, until)
        self._publish(client, f"{self._base}/status", b"online", until, retain=True)
        return client

    def _new_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.connect_timeout = options.timeout
        if options.username is not None:
            client.username_pw_set(options.username, _text(options.password))
        if options.tls:
            client.tls_set_context(ssl.create_default_context(cafile=None if options.ca is None else str(options.ca)))
        client.will_set(f"{self._base}/status", b"offline", qos=1, retain=True)
        client.on_connect, client.on_publish, client.on_disconnect = self._on_connect, self._on_publish, self._on_lost
        return client

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        self._connack = code
        self._max_packet = getattr(properties, "MaximumPacketSize", None)

    def _on_publish(self, _client: Client, _data: Any, number: int, code: Any, _properties: Any) -> None:
        self._acknowledged[number] = code

    def _on_lost(self, _client: Client, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lost = code

    def _publish(
        self, client: Client, topic: str, payload: bytes, until: float, *,
        retain: bool = False, properties: Properties | None = None,
    ) -> None:  # fmt: skip
        """Returns when the broker has acknowledged the message. Raises RefusedError or UnavailableError."""
        self._acknowledged.clear()
        sent = client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        self._wait(client, lambda: sent.mid in self._acknowledged, until)
        code = self._acknowledged[sent.mid]
        if code.is_failure:
            self._refuse(code.value, str(code))

    def _refuse(self, code: int, words: str) -> None:
        if code in _PERMANENT:
            raise RefusedError(f"{self._where} refuses the message: {_PERMANENT[code]}")
        raise UnavailableError(f"{self._where} does not take the message: {words.lower()}")

    def _wait(self, client: Client, is_done: Callable[[], bool], until: float) -> None:
        while not is_done():
            left = until - time.monotonic()
            if left <= 0 or self._aborted:
                raise UnavailableError(f"{self._where} did not answer within {self._options.timeout:g} s")
            self._loop(client, min(left, _SLICE))

    def _loop(self, client: Client, seconds: float) -> None:
        """Reads and writes what is due. Raises UnavailableError if the connection is lost."""
        if client.loop(seconds) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return
        if self._lost is not None and self._lost.value == _TOO_LARGE:
            _close(client)
            self._client = None
            self._refuse(_TOO_LARGE, "")
        if self._connack is not None and self._connack.is_failure:
            raise UnavailableError(f"{self._where} refuses the connection: {str(self._connack).lower()}")
        reason = "" if self._lost is None else f": {str(self._lost).lower()}"
        raise UnavailableError(f"{self._where}: the connection was lost{reason}")

    def _deadline(self) -> float:
        return time.monotonic() + self._options.timeout


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _close(client: Client) -> None:
    """Closes the connection without a word, so that the broker publishes the last will."""
    if (sock := client.socket()) is not None:
        with contextlib.suppress(OSError):
            sock.close()
