"""Publishes events to NATS JetStream. Imported only if it is configured, because nats-py is optional."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Coroutine
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from sightd.daemon.config.event_streams import NatsOptions
from sightd.daemon.delivery.sink import RefusedError, UnavailableError, body_of, topic_of
from sightd.daemon.events.event import SCHEMA, Event

_FAREWELL = 0.5
"""Seconds for an orderly end of a connection."""
_PAUSE = 0.05
"""Seconds between both attempts."""
_INFO = 2.0
"""Seconds in which a server says whether it has JetStream, after no stream took an event."""


class Nats:
    """A `Sink` of messages that a stream of JetStream acknowledges one by one.

    Messages have the header Nats-Msg-Id (INSTANCE-ID, the same in each attempt), by which the stream drops repeated
    ones within its duplicate window. Runs an event loop of its own in the sink's thread; a connection that fails is
    replaced by a new one, so that nothing is sent again out of order.
    """

    idle_interval: float | None = 1.0

    def __init__(self, name: str, options: NatsOptions, instance: str) -> None:
        self._options, self._instance = options, instance
        self._where = f"NATS at {', '.join(options.servers)}"
        self._name = f"sightd-{instance}-{name}"
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self._violation: asyncio.Future[str] | None = None
        """Set by the server's report that this user may not publish to the subject."""
        self._fault = ""
        self._aborted: asyncio.Event | None = None

    def keep_alive(self) -> None:
        self._run(self._keep_alive())

    def send(self, event: Event) -> None:
        self._run(self._publish(event))

    def close(self) -> None:
        with contextlib.suppress(Exception):  # never raises
            self._runner.run(self._drop())
        with contextlib.suppress(Exception):
            self._runner.close()

    def abort(self) -> None:
        if (event := self._aborted) is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._runner.get_loop().call_soon_threadsafe(event.set)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(self._within_timeout(work))

    async def _within_timeout(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work`. Drops the connection if it fails in any way but the refusal of an event."""
        try:
            await self._first_of(work)
        except RefusedError:
            raise
        except UnavailableError:
            await self._drop()
            raise
        except (TimeoutError, OSError, ValueError, nats.errors.Error) as error:
            await self._drop()
            raise UnavailableError(f"{self._where}: {self._reason(error)}") from None

    async def _first_of(self, work: Coroutine[Any, Any, None]) -> None:
        """Returns or raises what `work` does. Raises TimeoutError after the sink's timeout or an abort."""
        if self._aborted is None:
            self._aborted = asyncio.Event()
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._aborted.wait())]
        try:
            await asyncio.wait(tasks, timeout=self._options.timeout, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise TimeoutError
            await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_alive(self) -> None:
        await self._connected()
        await asyncio.sleep(0.01)  # answers the server's pings

    async def _publish(self, event: Event) -> None:
        client = await self._connected()
        subject = topic_of(self._options.subject, event, self._instance)
        headers = {"Nats-Msg-Id": f"{self._instance}-{event.id}", "Sightd-Kind": event.kind,
                   "Sightd-Schema": str(SCHEMA), "Content-Type": "application/json"}  # fmt: skip
        self._violation = asyncio.get_running_loop().create_future()
        sending = client.jetstream().publish(
            subject, body_of(event).encode(), headers=headers, timeout=self._options.timeout
        )
        try:
            await self._unless_forbidden(sending)
        except nats.errors.MaxPayloadError:
            raise RefusedError(f"{self._where} accepts messages of {client.max_payload} bytes at most") from None
        except NoStreamResponseError:
            raise UnavailableError(await self._why_no_stream(client, subject)) from None
        except APIError as error:
            raise self._refusal(error) from None

    async def _unless_forbidden(self, sending: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(sending)
        assert self._violation is not None
        try:
            await asyncio.wait([task, self._violation], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise RefusedError(f"{self._where} refuses the event: {self._violation.result()}")
            await task
        finally:
            task.cancel()

    async def _why_no_stream(self, client: Client, subject: str) -> str:
        """Returns why nobody has acknowledged an event."""
        try:
            await asyncio.wait_for(client.jetstream().account_info(), _INFO)
        except (ServiceUnavailableError, nats.errors.NoRespondersError):
            return f"{self._where} has no JetStream: enable it in the server's configuration, and for this account"
        except (nats.errors.Error, TimeoutError):  # this user may not ask
            pass
        return f"{self._where} has no stream with the subject {subject}: create one that takes it"

    def _refusal(self, error: APIError) -> Exception:
        words = f"{self._where} does not store the event: {error.description}"
        return RefusedError(words) if error.code == 400 else UnavailableError(words)

    async def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected:
            return self._client
        await self._drop()
        self._fault = ""
        options, client = self._options, Client()
        self._client = client
        await client.connect(
            servers=[f"{'tls' if options.tls else 'nats'}://{server}" for server in options.servers],
            name=self._name,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # then connecting fails, after two attempts at each server
            reconnect_time_wait=_PAUSE,  # type: ignore[arg-type, unused-ignore]
            connect_timeout=options.timeout,  # type: ignore[arg-type, unused-ignore]
            error_cb=self._on_error,
            user=options.username,
            password=None if options.password is None else options.password.get_secret_value(),
            token=None if options.token is None else options.token.get_secret_value(),
            tls=_tls_of(options),
        )
        return client

    async def _on_error(self, error: Exception) -> None:
        self._fault = self._words(error)
        if "permissions violation" in str(error).lower() and self._violation is not None and not self._violation.done():
            self._violation.set_result("not authorised for the subject")

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # whatever state it is in
                await asyncio.wait_for(client.close(), _FAREWELL)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._options.timeout:g} s"
        return self._fault if isinstance(error, nats.errors.NoServersError) else self._words(error)

    def _words(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLError):
            return str(error.reason or error).replace("_", " ").lower()
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno).lower()
        return str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__


def _tls_of(options: NatsOptions) -> ssl.SSLContext | None:
    if not options.tls:
        return None
    context = ssl.create_default_context(cafile=None if options.ca is None else str(options.ca))
    if options.certificate is not None and options.key is not None:
        context.load_cert_chain(options.certificate, options.key)
    return context
