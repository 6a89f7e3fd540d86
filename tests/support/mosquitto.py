"""A real MQTT broker, mosquitto, from Debian's packages."""

from __future__ import annotations

import getpass
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support.debian import unpacked
from tests.support.server_process import ServerProcess
from tests.support.waiting import BUSY


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool


class Broker(ServerProcess):
    """Listens on the loopback; a context manager. It can be killed, frozen and started again."""

    def __init__(
        self, folder: Path, settings: str = "allow_anonymous true", tls: Mapping[str, str] | None = None
    ) -> None:
        root = unpacked("mosquitto", "libmosquitto1", "libcjson1", "libdlt2", "libwrap0")
        libraries = os.pathsep.join(str(path.parent) for path in root.rglob("libmosquitto.so.1"))
        super().__init__("mosquitto", {"LD_LIBRARY_PATH": libraries})
        self._binary = root / "usr" / "sbin" / "mosquitto"
        own = f"certfile {tls['certificate']}\nkeyfile {tls['key']}\n" if tls else ""
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"listener {self.port} 127.0.0.1\n{own}{settings}\nuser {getpass.getuser()}\n")

    def command(self) -> Sequence[str | Path]:
        return [self._binary, "-c", self._file]


class Subscriber:
    """Receives all messages of a broker; a context manager."""

    def __init__(self, port: int, heard: Callable[[bytes], None] | None = None, **login: Any) -> None:
        """`heard` is called with each payload of an event as soon as it arrives."""
        self._heard = heard
        self.messages: list[Message] = []
        self.port = port
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(0.02, 0.1)  # type: ignore[arg-type, unused-ignore]
        if login:
            self._client.username_pw_set(**login)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    def wait_for(self, condition: Callable[[], bool], within: float = 10.0) -> None:
        """Returns as soon as the condition holds after a message. Raises AssertionError if it does not in time."""
        with self._changed:
            assert self._changed.wait_for(condition, BUSY * within), f"not within {BUSY * within:g} s: {self.messages}"

    def resubscribed(self) -> None:
        """Waits until the messages of a broker that was started again arrive."""
        assert self._subscribed.wait(BUSY * 10)

    def expect_restart(self) -> None:
        self._subscribed.clear()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if self._heard is not None and "/events/" in message.topic:
            self._heard(message.payload)
        with self._changed:
            self.messages.append(Message(message.topic, message.payload, message.retain))
            self._changed.notify_all()

    def __enter__(self) -> Subscriber:
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        self.resubscribed()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class LastingSubscriber:
    """Receives messages in a session that the broker keeps while it is away; a context manager."""

    def __init__(self, port: int, topic: str) -> None:
        self._port, self._topic = port, topic
        self._received: list[Message] = []
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, "subscriber", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(0.02, 0.1)  # type: ignore[arg-type, unused-ignore]
        self._client.on_subscribe = lambda *_: self._add(Message("subscribed", b"", False))
        self._client.on_message = lambda _client, _data, one: self._add(Message(one.topic, one.payload, one.retain))

    def all_messages(self) -> list[Message]:
        """Returns the messages so far, with all that the broker had acknowledged before this call."""
        last = Message("end", str(time.monotonic_ns()).encode(), False)
        self._client.publish(last.topic, last.payload, qos=1)
        with self._changed:
            assert self._changed.wait_for(lambda: last in self._received, BUSY * 10), "the broker does not answer"
            return [one for one in self._received if one.topic not in ("subscribed", "end")]

    def _add(self, message: Message) -> None:
        with self._changed:
            self._received.append(message)
            self._changed.notify_all()

    def __enter__(self) -> LastingSubscriber:
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=session)
        self._client.loop_start()
        self._client.subscribe([(self._topic, SubscribeOptions(qos=1)), ("end", SubscribeOptions(qos=1))])
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self._received), BUSY * 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
