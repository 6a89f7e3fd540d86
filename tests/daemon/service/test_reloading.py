"""Whoever asks for a reload and goes away does the daemon no harm."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from daemon.config.changes import Changes
from daemon.service import reloading
from daemon.service.notify import Notifier
from tests.support.process_logging import restored

CHANGES = Changes(added=("a",))


class Daemon:
    """Follows every configuration; while it does, whoever asked gives up."""

    def __init__(self, answer: Future[Changes]) -> None:
        self._answer, self.applied = answer, 0

    def apply(self, _loaded: object) -> Changes:
        self.applied += 1
        self._answer.cancel()
        return CHANGES

    def reloaded(self, change: Changes | None) -> None:
        assert change == CHANGES


def reload(tmp_path: Path, answer: Future[Changes]) -> Daemon:
    path = tmp_path / "site.yaml"
    path.write_text("cameras: {a: {source: 'testpattern://'}}\nchain: []\n")
    daemon: Any = Daemon(answer)
    with restored():
        reloading.reload(daemon, path, Notifier({}), answer)
    found: Daemon = daemon
    return found


def test_one_that_is_under_way_cannot_be_cancelled(tmp_path: Path) -> None:
    answer: Future[Changes] = Future()
    assert reload(tmp_path, answer).applied == 1
    assert answer.result(0) == CHANGES


def test_one_that_nobody_waits_for_any_more_is_left_out(tmp_path: Path) -> None:
    answer: Future[Changes] = Future()
    assert answer.cancel()
    assert reload(tmp_path, answer).applied == 0
    assert answer.cancelled()
