"""Logging set-up: one stream, one format, secrets redacted, for all libraries too.

Log with `logging.getLogger(__name__)`. Name the camera with `extra={"camera": name}`, or once per thread with
`structlog.contextvars.bind_contextvars(camera=name)`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from sightd.daemon.common.redaction import redact
from sightd.daemon.config.model import Log
from sightd.engines.text import json_text, printable, printable_lines

Form = Literal["human", "json", "journald"]

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_QUIET = ("uvicorn.access", "asyncio", "concurrent.futures", "PIL", "matplotlib")


def configure(log: Log, stream: TextIO, environ: Mapping[str, str]) -> Form:
    """Sends the whole process's log to `stream` and returns the format chosen. A second call replaces the first.

    Includes Python warnings, uvicorn's log and uncaught exceptions, also those of threads.
    """
    form = choose_form(log.format, stream, environ)
    handler = _Handler(stream)
    handler.setFormatter(formatter(form, colours=_has_colours(stream, environ)))
    root = logging.getLogger()
    for old in [item for item in root.handlers if isinstance(item, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(log.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if log.level == "debug" else logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.captureWarnings(True)
    _take_uncaught()
    return form


def choose_form(
    asked: Literal["auto", "human", "json", "journald"], stream: TextIO, environ: Mapping[str, str]
) -> Form:
    """Returns `asked`, or for "auto": journald if the stream is the journal's, human on a terminal, else JSON lines."""
    if asked != "auto":
        return asked
    if _is_journal(stream, environ.get("JOURNAL_STREAM", "")):
        return "journald"
    return "human" if stream.isatty() else "json"


class _Handler(logging.StreamHandler[TextIO]):
    """A handler whose own errors never print the record, which would bypass redaction."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the base class's name)
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"a log record of {record.name}, line {record.lineno}, could not be written\n")


def formatter(form: Form, *, colours: bool = False) -> logging.Formatter:
    """Returns what redacts records and writes them in a form. Thread-safe."""
    finish: dict[Form, list[Processor]] = {
        "human": [_for_people, structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)],
        "json": [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(json_text)],
        "journald": [_journald],
    }
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            functools.partial(redacted, escaped=form != "json"),
            *finish[form],
        ],
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        _without_repetition,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.CallsiteParameterAdder({structlog.processors.CallsiteParameter.THREAD_NAME}),
    ]


def _without_repetition(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drops the copies of the message that another handler or uvicorn added to the record."""
    return {key: value for key, value in event.items() if key not in ("message", "asctime", "color_message")}


def redacted(_logger: WrappedLogger, _method: str, event: EventDict, *, escaped: bool = True) -> EventDict:
    """Redacts secrets in every value and, if `escaped`, escapes unprintable characters; JSON does that itself.

    Line breaks in exception texts are kept.
    """
    lines = printable_lines if escaped else str
    return {
        key: lines(redact(str(value))) if key in ("exception", "stack") else _clean(value, escaped)
        for key, value in event.items()
    }


def _clean(value: object, escaped: bool) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(_clean(key, escaped)): _clean(item, escaped) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, escaped) for item in value]
    text = redact(str(value))
    return printable(text.replace("\t", " ")) if escaped else text


def _for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Shortens the time to HH:MM:SS.mmmZ (UTC) and omits the thread if it is the main one or the camera is known."""
    event["timestamp"] = event["timestamp"][11:23] + "Z"
    if event.get("thread_name") == "MainThread" or "camera" in event:
        event.pop("thread_name", None)
    return event


def _journald(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Prefixes each line with its priority (sd-daemon(3)); the journal adds the time."""
    priority = _PRIORITIES.get(str(event.pop("level", "info")), 6)
    event.pop("timestamp", None)
    message, exception = event.pop("event", ""), event.pop("exception", "")
    shown = {key: value for key, value in event.items() if key not in ("logger", "thread_name")}
    fields = " ".join(f"{key}={value}" for key, value in shown.items() if value not in (None, "", [], {}))
    lines = [f"{message} {fields}".rstrip(), *str(exception).splitlines()]
    return "\n".join(f"<{priority}>{line}" for line in lines)


def _has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _is_journal(stream: TextIO, journal: str) -> bool:
    """Whether the stream is the journal's socket, whose device and inode systemd puts in $JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"


def _take_uncaught() -> None:
    log = logging.getLogger("sightd")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("stopped because of a bug", exc_info=(kind, error, trace))

    def in_thread(hook: threading.ExceptHookArgs) -> None:
        name = hook.thread.name if hook.thread else "a thread"
        if hook.exc_value is not None:
            log.error("%s stopped because of a bug", name, exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback))

    def unraisable(hook: object) -> None:
        error = getattr(hook, "exc_value", None)
        log.error("exception ignored in: %r", error, exc_info=error)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
