"""The newest log records are kept in memory, redacted and bounded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from sightd.daemon.app import log_ring
from sightd.daemon.app.log_ring import LogRing

log = logging.getLogger("sightd.test")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    one = LogRing()
    one.attach()
    level, log.level = log.level, logging.INFO
    yield one
    log.level = level
    one.detach()


def messages(ring: LogRing, most: int = 100) -> list[str]:
    return [json.loads(record.text)["message"] for record in ring.newest(most)]


def test_records_are_redacted_and_numbered(ring: LogRing) -> None:
    log.warning("lost %s", "rtsp://me:secret@host/x", extra={"camera": "front"})
    (record,) = ring.newest(1)
    found = json.loads(record.text)
    assert (found["message"], found["level"], found["camera"]) == ("lost rtsp://***@host/x", "warning", "front")
    log.info("later")
    assert [json.loads(one.text)["message"] for one in ring.newest(10, record.number)] == ["later"]


def test_only_so_many_records_and_bytes_are_kept(ring: LogRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_ring, "MOST_RECORDS", 3)
    for number in range(5):
        log.info("%d", number)
    assert messages(ring) == ["2", "3", "4"]
    monkeypatch.setattr(log_ring, "MOST_BYTES", 4350)
    log.info("x" * 20_000)
    assert messages(ring) == ["x" * 4096 + " …"]


def test_those_who_follow_are_woken(ring: LogRing) -> None:
    woken: list[int] = []
    with ring.followed(lambda: woken.append(1)):
        log.info("one")
    log.info("two")
    assert woken == [1]


def test_a_record_that_cannot_be_written_is_left_out(ring: LogRing) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError

    logging.raiseExceptions, before = False, logging.raiseExceptions
    try:
        log.info("%s", Broken())
    finally:
        logging.raiseExceptions = before
    log.info("next")
    assert messages(ring)[-1] == "next"
