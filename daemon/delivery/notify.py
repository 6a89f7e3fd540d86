"""Sends notifications to people, through Apprise in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightd.daemon.config.notifications import NotifyOptions, scheme_of
from sightd.daemon.delivery.notification import Notification, NotificationWriter
from sightd.daemon.delivery.sink import RefusedError, UnavailableError
from sightd.daemon.events.event import Event

_REFUSING = frozenset({400, 413, 415, 422})
"""HTTP statuses by which a service refuses this notification; others, such as 401 and 404, concern its URL."""
_IDLE = 300.0
"""Seconds after which Apprise's process, which takes about 60 MB, ends until it is needed again."""
_STARTING = 60.0
"""Seconds within which Apprise's process must have started; it takes about one."""


class TokenBucket:
    """Allows `most` messages a minute on average, and so many at once. Not thread-safe."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._tokens, self._at = float(most), clock()

    def available(self) -> int:
        """Returns how many messages may be sent now."""
        now = self._clock()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._most / 60)
        self._at = now
        return int(self._tokens)

    def delay(self) -> float:
        """Returns the seconds until one message may be sent."""
        return 0.0 if self.available() else (1 - self._tokens) * 60 / self._most

    def take(self) -> None:
        self._tokens -= 1


@dataclass(slots=True)
class _Sending:
    """A notification, and the indexes of the URLs that have not accepted it yet."""

    ids: tuple[int, ...]
    notification: Notification
    targets: list[int] = field(default_factory=list)


class Notify:
    """A `PipelinedSink` of notifications: one per event, or, where the rate does not allow that, one that summarises
    all events that wait. A service that has accepted a notification does not get it again because another one fails;
    after a restart of sightd it may."""

    idle_interval: float | None = 60.0
    window = 100

    def __init__(
        self,
        options: NotifyOptions,
        writer: NotificationWriter,
        picture_of: Callable[[Event], Path | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer, self._picture_of = writer, picture_of if options.picture else lambda _event: None
        urls = [url.get_secret_value() for url in options.urls]
        self._targets = [f"urls[{number}] ({scheme_of(url)})" for number, url in enumerate(urls)]
        self._apprise = _AppriseProcess(urls, options.timeout)
        self._bucket = TokenBucket(options.max_per_minute, clock)
        self._clock, self._used_at = clock, clock()
        self._sending: _Sending | None = None
        self._aborted = threading.Event()

    def keep_alive(self) -> None:
        if self._clock() - self._used_at > _IDLE:
            self._apprise.end()

    def send(self, event: Event) -> None:
        self.send_many([event], lambda _ids: None)

    def send_many(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> None:
        left = list(events)
        while left:
            sending = self._next(left)
            self._send(sending)
            self._sending = None
            del left[: len(sending.ids)]
            acknowledged(sending.ids)

    def close(self) -> None:
        self._apprise.end()

    def abort(self) -> None:
        self._aborted.set()
        self._apprise.abort()

    def _next(self, events: Sequence[Event]) -> _Sending:
        """Returns the notification that was not accepted completely, or the next one when the rate allows it."""
        ids = tuple(event.id for event in events)
        if self._sending is not None and self._sending.ids == ids[: len(self._sending.ids)]:
            return self._sending
        if self._aborted.wait(self._bucket.delay()):
            raise UnavailableError("the sink is being stopped")
        count = 1 if self._bucket.available() > 1 else len(events)
        self._bucket.take()
        notification = self._writer.write(events[:count], self._picture_of(events[0]))
        self._sending = _Sending(ids[:count], notification, list(range(len(self._targets))))
        return self._sending

    def _send(self, sending: _Sending) -> None:
        """Sends to the URLs that are left. Raises RefusedError if all that fail refuse it, else UnavailableError."""
        self._used_at = self._clock()
        faults: list[Exception] = []
        for target in list(sending.targets):
            try:
                self._apprise.send(target, sending.notification)
            except _FailedError as error:
                words = f"{self._targets[target]} {error}"
                faults.append(RefusedError(words) if error.status in _REFUSING else UnavailableError(words))
            else:
                sending.targets.remove(target)
        if faults:
            unavailable = next((fault for fault in faults if isinstance(fault, UnavailableError)), None)
            raise unavailable or faults[0]


class _FailedError(Exception):
    """A service has not accepted a notification; the message continues its name."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _AppriseProcess:
    """Client of `apprise_process`, which is started when it is needed. One thread, but for `abort`."""

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        self._urls, self._timeout = urls, timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._usable: list[bool] = []
        self._aborted = False

    def send(self, target: int, notification: Notification) -> None:
        """Returns when the service has accepted the notification. Raises _FailedError."""
        process = self._started()
        if not self._usable[target]:
            raise _FailedError("is not a URL that Apprise can use")
        picture = notification.picture
        attach = str(picture) if picture is not None and picture.exists() else None  # it may be deleted meanwhile
        request = {"target": target, "title": notification.title, "body": notification.body, "attach": attach}
        answer = self._answer(process, request, self._timeout)
        if answer["ok"]:
            return
        status: int | None = answer["status"]
        if status is not None:
            raise _FailedError(f"answered with status {status}", status)
        raise _FailedError("cannot be reached" if answer["offline"] else "did not accept the notification")

    def end(self) -> None:
        """Ends the process. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            process.stdout.close()  # type: ignore[union-attr]
            process.wait()

    def abort(self) -> None:
        """Makes a call in progress fail. Any thread."""
        self._aborted = True
        if (process := self._process) is not None:
            process.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sightd.daemon.delivery.apprise_process"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            self._usable = self._answer(self._process, self._urls, _STARTING)
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], request: object, timeout: float) -> Any:
        """Sends a line and returns the answer. Ends the process and raises _FailedError if there is none in time."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            return json.loads(_line(process.stdout.fileno(), timeout))
        except TimeoutError:
            self.end()
            raise _FailedError(f"did not answer within {timeout:g} s") from None
        except (OSError, ValueError):
            self.end()
            raise _FailedError("was not called: Apprise's process ended") from None


def _line(descriptor: int, timeout: float) -> bytes:
    """Reads until the end of a line. Raises TimeoutError or ValueError (the process has ended)."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    until, line = time.monotonic() + timeout, b""
    while not line.endswith(b"\n"):
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError
        if not (read := os.read(descriptor, 65536)):
            raise ValueError("the process has ended")
        line += read
    return line
