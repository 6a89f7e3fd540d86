"""A real NATS server with JetStream, from Debian's packages."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.support.debian import unpacked
from tests.support.server_process import ServerProcess

STREAM = "EVENTS"


@dataclass(frozen=True, slots=True)
class NatsMessage:
    subject: str
    headers: dict[str, str]
    event: dict[str, Any]


class NatsServer(ServerProcess):
    """Stores messages of `sightd.>` in a stream, in files, which a kill leaves intact."""

    def __init__(self, folder: Path, settings: str = "jetstream {}", login: dict[str, Any] | None = None) -> None:
        """`settings` are lines of its configuration; `login` is what an administrator connects with, None if there is
        no JetStream."""
        super().__init__("nats-server")
        self._binary = unpacked("nats-server") / "usr" / "sbin" / "nats-server"
        self._login = login or {}
        self._has_streams = "jetstream" in settings
        self._file = folder / "nats.conf"
        settings = settings.replace("jetstream {}", f'jetstream {{ store_dir: "{folder / "jetstream"}" }}')
        self._file.write_text(f"listen: 127.0.0.1:{self.port}\n{settings}\n")

    def command(self) -> Sequence[str | Path]:
        return [self._binary, "-c", self._file]

    def start(self) -> None:
        super().start()
        if self._has_streams:
            asyncio.run(self._add_stream())

    def messages(self) -> list[NatsMessage]:
        """Returns what the stream holds."""
        return asyncio.run(self._messages())

    async def _add_stream(self) -> None:
        async with self._client() as client:
            await client.jetstream().add_stream(name=STREAM, subjects=["sightd.>"])

    async def _messages(self) -> list[NatsMessage]:
        async with self._client() as client:
            stream = client.jetstream()
            state = (await stream.stream_info(STREAM)).state
            found = [await _message(stream, number) for number in range(state.first_seq, state.last_seq + 1)]
        messages = [one for one in found if one is not None]
        assert len(messages) == state.messages, f"{len(messages)} of {state.messages} messages could be read"
        return messages

    @contextlib.asynccontextmanager
    async def _client(self) -> Any:
        client = Client()
        try:
            await client.connect(f"nats://127.0.0.1:{self.port}", connect_timeout=10, **self._login)
            yield client
        finally:
            with contextlib.suppress(nats.errors.Error):
                await client.close()


async def _message(stream: JetStreamContext, number: int) -> NatsMessage | None:
    """Returns a message, None if the stream has none with this number."""
    try:
        one = await stream.get_msg(STREAM, number)
    except NotFoundError:
        return None
    return NatsMessage(one.subject or "", dict(one.headers or {}), json.loads(one.data or b""))
