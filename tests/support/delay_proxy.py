"""A TCP proxy that delays data, like a distant or slow server, and can refuse connections. Knows nothing of
protocols."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any


class DelayProxy:
    """Forwards 127.0.0.1:`port` to a port of the loopback; a context manager. Runs on a thread of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.delay = 0.0
        """Seconds by which data is delayed in each direction; applies to what arrives from now on."""
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="delay-proxy", daemon=True)
        self.port = 0

    def refuse(self) -> None:
        """Closes all connections, and new ones at once."""
        self._refusing = True
        self._call(self._close_all())

    def accept(self) -> None:
        """Ends `refuse`."""
        self._refusing = False

    async def _close_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self._refusing:
                theirs, to_server = await asyncio.open_connection("127.0.0.1", self._target)
                self._writers.add(to_server)
                done = [asyncio.ensure_future(self._pump(*pair)) for pair in ((reader, to_server), (theirs, writer))]
                await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
                to_server.transport.abort()
                self._writers.discard(to_server)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due = 0.0
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                due = max(due + 1e-6, self._loop.time() + self.delay)  # nothing overtakes what is delayed longer
                self._loop.call_at(due, self._write, writer, data)

    @staticmethod
    def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.transport.is_closing():
            writer.write(data)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def __enter__(self) -> DelayProxy:
        self._thread.start()
        server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
