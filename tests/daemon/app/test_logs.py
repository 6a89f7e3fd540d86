from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from sightd.daemon.app.logs import choose_form, configure
from sightd.daemon.config.model import Log
from tests.support.process_logging import restored

CANARY = "Kanari3nvogel"
ADDRESS = f"rtsp://admin:{CANARY}@192.0.2.1/1"
Form = Literal["human", "json", "journald"]
FORMS: tuple[Form, ...] = ("human", "json", "journald")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


def started(
    form: Form = "json", level: Literal["debug", "info"] = "info", stream: io.StringIO | None = None
) -> io.StringIO:
    stream = stream or io.StringIO()
    configure(Log(format=form, level=level), stream, {})
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_level_logger_thread_and_camera() -> None:
    stream = started()
    logging.getLogger("sightd.daemon.capture").warning("lost after %d s", 3, extra={"camera": "front"})
    (record,) = records(stream)
    assert record["message"] == "lost after 3 s"
    assert (record["level"], record["logger"], record["camera"]) == ("warning", "sightd.daemon.capture", "front")
    assert record["thread_name"] == "MainThread"
    assert record["timestamp"].endswith("Z")


def test_what_a_thread_binds_stands_on_all_its_lines() -> None:
    stream = started()
    with structlog.contextvars.bound_contextvars(camera="yard"):
        logging.getLogger("x").info("one")
    logging.getLogger("x").info("two")
    assert [record.get("camera") for record in records(stream)] == ["yard", None]


def test_a_person_sees_time_level_and_message_in_one_line() -> None:
    stream = started("human")
    logging.getLogger("sightd.daemon.run").error("no %s", "camera", extra={"camera": "front"})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "error" in line
    assert "no camera" in line
    assert "camera=front" in line
    assert "\x1b" not in line


def test_a_terminal_has_colours_unless_it_wants_none() -> None:
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        stream = Terminal()
        configure(Log(), stream, environ)
        logging.getLogger("x").warning("hello")
        assert ("\x1b[" in stream.getvalue()) is coloured


def test_every_line_for_the_journal_begins_with_its_priority() -> None:
    stream = started("journald", "debug")
    log = logging.getLogger("x")
    log.debug("a")
    log.warning("b", extra={"camera": "front"})
    try:
        raise ValueError("c")
    except ValueError:
        log.exception("d")
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["<7>a", "<4>b camera=front", "<3>d"]
    assert len(lines) > 4
    assert all(line.startswith("<3>") for line in lines[3:])


def test_the_form_is_chosen_by_where_the_stream_goes(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal:
        status = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert choose_form("auto", journal, environ) == "journald"
        assert choose_form("auto", journal, {"JOURNAL_STREAM": "1:1"}) == "json"
        assert choose_form("human", journal, environ) == "human"
    assert choose_form("auto", Terminal(), environ) == "human"
    assert choose_form("auto", io.StringIO(), environ) == "json"


@pytest.mark.parametrize("form", FORMS)
def test_no_way_into_the_log_lets_a_secret_out(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = started(form, "debug")
    log = logging.getLogger("libav.rtsp")
    log.error("cannot open %s", ADDRESS)
    log.error(f"cannot open {ADDRESS}")
    log.info("fields", extra={"source": ADDRESS, "all": {"urls": [ADDRESS, Path(ADDRESS)]}, "error": OSError(ADDRESS)})
    logging.getLogger("uvicorn.access").info('%s - "%s"', "127.0.0.1", f"GET /x?token={CANARY}")
    warnings.warn(ADDRESS, stacklevel=1)
    structlog.get_logger("x").info("of structlog", source=ADDRESS)
    with structlog.contextvars.bound_contextvars(source=ADDRESS):
        log.info("bound")
    try:
        try:
            raise OSError(ADDRESS)
        except OSError as error:
            raise ValueError(f"while reading {ADDRESS}") from error
    except ValueError as error:
        log.exception("failed")
        sys.excepthook(type(error), error, error.__traceback__)
        caught = error

    def fail() -> None:
        raise caught

    thread = threading.Thread(target=fail, name="feed")
    thread.start()
    thread.join(5)
    told = stream.getvalue()
    assert CANARY not in told
    assert told.count("192.0.2.1") >= 9
    assert "feed stopped because of a bug" in told


def test_a_record_that_cannot_be_written_is_reported_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    stream = started()
    handler = next(item for item in logging.getLogger().handlers if getattr(item, "stream", None) is stream)
    handler.handle(logging.LogRecord("x", logging.ERROR, "x.py", 7, "%d", (ADDRESS,), None))
    assert "could not be written" in stream.getvalue()
    assert CANARY not in stream.getvalue() + "".join(capsys.readouterr())


def test_text_from_outside_cannot_forge_a_line() -> None:
    stream = started("journald")
    logging.getLogger("x").warning("camera says %s", "hello\n<0>forged \x1b[31m")
    assert stream.getvalue() == "<4>camera says hello\\n<0>forged \\x1b[31m\n"


@pytest.mark.parametrize("form", ["human", "journald", "json"])
def test_no_form_writes_what_does_not_print(form: Literal["human", "json", "journald"]) -> None:
    stream = started(form)
    evil = "\x1b[2J \x9b31m a\u202eb \u2028 \udce9"
    try:
        raise ValueError(evil)
    except ValueError:
        logging.getLogger("x").exception("camera says %s", evil, extra={"more": [evil]})
    assert stream.getvalue().count("202e") >= 3
    assert all(line.isprintable() for line in stream.getvalue().splitlines())


def test_a_json_line_gives_back_a_message_of_several_lines_as_it_was() -> None:
    stream = started("json")
    logging.getLogger("x").warning("first\n  second \x1b[31m", extra={"more": {"a": "b\nc"}})
    (record,) = records(stream)
    assert (record["message"], record["more"]) == ("first\n  second \x1b[31m", {"a": "b\nc"})
    assert "\x1b" not in stream.getvalue()


def test_lighter_records_and_access_lines_are_left_out() -> None:
    stream = started()
    logging.getLogger("x").debug("no")
    logging.getLogger("uvicorn.access").info("no")
    logging.getLogger("uvicorn.error").warning("yes")
    assert [record["message"] for record in records(stream)] == ["yes"]


def test_a_second_call_replaces_the_first() -> None:
    first, second = started(), started()
    logging.getLogger("x").info("once")
    assert (first.getvalue(), len(records(second))) == ("", 1)
